package timescale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// PackCandles packs the chunks of candles by column that are older than the policy of
// the table says, and returns how many candles that were. TimescaleDB's own scheduler
// does it as well, where it runs. The Apache edition packs nothing.
func (d *Database) PackCandles(ctx context.Context) (int64, error) {
	packed, err := d.runOwnJob(ctx, `
		SELECT job_id FROM timescaledb_information.jobs
		WHERE hypertable_name = 'candles' AND proc_name IN ('policy_compression', 'policy_columnstore')`, d.packedCandles)
	if err != nil {
		return 0, fmt.Errorf("pack old candles by column: %w", err)
	}
	return packed, nil
}

// packedCandles counts the candles of the chunks that are packed.
func (d *Database) packedCandles(ctx context.Context) (candles int64, err error) {
	err = d.pool.QueryRow(ctx, `
		SELECT count(*) FROM timescaledb_information.chunks AS chunk
		JOIN candles AS c ON c.open_time >= chunk.range_start AND c.open_time < chunk.range_end
		WHERE chunk.hypertable_name = 'candles' AND chunk.is_compressed`).Scan(&candles)
	return candles, err
}

// DropOldTicks drops the chunks of ticks that are older than they are kept, once their
// minutes are rolled up, and returns how many ticks that were. TimescaleDB's own
// scheduler does it as well, where it runs. The Apache edition drops nothing.
func (d *Database) DropOldTicks(ctx context.Context) (int64, error) {
	dropped, err := d.runOwnJob(ctx, `
		SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'drop_old_ticks'`,
		func(ctx context.Context) (ticks int64, err error) {
			err = d.pool.QueryRow(ctx, `SELECT coalesce(sum(samples + late), 0)::bigint FROM dropped_ticks`).Scan(&ticks)
			return ticks, err
		})
	if err != nil {
		return 0, fmt.Errorf("drop old ticks: %w", err)
	}
	return dropped, nil
}

// runOwnJob runs a job of TimescaleDB's, where there is one, and returns by how much it
// raised a count.
func (d *Database) runOwnJob(ctx context.Context, jobSQL string, count func(context.Context) (int64, error)) (int64, error) {
	var job int32
	err := d.pool.QueryRow(ctx, jobSQL).Scan(&job)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	before, err := count(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := d.pool.Exec(ctx, `CALL run_job($1)`, job); err != nil {
		return 0, err
	}
	after, err := count(ctx)
	return after - before, err
}

// PruneModelFiles removes the files of models, but for the newest of each series, so
// many of them, and those in use, and returns how many it removed. Their records stay.
// It does for all series what PruneModels does after each training, for one that was
// killed before.
func (d *Database) PruneModelFiles(ctx context.Context, keep int) (removed int64, err error) {
	err = d.pool.transaction(ctx, func(tx pgx.Tx) error {
		if err := lockPromotions(ctx, tx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE models SET bytes = NULL WHERE id IN (
				SELECT id FROM (
					SELECT id, row_number() OVER (PARTITION BY symbol, interval ORDER BY trained_at DESC, id DESC) AS place
					FROM models WHERE bytes IS NOT NULL) AS kept
				WHERE place > $1)
			AND id NOT IN (SELECT model_id FROM models_in_use)`, keep)
		removed = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("prune the files of models: %w", err)
	}
	return removed, nil
}

// RangesToRecheck implements jobs.EmptyRanges.
func (d *Database) RangesToRecheck(ctx context.Context, before time.Time, limit int) ([]history.BackfillRequest, error) {
	rows, _ := d.pool.Query(ctx, `
		SELECT symbol, interval, start_time, end_time FROM empty_ranges
		WHERE confirmed AND last_asked < $1 ORDER BY last_asked, symbol, interval, start_time LIMIT $2`, before, limit)
	requests, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (history.BackfillRequest, error) {
		r := history.BackfillRequest{Recheck: true}
		err := row.Scan(&r.Series.Symbol, &r.Series.Interval, &r.Wanted.Start, &r.Wanted.End)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the empty ranges that are to be asked for again: %w", err)
	}
	return requests, nil
}
