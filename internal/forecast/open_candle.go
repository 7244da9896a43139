package forecast

import (
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// OpenCandle is the state of the candle that is open at an instant.
type OpenCandle struct {
	market.Series
	At     time.Time     // by the exchange's clock; within the candle
	Candle market.Candle // so far; its Close is the newest price
}

// check returns an Invalid error for what no exchange could have meant, and an
// Unavailable one where the instant is not within the candle: the one that is open
// then may not have traded yet.
func (c OpenCandle) check() error {
	if err := c.Candle.Validate(); err != nil {
		return fmt.Errorf("forecast the open candle of %s: %w", c.Series, err)
	}
	open := c.Candle.OpenTime
	if !c.Interval.Floor(open).Equal(open) {
		return market.Errorf(market.Invalid, "a candle of %s cannot open at %s: candles open at multiples of %s",
			c.Series, open.Format(time.RFC3339Nano), c.Interval)
	}
	if !(market.TimeRange{Start: open, End: c.Interval.Next(open)}).Contains(c.At) {
		return market.Errorf(market.Unavailable,
			"the newest state of %s is of the candle that opens at %s, which is not the one open at %s",
			c.Series, open.Format(time.RFC3339), c.At.Format(time.RFC3339Nano))
	}
	return nil
}
