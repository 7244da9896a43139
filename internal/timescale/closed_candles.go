package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// StoreClosed implements live.CandleStore. The roll-ups follow in a call of their
// own: where only that fails, the candle is stored, and storing it again does
// what is left.
func (d *Database) StoreClosed(ctx context.Context, series market.Series, candle market.Candle) error {
	open := series.Interval.Floor(candle.OpenTime)
	place := market.TimeRange{Start: open, End: series.Interval.Next(open)}
	// The occasion only counts for places without a candle, of which there is none.
	page := history.Page{Asked: place, Candles: []market.Candle{candle}, Asking: place.End}
	result, err := d.WritePage(ctx, series, page)
	if err == nil {
		err = d.RefreshRollUps(ctx, series, result.Touched)
	}
	if err != nil {
		return fmt.Errorf("store the closed candle of %s from %s: %w", series, candle.OpenTime.Format(time.RFC3339), err)
	}
	return nil
}
