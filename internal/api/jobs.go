package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Jobs asks for runs and calls them off.
type Jobs interface {
	RunNow(ctx context.Context, name jobs.Name, task jobs.Task, by string) (jobs.Run, error)
	Retry(ctx context.Context, id int64, by string) (jobs.Run, error)
	Cancel(ctx context.Context, id int64, by string) (jobs.Run, error)
}

// Schedule says when jobs are due next.
type Schedule interface {
	Upcoming() []jobs.Upcoming
}

// jobName is the name of a job.
type jobName string

// Schema describes the name, for Huma.
func (jobName) Schema(huma.Registry) *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeString, Description: "Name of the job.", Examples: []any{"ingest"}}
	for _, d := range jobs.Definitions() {
		schema.Enum = append(schema.Enum, string(d.Name))
	}
	return schema
}

type job struct {
	Name           string   `json:"name" enum:"ingest,train,score,maintain"`
	Purpose        string   `json:"purpose"`
	PerSymbol      bool     `json:"per_symbol" doc:"Whether each symbol has runs of its own."`
	Attempts       int      `json:"attempts" doc:"How often a run is tried at most."`
	TimeoutSeconds int64    `json:"timeout_seconds" doc:"What one attempt may take."`
	Newest         []jobRun `json:"newest" doc:"The run queued last, of each symbol."`
	Next           []jobDue `json:"next" doc:"When it is due next by its schedule, of each symbol; empty where it has none."`
}

type jobDue struct {
	Symbol string    `json:"symbol" doc:"Empty for a job that is not per symbol."`
	DueAt  time.Time `json:"due_at"`
}

type jobList struct {
	Jobs []job `json:"jobs"`
}

type jobRun struct {
	ID              int64            `json:"id" doc:"Negative for one that was skipped."`
	Job             string           `json:"job" enum:"ingest,train,score,maintain"`
	Symbol          string           `json:"symbol" doc:"Empty for a job that is not per symbol."`
	Start           *time.Time       `json:"start" doc:"Of a back-fill, the first candle; null else."`
	End             *time.Time       `json:"end" doc:"Of a back-fill, the end, exclusive; null else."`
	State           string           `json:"state" enum:"queued,running,retrying,succeeded,failed,cancelled,skipped"`
	Trigger         string           `json:"trigger" enum:"schedule,catch_up,person,change"`
	RequestedBy     string           `json:"requested_by" doc:"Empty where nobody asked for it."`
	RetriedBy       string           `json:"retried_by" doc:"Who asked last for another attempt; empty where nobody did."`
	CancelledBy     string           `json:"cancelled_by" doc:"Who called it off; empty where nobody did."`
	ScheduledAt     time.Time        `json:"scheduled_at" doc:"When it was due, or asked for."`
	QueuedAt        time.Time        `json:"queued_at"`
	StartedAt       *time.Time       `json:"started_at" doc:"Of the newest attempt."`
	EndedAt         *time.Time       `json:"ended_at"`
	NextAttemptAt   *time.Time       `json:"next_attempt_at"`
	Attempted       int              `json:"attempted" doc:"How many attempts there were."`
	AttemptsAllowed int              `json:"attempts_allowed"`
	Rows            int64            `json:"rows" doc:"How many rows it wrote."`
	Report          map[string]int64 `json:"report" doc:"The rows by kind; empty where it is not known."`
	Reason          string           `json:"reason" doc:"Why it was skipped or cancelled."`
	Attempts        []jobAttempt     `json:"attempts" doc:"Oldest first; in a list, the newest only, where it failed."`
}

type jobAttempt struct {
	Number    int        `json:"number"`
	StartedAt *time.Time `json:"started_at" doc:"Null where it is not known."`
	EndedAt   *time.Time `json:"ended_at"`
	Instance  string     `json:"instance" doc:"The process that tried."`
	Error     string     `json:"error" doc:"Empty where it did not fail."`
	Panicked  bool       `json:"panicked"`
}

type runList struct {
	Runs       []jobRun `json:"runs" doc:"The one queued last first."`
	NextCursor *string  `json:"next_cursor" doc:"Give it as cursor for the next page; null where there is none."`
}

