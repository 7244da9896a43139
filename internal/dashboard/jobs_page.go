package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/httpstatus"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// shownRuns is how many runs of a job the grid shows.
const shownRuns = 40

// jobsPage shows what ran, and what became of it.
type jobsPage struct {
	layout
	Jobs    []jobRow
	States  []runSquare // the legend
	Pairs   []market.Symbol
	Active  bool // something is going on, so that the page is worth to be looked at again
	Problem string
}

type jobRow struct {
	Name, Purpose string
	PerSymbol     bool
	Symbols       []symbolRuns
}

type symbolRuns struct {
	Symbol string // empty for a job that is not per symbol
	Next   string // when it is due next, in words
	Runs   []runSquare
}

// runSquare is a run in the grid: its state shows by a glyph, a shape and a colour.
type runSquare struct {
	ID                 int64
	State, Glyph, Says string
}

// glyphs tell states apart without colours.
var glyphs = map[jobs.State]string{
	jobs.Queued: "·", jobs.Running: "▶", jobs.Retrying: "↻", jobs.Succeeded: "✓", jobs.Failed: "✕", jobs.Cancelled: "■", jobs.Skipped: "»",
}

var runStates = []jobs.State{jobs.Succeeded, jobs.Running, jobs.Queued, jobs.Retrying, jobs.Failed, jobs.Cancelled, jobs.Skipped}

func (d *dashboard) serveJobs(w http.ResponseWriter, r *http.Request, h holdings) {
	d.renderJobs(w, r, http.StatusOK, h, "")
}

func (d *dashboard) renderJobs(w http.ResponseWriter, r *http.Request, status int, h holdings, problem string) {
	page := jobsPage{layout: newLayout("Jobs", h, marketSection, market.Series{}), Pairs: h.stored.Symbols(), Problem: problem}
	for _, state := range runStates {
		page.States = append(page.States, runSquare{State: string(state), Glyph: glyphs[state]})
	}
	newest, err := d.Runs.NewestRuns(r.Context())
	if err != nil {
		d.fail(w, r, h, fmt.Errorf("listing jobs: %w", err))
		return
	}
	var upcoming []jobs.Upcoming
	if d.Schedule != nil {
		upcoming = d.Schedule.Upcoming()
	}
	for _, definition := range jobs.Definitions() {
		row := jobRow{Name: string(definition.Name), Purpose: definition.Purpose, PerSymbol: definition.PerSymbol}
		for _, of := range shownSymbols(definition.Name, newest, upcoming) {
			runs, err := d.Runs.Runs(r.Context(), jobs.Filter{Job: definition.Name, Symbol: of, Limit: shownRuns})
			if err != nil {
				d.fail(w, r, h, fmt.Errorf("listing runs of %s: %w", definition.Name, err))
				return
			}
			slices.Reverse(runs)
			squares := symbolRuns{Symbol: string(of), Next: nextInWords(definition.Name, of, upcoming, d.Now())}
			for _, run := range runs {
				squares.Runs = append(squares.Runs, runSquare{run.ID, string(run.State), glyphs[run.State], runInWords(run)})
				page.Active = page.Active || !run.State.Final()
			}
			row.Symbols = append(row.Symbols, squares)
		}
		page.Jobs = append(page.Jobs, row)
	}
	d.render(w, r, status, d.jobs, page)
}

// shownSymbols returns the symbols of a job that ran or will, in their order.
func shownSymbols(job jobs.Name, newest []jobs.Run, upcoming []jobs.Upcoming) []market.Symbol {
	var symbols []market.Symbol
	for _, run := range newest {
		if run.Job == job {
			symbols = append(symbols, run.Task.Symbol)
		}
	}
	for _, u := range upcoming {
		if u.Job == job {
			symbols = append(symbols, u.Symbol)
		}
	}
	slices.Sort(symbols)
	return slices.Compact(symbols)
}

