package timescale

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// InsideStates implements forecast.StateReader by the ticks. The lot that decides
// which of them tells of a quarter is a hash of its instant, that is the same in
// every database and release.
func (d *Database) InsideStates(
	ctx context.Context, series market.Series, r market.TimeRange,
) ([]forecast.OpenCandle, error) {
	// The bounds of sampled_at let the planner leave out chunks.
	lastClose := series.Interval.Next(series.Interval.Floor(r.End))
	rows, err := d.pool.Query(ctx, `
		SELECT DISTINCT ON (open_time, quarter)
			sampled_at, open_time, open, high, low, close, volume, taker_buy_volume
		FROM ticks
		CROSS JOIN LATERAL (SELECT candle_next(interval, open_time) AS close_time)
		CROSS JOIN LATERAL (
			SELECT floor(4 * extract(epoch FROM sampled_at - open_time) / extract(epoch FROM close_time - open_time)) AS quarter)
		WHERE symbol = $1 AND interval = $2 AND open_time >= $3 AND open_time < $4
			AND sampled_at > $3 AND sampled_at < $5
			AND sampled_at > open_time AND sampled_at < close_time
		ORDER BY open_time, quarter, sha256(timestamptz_send(sampled_at))`,
		series.Symbol, series.Interval, r.Start, r.End, lastClose)
	if err != nil {
		return nil, fmt.Errorf("read ticks within candles of %s: %w", series, err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (forecast.OpenCandle, error) {
		state := forecast.OpenCandle{Series: series}
		c := &state.Candle
		c.Source, c.Parts = series.Interval, 1
		return state, row.Scan(&state.At, &c.OpenTime, &c.Open, &c.High, &c.Low, &c.Close, &c.Volume,
			nullable[float64]{&c.TakerBuyVolume})
	})
	if err != nil {
		return nil, fmt.Errorf("read ticks within candles of %s: %w", series, err)
	}
	return states, nil
}