func runOf(r jobs.Run) jobRun {
	answer := jobRun{
		ID: r.ID, Job: string(r.Job), Symbol: string(r.Task.Symbol), Start: timeOrNull(r.Task.Wanted.Start), End: timeOrNull(r.Task.Wanted.End),
		State: string(r.State), Trigger: string(r.Trigger), RequestedBy: r.By, RetriedBy: r.RetriedBy, CancelledBy: r.CancelledBy,
		ScheduledAt: r.ScheduledAt.UTC(), QueuedAt: r.QueuedAt.UTC(),
		StartedAt: utcOrNull(r.StartedAt), EndedAt: utcOrNull(r.EndedAt), NextAttemptAt: utcOrNull(r.NextAttemptAt),
		Attempted: r.Attempted, AttemptsAllowed: r.MostAttempts, Rows: r.Rows, Report: r.Report, Reason: r.Reason, Attempts: []jobAttempt{},
	}
	if answer.Report == nil {
		answer.Report = map[string]int64{}
	}
	for _, a := range r.Attempts {
		answer.Attempts = append(answer.Attempts, jobAttempt{a.Number, timeOrNull(a.StartedAt), timeOrNull(a.EndedAt), a.Instance, a.Error, a.Panicked})
	}
	return answer
}

func timeOrNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	utc := at.UTC()
	return &utc
}

type runsInput struct {
	Name   jobName `path:"name"`
	Symbol string  `query:"symbol" pattern:"^[A-Za-z0-9]{2,20}$" doc:"Of that symbol only."`
	State  string  `query:"state" enum:"queued,running,retrying,succeeded,failed,cancelled,skipped" doc:"In that state only."`
	Limit  int     `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many at most."`
	Page[runKey]
}

type runRequest struct {
	Symbol symbolName `json:"symbol,omitempty" doc:"For a job that is per symbol."`
	Start  *time.Time `json:"start,omitempty" doc:"Of a back-fill, the first candle."`
	End    *time.Time `json:"end,omitempty" doc:"Of a back-fill, the end, exclusive."`
}