// nextInWords says when a job is due next by its schedule.
func nextInWords(job jobs.Name, symbol market.Symbol, upcoming []jobs.Upcoming, now time.Time) string {
	at := slices.IndexFunc(upcoming, func(u jobs.Upcoming) bool { return u.Job == job && u.Symbol == symbol })
	if at < 0 {
		return "not scheduled"
	}
	due := upcoming[at].At.UTC()
	layout := "15:04:05 UTC"
	if due.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		layout = "2006-01-02 15:04:05 UTC"
	}
	return fmt.Sprintf("next in %s, %s", shortSpan(due.Sub(now)), due.Format(layout))
}

// shortSpan writes a length of time in the coarsest unit of which it has at least two,
// in seconds where it is less than that.
func shortSpan(span time.Duration) string {
	switch {
	case span < 2*time.Minute:
		return fmt.Sprintf("%d s", max(0, span)/time.Second)
	case span < 2*time.Hour:
		return fmt.Sprintf("%d min", span/time.Minute)
	case span < 48*time.Hour:
		return fmt.Sprintf("%d h", span/time.Hour)
	}
	return fmt.Sprintf("%d days", span/(24*time.Hour))
}

func runInWords(r jobs.Run) string {
	words := fmt.Sprintf("%s, due %s", r.State, r.ScheduledAt.UTC().Format("2006-01-02 15:04:05"))
	if took := tookOf(r); took != "" {
		words += ", took " + took
	}
	if r.Rows > 0 {
		words += fmt.Sprintf(", %d rows", r.Rows)
	}
	return words
}

func tookOf(r jobs.Run) string {
	if !r.StartedAt.Valid || !r.EndedAt.Valid {
		return ""
	}
	return r.EndedAt.Value.Sub(r.StartedAt.Value).Round(10 * time.Millisecond).String()
}

// runPage shows one run with its attempts.
type runPage struct {
	layout
	Run       jobs.Run
	Glyph     string
	Facts     []fact
	Report    []fact
	Attempts  []attemptRow
	MayRetry  bool
	MayCancel bool
	Problem   string
}

type attemptRow struct {
	Number                                int
	Started, Ended, Instance, Error, Kind string
}

func (d *dashboard) serveRun(w http.ResponseWriter, r *http.Request, h holdings) {
	d.renderRun(w, r, http.StatusOK, h, "")
}

func (d *dashboard) renderRun(w http.ResponseWriter, r *http.Request, status int, h holdings, problem string) {
	run, err := d.runOf(r)
	if err != nil {
		d.fail(w, r, h, err)
		return
	}
	page := runPage{
		layout: newLayout(fmt.Sprintf("Run %d", run.ID), h, marketSection, market.Series{}), Run: run, Glyph: glyphs[run.State], Problem: problem,
		MayRetry:  run.State == jobs.Failed || run.State == jobs.Cancelled || run.State == jobs.Retrying,
		MayCancel: !run.State.Final(),
	}
	add := func(name, value string) {
		if value != "" {
			page.Facts = append(page.Facts, newFact(name, value))
		}
	}
	add("Symbol", string(run.Task.Symbol))
	add("Trigger", string(run.Trigger))
	visible := accounts.CallerOf(r.Context()).Known() // who has a name here is nobody else's business
	if visible {
		add("Asked for by", run.By)
		add("Retried by", run.RetriedBy)
		add("Cancelled by", run.CancelledBy)
	}
	add("Due", instantOrNothing(run.ScheduledAt))
	add("Queued", instantOrNothing(run.QueuedAt))
	add("Started", instantOrNothing(run.StartedAt.Value))
	add("Ended", instantOrNothing(run.EndedAt.Value))
	add("Took", tookOf(run))
	add("Next attempt", instantOrNothing(run.NextAttemptAt.Value))
	add("Attempts", fmt.Sprintf("%d of %d", run.Attempted, run.MostAttempts))
	add("Back-fill from", instantOrNothing(run.Task.Wanted.Start))
	add("Back-fill to", instantOrNothing(run.Task.Wanted.End))
	if visible || run.CancelledBy == "" {
		add("Reason", run.Reason)
	}
	names := make([]string, 0, len(run.Report))
	for name := range run.Report {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		page.Report = append(page.Report, newFact(name, strconv.FormatInt(run.Report[name], 10)))
	}
	for _, a := range run.Attempts {
		row := attemptRow{Number: a.Number, Started: instantOrNothing(a.StartedAt), Ended: instantOrNothing(a.EndedAt), Instance: a.Instance}
		switch {
		case a.Error == "":
		case !visible:
			// It may tell of hosts and addresses.
			row.Error = "Log in to see what it failed of."
		default:
			row.Error = a.Error
		}
		if a.Panicked {
			row.Kind = "panic"
		}
		page.Attempts = append(page.Attempts, row)
	}
	d.render(w, r, status, d.run, page)
}

