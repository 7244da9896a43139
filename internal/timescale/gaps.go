package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Gaps implements history.Store. It looks at the places that open within the
// window and close by its end. Nothing stored is one gap, not an error.
func (d *Database) Gaps(ctx context.Context, series market.Series, window market.TimeRange) ([]history.Gap, error) {
	rows, err := d.pool.Query(ctx, `
		SELECT start_time, end_time, missing, cause, asked, last_asked FROM candle_gaps($1, $2, $3, $4)`,
		series.Symbol, series.Interval, window.Start, window.End)
	if err != nil {
		return nil, fmt.Errorf("find the gaps of %s: %w", series, err)
	}
	gaps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (history.Gap, error) {
		var g history.Gap
		err := row.Scan(&g.Start, &g.End, &g.Missing, &g.Cause, &g.Asked, nullable[time.Time]{&g.LastAsked})
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("find the gaps of %s: %w", series, err)
	}
	return gaps, nil
}
