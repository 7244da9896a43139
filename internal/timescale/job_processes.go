package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
)

// giveBackSQL returns the statement that gives back the running runs j of a condition,
// each of which failed of what the expression failure says. Its parameter $1 is
// jobs.AttemptsKey. It does as the library's own rescue, but at once.
func giveBackSQL(failure, condition string) string {
	return `
		UPDATE river.river_job AS j SET
			state = becomes.state, finalized_at = CASE WHEN becomes.state <> 'retryable' THEN now() END,
			scheduled_at = now(),
			metadata = jsonb_set(metadata, ARRAY[$1::text], coalesce(metadata -> $1::text, '{}') || jsonb_build_object(attempt,
				jsonb_build_object('began_at', attempted_at, 'instance', attempted_by[cardinality(attempted_by)]))),
			errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'trace', '', 'error', ` + failure + `))
		FROM (
			SELECT id, CASE WHEN metadata ? 'cancel_attempted_at' THEN 'cancelled'
				WHEN attempt >= max_attempts THEN 'discarded' ELSE 'retryable' END::river.river_job_state AS state
			FROM river.river_job AS j
			WHERE state = 'running' AND kind = 'run' AND ` + condition + `
			FOR UPDATE SKIP LOCKED) AS becomes
		WHERE j.id = becomes.id
		RETURNING j.id, j.args ->> 'job', j.args ->> 'symbol', j.attempt, coalesce(j.attempted_by[cardinality(j.attempted_by)], '')`
}

// Beat implements jobs.Processes. Only a process that has been heard of without a break
// for as long as it asks of others judges them: where the database or the machine stood
// still, all were silent.
func (d *Database) Beat(ctx context.Context, process string, silent time.Duration) ([]jobs.GivenBack, error) {
	var mayJudge bool
	err := d.pool.QueryRow(ctx, `
		INSERT INTO job_processes AS p (process_id) VALUES ($1) ON CONFLICT (process_id) DO UPDATE SET
			beat_at = now(), began_at = CASE WHEN p.beat_at < now() - $2::interval / 2 THEN now() ELSE p.began_at END
		RETURNING p.began_at <= now() - $2::interval`, process, silent).Scan(&mayJudge)
	if err != nil {
		return nil, fmt.Errorf("give a sign of life: %w", err)
	}
	if !mayJudge {
		return nil, nil
	}
	rows, _ := d.pool.Query(ctx, giveBackSQL(
		`'the process ' || coalesce(attempted_by[cardinality(attempted_by)], '') || ' ended while it worked on this'`,
		`attempted_at < now() - $2::interval AND NOT EXISTS (
			SELECT FROM job_processes
			WHERE process_id = attempted_by[cardinality(attempted_by)] AND beat_at > now() - $2::interval)`), jobs.AttemptsKey, silent)
	given, err := pgx.CollectRows(rows, pgx.RowToStructByPos[jobs.GivenBack])
	if err != nil {
		return nil, fmt.Errorf("give back the runs of processes that ended: %w", err)
	}
	_, err = d.pool.Exec(ctx, `DELETE FROM job_processes WHERE beat_at < now() - $1::interval`, 10*silent)
	if err != nil {
		err = fmt.Errorf("forget processes that ended: %w", err)
	}
	return given, err
}

// Held implements jobs.Processes.
func (d *Database) Held(ctx context.Context, process string) (map[int64]int, error) {
	rows, _ := d.pool.Query(ctx, `
		SELECT id, attempt FROM river.river_job WHERE state = 'running' AND attempted_by[cardinality(attempted_by)] = $1`, process)
	held := map[int64]int{}
	var id int64
	var attempt int
	_, err := pgx.ForEachRow(rows, []any{&id, &attempt}, func() error {
		held[id] = attempt
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the runs of a process: %w", err)
	}
	return held, nil
}

// GiveBack implements jobs.Processes.
func (d *Database) GiveBack(ctx context.Context, process string, id int64, attempt int, failure string) (bool, error) {
	given, err := d.pool.Exec(ctx, giveBackSQL(`$5::text`,
		`j.id = $2 AND attempt = $3 AND attempted_by[cardinality(attempted_by)] = $4`), jobs.AttemptsKey, id, attempt, process, failure)
	if err != nil {
		return false, fmt.Errorf("give back run %d: %w", id, err)
	}
	return given.RowsAffected() > 0, nil
}

// Leave implements jobs.Processes.
func (d *Database) Leave(ctx context.Context, process string) error {
	if _, err := d.pool.Exec(ctx, `DELETE FROM job_processes WHERE process_id = $1`, process); err != nil {
		return fmt.Errorf("forget a process: %w", err)
	}
	return nil
}