func instantOrNothing(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}

func (d *dashboard) runOf(r *http.Request) (jobs.Run, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return jobs.Run{}, market.Errorf(market.NotFound, "there is no such run")
	}
	return d.Runs.Run(r.Context(), id)
}

// takeRunNow asks for a run of a job, a back-fill where the form names a range.
func (d *dashboard) takeRunNow(w http.ResponseWriter, r *http.Request, h holdings) {
	by := accounts.CallerOf(r.Context())
	run, err := func() (jobs.Run, error) {
		name, err := jobs.ParseName(r.PathValue("name"))
		if err != nil {
			return jobs.Run{}, err
		}
		var task jobs.Task
		if text := r.PostFormValue("symbol"); text != "" {
			if task.Symbol, err = market.ParseSymbol(text); err != nil {
				return jobs.Run{}, err
			}
		}
		for field, into := range map[string]*time.Time{"start": &task.Wanted.Start, "end": &task.Wanted.End} {
			if text := r.PostFormValue(field); text != "" {
				if *into, err = time.Parse(time.DateOnly, text); err != nil {
					return jobs.Run{}, market.Errorf(market.Invalid, "the %s must be a day such as 2024-01-31", field)
				}
			}
		}
		return d.Jobs.RunNow(r.Context(), name, task, by.Username)
	}()
	if err == nil {
		err = d.noteRun(r, accounts.RunJob, run)
	}
	if err != nil {
		d.renderJobs(w, r, httpstatus.Of(err), h, d.problemText(w, r, err))
		return
	}
	back(w, r, runPath(run.ID))
}

func (d *dashboard) takeRetry(w http.ResponseWriter, r *http.Request, h holdings) {
	by := accounts.CallerOf(r.Context()).Username
	d.changeRun(w, r, h, accounts.RetryJob, func(id int64) (jobs.Run, error) { return d.Jobs.Retry(r.Context(), id, by) })
}

func (d *dashboard) takeCancel(w http.ResponseWriter, r *http.Request, h holdings) {
	by := accounts.CallerOf(r.Context()).Username
	d.changeRun(w, r, h, accounts.CancelJob, func(id int64) (jobs.Run, error) { return d.Jobs.Cancel(r.Context(), id, by) })
}

func (d *dashboard) changeRun(w http.ResponseWriter, r *http.Request, h holdings, action accounts.Action, change func(id int64) (jobs.Run, error)) {
	run, err := d.runOf(r)
	if err != nil {
		d.fail(w, r, h, err)
		return
	}
	if run, err = change(run.ID); err == nil {
		err = d.noteRun(r, action, run)
	}
	if err != nil {
		d.renderRun(w, r, httpstatus.Of(err), h, d.problemText(w, r, err))
		return
	}
	back(w, r, runPath(run.ID))
}

func (d *dashboard) noteRun(r *http.Request, action accounts.Action, run jobs.Run) error {
	details := map[string]string{"run": strconv.FormatInt(run.ID, 10), "symbol": string(run.Task.Symbol)}
	return d.Accounts.Note(r.Context(), accounts.CallerOf(r.Context()), action, string(run.Job), details)
}

func runPath(id int64) string { return "/jobs/runs/" + strconv.FormatInt(id, 10) }