func registerJobs(api huma.API, control Jobs, schedule Schedule, records jobs.Records, people Accounts) {
	tags := []string{"jobs"}
	register(api, huma.Operation{
		OperationID: "list-jobs", Method: http.MethodGet, Path: "/v1/jobs", Tags: tags, Security: forUsers,
		Summary: "List jobs", Description: "What is done by schedule, with the newest run of each and when it is due next.",
	}, func(ctx context.Context, _ *struct{}) (*body[jobList], error) {
		newest, err := records.NewestRuns(ctx)
		list := jobList{Jobs: []job{}}
		upcoming := schedule.Upcoming()
		for _, d := range jobs.Definitions() {
			j := job{string(d.Name), d.Purpose, d.PerSymbol, d.Attempts, int64(d.Timeout / time.Second), []jobRun{}, []jobDue{}}
			for _, r := range newest {
				if r.Job == d.Name {
					j.Newest = append(j.Newest, runOf(r))
				}
			}
			for _, u := range upcoming {
				if u.Job == d.Name {
					j.Next = append(j.Next, jobDue{string(u.Symbol), u.At})
				}
			}
			list.Jobs = append(list.Jobs, j)
		}
		return answerWith(list, err)
	})
	register(api, huma.Operation{
		OperationID: "list-runs", Method: http.MethodGet, Path: "/v1/jobs/{name}/runs", Tags: tags, Security: forUsers,
		Summary: "List runs of a job", Description: "Those that were skipped included, page by page.", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, input *runsInput) (*listed[runList], error) {
		filter := jobs.Filter{Job: jobs.Name(input.Name), State: jobs.State(input.State), Limit: input.Limit + 1}
		if input.Symbol != "" {
			symbol, err := market.ParseSymbol(input.Symbol)
			if err != nil {
				return nil, err
			}
			filter.Symbol = symbol
		}
		if c := input.Cursor; c.given {
			filter.Before = jobs.Place{QueuedAt: c.after.QueuedAt.time(), ID: c.after.ID}
		}
		runs, err := records.Runs(ctx, filter)
		if err != nil {
			return nil, err
		}
		answer := &listed[runList]{Body: runList{Runs: []jobRun{}}}
		runs, answer.Body.NextCursor, answer.Link = endPage(&input.Page, runs, input.Limit, runKeyOf)
		for _, r := range runs {
			answer.Body.Runs = append(answer.Body.Runs, runOf(r))
		}
		return answer, nil
	})
	register(api, huma.Operation{
		OperationID: "get-run", Method: http.MethodGet, Path: "/v1/runs/{id}", Tags: tags, Security: forUsers,
		Summary: "Get a run", Description: "With all its attempts and what they failed of.", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, input *runPath) (*body[jobRun], error) {
		r, err := records.Run(ctx, input.ID)
		return answerWith(runOf(r), err)
	})
	register(api, huma.Operation{
		OperationID: "run-job", Method: http.MethodPost, Path: "/v1/jobs/{name}/runs", Tags: tags, Security: forAdmins,
		Summary: "Run a job now", Description: "Queues a run. With start or end, an ingest is a back-fill of just those candles, for which the exchange is asked again even where it had none.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusConflict, http.StatusNotFound},
	}, func(ctx context.Context, input *struct {
		Name jobName `path:"name"`
		Body runRequest
	}) (*body[jobRun], error) {
		task := jobs.Task{}
		if input.Body.Symbol != "" {
			symbol, err := market.ParseSymbol(string(input.Body.Symbol))
			if err != nil {
				return nil, err
			}
			task.Symbol = symbol
		}
		for _, bound := range []struct {
			location string
			from     *time.Time
			to       *time.Time
		}{{"body.start", input.Body.Start, &task.Wanted.Start}, {"body.end", input.Body.End, &task.Wanted.End}} {
			if bound.from == nil {
				continue
			}
			if bound.from.Before(earliest) || !bound.from.Before(latest) {
				return nil, invalid(ctx, bound.location, errInstantRange.Error())
			}
			*bound.to = bound.from.UTC()
		}
		return runJob(ctx, control, people, jobs.Name(input.Name), task)
	})
	register(api, huma.Operation{
		OperationID: "retry-run", Method: http.MethodPost, Path: "/v1/runs/{id}/retry", Tags: tags, Security: forAdmins,
		Summary: "Retry a run", Description: "Tries a run again that failed or was cancelled, or at once one that waits for another attempt.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusConflict, http.StatusNotFound},
	}, func(ctx context.Context, input *runPath) (*body[jobRun], error) {
		r, err := control.Retry(ctx, input.ID, accounts.CallerOf(ctx).Username)
		return noted(ctx, people, accounts.RetryJob, r, err)
	})
	register(api, huma.Operation{
		OperationID: "cancel-run", Method: http.MethodPost, Path: "/v1/runs/{id}/cancel", Tags: tags, Security: forAdmins,
		Summary: "Cancel a run", Description: "Calls a run off; what is being done ends soon.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusConflict, http.StatusNotFound},
	}, func(ctx context.Context, input *runPath) (*body[jobRun], error) {
		r, err := control.Cancel(ctx, input.ID, accounts.CallerOf(ctx).Username)
		return noted(ctx, people, accounts.CancelJob, r, err)
	})
}

type runPath struct {
	ID int64 `path:"id" doc:"Number of the run."`
}

func runJob(ctx context.Context, control Jobs, people Accounts, name jobs.Name, task jobs.Task) (*body[jobRun], error) {
	r, err := control.RunNow(ctx, name, task, accounts.CallerOf(ctx).Username)
	return noted(ctx, people, accounts.RunJob, r, err)
}

// noted writes what was done to a run into the audit log.
func noted(ctx context.Context, people Accounts, action accounts.Action, r jobs.Run, err error) (*body[jobRun], error) {
	if err != nil {
		return nil, err
	}
	details := map[string]string{"run": strconv.FormatInt(r.ID, 10), "symbol": string(r.Task.Symbol)}
	return answerWith(runOf(r), people.Note(ctx, accounts.CallerOf(ctx), action, string(r.Job), details))
}
