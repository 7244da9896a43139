package timescale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// JobDriver is how the queue of jobs reaches the database.
func (d *Database) JobDriver() jobs.Driver { return riverpgxv5.New(d.pool.Pool) }

const runColumns = `id, job, symbol, state, trigger, requested_by, scheduled_at, queued_at, started_at, ended_at, next_attempt_at,
	attempts, attempts_allowed, report, rows, wanted_start, wanted_end, coalesce(reason, ''), retried_by, cancelled_by, coalesce(error, '')`

func scanRun(row pgx.CollectableRow) (jobs.Run, error) {
	var r jobs.Run
	var start, end *time.Time
	var failure string
	err := row.Scan(&r.ID, &r.Job, &r.Task.Symbol, &r.State, &r.Trigger, &r.By, &r.ScheduledAt, &r.QueuedAt,
		nullable[time.Time]{&r.StartedAt}, nullable[time.Time]{&r.EndedAt}, nullable[time.Time]{&r.NextAttemptAt},
		&r.Attempted, &r.MostAttempts, &r.Report, &r.Rows, &start, &end, &r.Reason, &r.RetriedBy, &r.CancelledBy, &failure)
	if err != nil {
		return jobs.Run{}, err
	}
	if start != nil {
		r.Task.Wanted.Start = start.UTC()
	}
	if end != nil {
		r.Task.Wanted.End = end.UTC()
	}
	if failure != "" {
		r.Attempts = []jobs.Attempt{{Number: r.Attempted, Error: failure}}
	}
	return r, nil
}

// Runs implements jobs.Records.
func (d *Database) Runs(ctx context.Context, filter jobs.Filter) ([]jobs.Run, error) {
	// What does not limit the runs is not in the statement: no plan for all cases could
	// use the indexes.
	conditions, arguments := []string{"true"}, []any{min(max(filter.Limit, 1), jobs.MostRuns)}
	where := func(condition string, values ...any) {
		for _, value := range values {
			arguments = append(arguments, value)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(arguments)), 1)
		}
		conditions = append(conditions, condition)
	}
	if filter.Job != "" {
		where("job = ?", filter.Job)
	}
	if filter.Symbol != "" {
		where("symbol = ?", filter.Symbol)
	}
	if filter.State != "" {
		where("state = ?", filter.State)
	}
	if !filter.Before.QueuedAt.IsZero() {
		where("queued_at <= ? AND (queued_at, id) < (?, ?)", filter.Before.QueuedAt, filter.Before.QueuedAt, filter.Before.ID)
	}
	rows, _ := d.pool.Query(ctx, `SELECT `+runColumns+` FROM job_runs WHERE `+strings.Join(conditions, " AND ")+`
		ORDER BY queued_at DESC, id DESC LIMIT $1`, arguments...)
	runs, err := pgx.CollectRows(rows, scanRun)
	if err != nil {
		return nil, fmt.Errorf("list runs of jobs: %w", err)
	}
	return runs, nil
}

// NewestRuns implements jobs.Records.
func (d *Database) NewestRuns(ctx context.Context) ([]jobs.Run, error) {
	// From one job and symbol to the next by the index: of the runs there are tens of
	// thousands.
	rows, _ := d.pool.Query(ctx, `
		WITH RECURSIVE ran (job, symbol) AS (
			(SELECT args ->> 'job', args ->> 'symbol' FROM river.river_job WHERE kind = 'run' ORDER BY 1, 2 LIMIT 1)
			UNION ALL
			SELECT next.* FROM ran, LATERAL (
				SELECT args ->> 'job', args ->> 'symbol' FROM river.river_job
				WHERE kind = 'run' AND (args ->> 'job', args ->> 'symbol') > (ran.job, ran.symbol) ORDER BY 1, 2 LIMIT 1) AS next
		)
		SELECT newest.* FROM (SELECT job, symbol FROM ran UNION SELECT job, symbol FROM job_skips) AS known, LATERAL (
			SELECT `+runColumns+` FROM job_runs
			WHERE job_runs.job = known.job AND job_runs.symbol = known.symbol ORDER BY queued_at DESC, id DESC LIMIT 1) AS newest
		ORDER BY newest.job, newest.symbol`)
	runs, err := pgx.CollectRows(rows, scanRun)
	if err != nil {
		return nil, fmt.Errorf("list the newest runs of jobs: %w", err)
	}
	return runs, nil
}

// riverFailure is what the queue keeps of an attempt that failed.
type riverFailure struct {
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Error   string    `json:"error"`
	Trace   string    `json:"trace"`
}

// Run implements jobs.Records.
func (d *Database) Run(ctx context.Context, id int64) (jobs.Run, error) {
	rows, _ := d.pool.Query(ctx, `SELECT `+runColumns+` FROM job_runs WHERE id = $1`, id)
	run, err := pgx.CollectExactlyOneRow(rows, scanRun)
	if errors.Is(err, pgx.ErrNoRows) {
		return jobs.Run{}, market.Errorf(market.NotFound, "there is no run %d", id)
	}
	if err != nil {
		return jobs.Run{}, fmt.Errorf("read run %d: %w", id, err)
	}
	if run.State == jobs.Skipped {
		return run, nil
	}
	var failures []json.RawMessage
	var newest *string
	var noted map[int]jobs.Try
	err = d.pool.QueryRow(ctx, `
		SELECT errors, attempted_by[cardinality(attempted_by)], metadata -> $2 FROM river.river_job WHERE id = $1`, id, jobs.AttemptsKey).
		Scan(&failures, &newest, &noted)
	if err != nil {
		return jobs.Run{}, fmt.Errorf("read the attempts of run %d: %w", id, err)
	}
	run.Attempts = make([]jobs.Attempt, run.Attempted)
	for k := range run.Attempts {
		run.Attempts[k].Number = k + 1
		run.Attempts[k].StartedAt, run.Attempts[k].Instance = noted[k+1].BeganAt, noted[k+1].Instance
	}
	for _, raw := range failures {
		var f riverFailure
		if err := json.Unmarshal(raw, &f); err != nil {
			return jobs.Run{}, fmt.Errorf("read the attempts of run %d: %w", id, err)
		}
		if f.Attempt >= 1 && f.Attempt <= len(run.Attempts) {
			a := &run.Attempts[f.Attempt-1]
			a.Error, a.EndedAt, a.Panicked = f.Error, f.At.UTC(), f.Trace != ""
			if a.Panicked {
				a.Error += "\n" + firstLines(f.Trace)
			}
		}
	}
	if last := len(run.Attempts) - 1; last >= 0 {
		// One that runs is noted when it ends.
		run.Attempts[last].StartedAt = run.StartedAt.Value
		if newest != nil {
			run.Attempts[last].Instance = *newest
		}
		if run.EndedAt.Valid {
			run.Attempts[last].EndedAt = run.EndedAt.Value
		}
	}
	return run, nil
}

// mostTraceLines is how much of a stack is shown: two lines a call, the panic's first.
const mostTraceLines = 16

func firstLines(trace string) string {
	lines := strings.SplitAfterN(trace, "\n", mostTraceLines+1)
	return strings.TrimSpace(strings.Join(lines[:min(len(lines), mostTraceLines)], ""))
}
