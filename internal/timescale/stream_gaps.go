package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// WriteStreamGap implements live.TickStore. A gap of the same symbol and start is
// replaced, unless it is longer: then another process has missed more. What other
// processes have sampled of it or missed too is told by stream_coverage, since it
// may be written later than the gap.
func (d *Database) WriteStreamGap(ctx context.Context, gap live.StreamGap) error {
	_, err := d.pool.Exec(ctx, `
		INSERT INTO stream_gaps (symbol, start_time, end_time, missing, reason) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (symbol, start_time) DO UPDATE SET
			end_time = excluded.end_time, missing = excluded.missing, reason = excluded.reason
			WHERE excluded.end_time >= stream_gaps.end_time`,
		gap.Symbol, gap.Start, gap.End, gap.Missing, gap.Reason)
	if err != nil {
		return fmt.Errorf("write a stream gap of %s from %s: %w", gap.Symbol, gap.Start.Format(time.RFC3339), err)
	}
	return nil
}

// AccountedUntil implements live.TickStore. A tick that was dropped for its age
// counts as stored.
func (d *Database) AccountedUntil(ctx context.Context, symbol market.Symbol) (market.Optional[time.Time], error) {
	var until market.Optional[time.Time]
	// Ordered and limited, each part reads one row by its key; greatest passes over
	// NULL.
	err := d.pool.QueryRow(ctx, `
		SELECT greatest(
			(SELECT sampled_at FROM ticks WHERE symbol = $1 ORDER BY sampled_at DESC LIMIT 1) + INTERVAL '1 microsecond',
			(SELECT last_sample FROM dropped_ticks WHERE symbol = $1) + INTERVAL '1 microsecond',
			(SELECT end_time FROM stream_gaps WHERE symbol = $1 ORDER BY start_time DESC LIMIT 1))`, symbol,
	).Scan(nullable[time.Time]{&until})
	if err != nil {
		return until, fmt.Errorf("read until when ticks of %s are accounted for: %w", symbol, err)
	}
	return until, nil
}
