package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// QueueIfDue implements jobs.Queue.
func (d *Database) QueueIfDue(ctx context.Context, job jobs.Name, symbol market.Symbol, slot time.Time, queue jobs.InTransaction) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		// Who asks second sees what the first one queued, even if that is done by then.
		_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('job ' || $1::text || ' ' || $2::text, 0))`, job, symbol)
		if err != nil {
			return err
		}
		var isDue bool
		err = tx.QueryRow(ctx, `
			WITH known AS (
				SELECT max(scheduled_at) AS newest FROM (
					SELECT (args ->> 'scheduled_at')::timestamptz AS scheduled_at FROM river.river_job
					WHERE args ->> 'job' = $1 AND args ->> 'symbol' = $2 AND NOT args ?| '{wanted_start,wanted_end}'
					ORDER BY created_at DESC, id DESC LIMIT 1
				) AS run
				UNION ALL
				SELECT max(scheduled_at) FROM job_skips WHERE job = $1 AND symbol = $2
			), active AS (
				SELECT id, args ?| '{wanted_start,wanted_end}' AS is_backfill FROM river.river_job
				WHERE args ->> 'job' = $1 AND args ->> 'symbol' = $2 AND state NOT IN ('cancelled', 'completed', 'discarded')
				ORDER BY created_at DESC, id DESC LIMIT 1
			), due AS (
				SELECT NOT EXISTS (SELECT FROM known WHERE newest >= $3) AS yes
			), skip AS (
				INSERT INTO job_skips (job, symbol, scheduled_at, active_run)
				SELECT $1, $2, $3, active.id FROM active, due WHERE due.yes AND NOT active.is_backfill
				ON CONFLICT DO NOTHING
			)
			SELECT due.yes AND NOT EXISTS (SELECT FROM active) FROM due`, job, symbol, slot).Scan(&isDue)
		if err != nil || !isDue {
			return err
		}
		return queue(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("queue %s %s if it is due: %w", job, symbol, err)
	}
	return nil
}

// Request implements jobs.Queue.
func (d *Database) Request(
	ctx context.Context, id int64, request jobs.Request, by string, states []jobs.State, do jobs.InTransaction,
) (bool, error) {
	done := false
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		noted, err := tx.Exec(ctx, `
			UPDATE river.river_job SET metadata = CASE
				WHEN $2 = $5::text AND metadata ? 'cancel_attempted_at' THEN metadata
				ELSE metadata || jsonb_build_object($2::text, $3::text) END
			WHERE id = $1 AND job_run_state(state, attempt, metadata) = ANY($4)`, id, request, by, states, jobs.RequestCancel)
		if err != nil || noted.RowsAffected() == 0 {
			return err
		}
		done = true
		return do(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("note that run %d was %s %s: %w", id, request, by, err)
	}
	return done, nil
}

// PruneSkips removes the record of runs that were skipped before an instant.
func (d *Database) PruneSkips(ctx context.Context, before time.Time) (int64, error) {
	removed, err := d.pool.Exec(ctx, `DELETE FROM job_skips WHERE skipped_at < $1`, before)
	if err != nil {
		return 0, fmt.Errorf("prune skipped runs: %w", err)
	}
	return removed.RowsAffected(), nil
}
