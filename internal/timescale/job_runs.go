package timescale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	attempts, attempts_allowed, report, rows, wanted_start, wanted_end, coalesce(reason, ''), coalesce(error, '')`

func scanRun(row pgx.CollectableRow) (jobs.Run, error) {
	var r jobs.Run
	var start, end *time.Time
	var failure string
	err := row.Scan(&r.ID, &r.Job, &r.Task.Symbol, &r.State, &r.Trigger, &r.By, &r.ScheduledAt, &r.QueuedAt,
		nullable[time.Time]{&r.StartedAt}, nullable[time.Time]{&r.EndedAt}, nullable[time.Time]{&r.NextAttemptAt},
		&r.Attempted, &r.MostAttempts, &r.Report, &r.Rows, &start, &end, &r.Reason, &failure)
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
	var before *time.Time
	if !filter.Before.QueuedAt.IsZero() {
		before = &filter.Before.QueuedAt
	}
	rows, _ := d.pool.Query(ctx, `
		SELECT `+runColumns+` FROM job_runs
		WHERE ($1 = '' OR job = $1) AND ($2 = '' OR symbol = $2) AND ($3 = '' OR state = $3)
			AND ($4::timestamptz IS NULL OR (queued_at, id) < ($4, $5))
		ORDER BY queued_at DESC, id DESC LIMIT $6`,
		filter.Job, filter.Symbol, filter.State, before, filter.Before.ID, min(max(filter.Limit, 1), jobs.MostRuns))
	runs, err := pgx.CollectRows(rows, scanRun)
	if err != nil {
		return nil, fmt.Errorf("list runs of jobs: %w", err)
	}
	return runs, nil
}

// NewestRuns implements jobs.Records.
func (d *Database) NewestRuns(ctx context.Context) ([]jobs.Run, error) {
	rows, _ := d.pool.Query(ctx, `SELECT DISTINCT ON (job, symbol) `+runColumns+` FROM job_runs ORDER BY job, symbol, queued_at DESC, id DESC`)
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

// Due implements jobs.Queue.
func (d *Database) Due(ctx context.Context, job jobs.Name, symbol market.Symbol, slot time.Time) (bool, error) {
	var isDue bool
	err := d.pool.QueryRow(ctx, `
		WITH known AS (
			SELECT max(scheduled_at) AS newest FROM (
				SELECT (args ->> 'scheduled_at')::timestamptz AS scheduled_at FROM river.river_job
				WHERE args ->> 'job' = $1 AND args ->> 'symbol' = $2 ORDER BY created_at DESC, id DESC LIMIT 1
			) AS run
			UNION ALL
			SELECT max(scheduled_at) FROM job_skips WHERE job = $1 AND symbol = $2
		), active AS (
			SELECT id FROM river.river_job
			WHERE args ->> 'job' = $1 AND args ->> 'symbol' = $2 AND state NOT IN ('cancelled', 'completed', 'discarded')
			ORDER BY created_at DESC, id DESC LIMIT 1
		), due AS (
			SELECT NOT EXISTS (SELECT FROM known WHERE newest >= $3) AS yes
		), skip AS (
			INSERT INTO job_skips (job, symbol, scheduled_at, active_run)
			SELECT $1, $2, $3, active.id FROM active, due WHERE due.yes
			ON CONFLICT DO NOTHING
		)
		SELECT due.yes AND NOT EXISTS (SELECT FROM active) FROM due`, job, symbol, slot).Scan(&isDue)
	if err != nil {
		return false, fmt.Errorf("ask whether %s %s is due: %w", job, symbol, err)
	}
	return isDue, nil
}

// Beat implements jobs.Queue. Only a process that has been heard of without a break for
// as long as it asks of others judges them: where the database or the machine stood
// still, all were silent.
func (d *Database) Beat(ctx context.Context, process string, silent time.Duration) (int64, error) {
	var mayJudge bool
	err := d.pool.QueryRow(ctx, `
		INSERT INTO job_processes AS p (process_id) VALUES ($1) ON CONFLICT (process_id) DO UPDATE SET
			beat_at = now(), began_at = CASE WHEN p.beat_at < now() - $2::interval / 2 THEN now() ELSE p.began_at END
		RETURNING p.began_at <= now() - $2::interval`, process, silent).Scan(&mayJudge)
	if err != nil {
		return 0, fmt.Errorf("give a sign of life: %w", err)
	}
	if !mayJudge {
		return 0, nil
	}
	// As the library's own rescue does it, but at once.
	given, err := d.pool.Exec(ctx, `
		UPDATE river.river_job AS j SET
			state = becomes.state, finalized_at = CASE WHEN becomes.state <> 'retryable' THEN now() END,
			scheduled_at = now(),
			metadata = jsonb_set(metadata, ARRAY[$2::text], coalesce(metadata -> $2::text, '{}') || jsonb_build_object(attempt,
				jsonb_build_object('began_at', attempted_at, 'instance', attempted_by[cardinality(attempted_by)]))),
			errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'trace', '',
				'error', 'the process ' || coalesce(attempted_by[cardinality(attempted_by)], '') || ' ended while it worked on this'))
		FROM (
			SELECT id, CASE WHEN metadata ? 'cancel_attempted_at' THEN 'cancelled'
				WHEN attempt >= max_attempts THEN 'discarded' ELSE 'retryable' END::river.river_job_state AS state
			FROM river.river_job
			WHERE state = 'running' AND attempted_at < now() - $1::interval AND NOT EXISTS (
				SELECT FROM job_processes
				WHERE process_id = attempted_by[cardinality(attempted_by)] AND beat_at > now() - $1::interval)
			FOR UPDATE SKIP LOCKED) AS becomes
		WHERE j.id = becomes.id`, silent, jobs.AttemptsKey)
	if err != nil {
		return 0, fmt.Errorf("give back the runs of processes that ended: %w", err)
	}
	_, err = d.pool.Exec(ctx, `DELETE FROM job_processes WHERE beat_at < now() - $1::interval`, 10*silent)
	if err != nil {
		return 0, fmt.Errorf("forget processes that ended: %w", err)
	}
	return given.RowsAffected(), nil
}

// Leave implements jobs.Queue.
func (d *Database) Leave(ctx context.Context, process string) error {
	if _, err := d.pool.Exec(ctx, `DELETE FROM job_processes WHERE process_id = $1`, process); err != nil {
		return fmt.Errorf("forget a process: %w", err)
	}
	return nil
}

// NoteCancel implements jobs.Queue.
func (d *Database) NoteCancel(ctx context.Context, id int64, by string) error {
	_, err := d.pool.Exec(ctx, `
		UPDATE river.river_job SET metadata = metadata || jsonb_build_object('cancelled_by', $2::text) WHERE id = $1`, id, by)
	if err != nil {
		return fmt.Errorf("note who cancels run %d: %w", id, err)
	}
	return nil
}

// PruneSkips removes the record of runs that were skipped before an instant.
func (d *Database) PruneSkips(ctx context.Context, before time.Time) (int64, error) {
	removed, err := d.pool.Exec(ctx, `DELETE FROM job_skips WHERE skipped_at < $1`, before)
	if err != nil {
		return 0, fmt.Errorf("prune skipped runs: %w", err)
	}
	return removed.RowsAffected(), nil
}
