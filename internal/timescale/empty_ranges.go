package timescale

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// queueEmptyRanges reads the empty ranges of a series that overlap r, oldest
// first, when the batch is sent.
func queueEmptyRanges(batch *pgx.Batch, series market.Series, r market.TimeRange, ranges *[]history.EmptyRange) {
	batch.Queue(`
		SELECT start_time, end_time, asked, last_asked FROM empty_ranges
		WHERE symbol = $1 AND interval = $2 AND start_time < $4 AND end_time > $3
		ORDER BY start_time`, series.Symbol, series.Interval, r.Start, r.End,
	).Query(func(rows pgx.Rows) (err error) {
		*ranges, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (history.EmptyRange, error) {
			var e history.EmptyRange
			err := row.Scan(&e.Start, &e.End, &e.Asked, &e.LastAsked)
			return e, err
		})
		return err
	})
}

// replaceEmptyRanges stores the ranges after in the place of those before, which
// must have been read in the same transaction.
func replaceEmptyRanges(ctx context.Context, tx pgx.Tx, series market.Series, before, after []history.EmptyRange) error {
	if slices.EqualFunc(before, after, sameEmptyRange) {
		return nil
	}
	batch := &pgx.Batch{}
	if len(before) > 0 {
		starts := make([]time.Time, len(before))
		for k, e := range before {
			starts[k] = e.Start
		}
		batch.Queue(`DELETE FROM empty_ranges WHERE symbol = $1 AND interval = $2 AND start_time = ANY ($3)`,
			series.Symbol, series.Interval, starts)
	}
	for _, e := range after {
		batch.Queue(`
			INSERT INTO empty_ranges (symbol, interval, start_time, end_time, asked, last_asked, confirmed)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			series.Symbol, series.Interval, e.Start, e.End, e.Asked, e.LastAsked, e.Confirmed())
	}
	return tx.SendBatch(ctx, batch).Close()
}

func sameEmptyRange(a, b history.EmptyRange) bool {
	return a.Start.Equal(b.Start) && a.End.Equal(b.End) && a.Asked == b.Asked && a.LastAsked.Equal(b.LastAsked)
}
