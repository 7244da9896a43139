package charts

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Slot is one place on a chart's time axis: a candle, or the absence of one.
type Slot struct {
	OpenTime time.Time
	Candle   market.Optional[market.Candle] // invalid where no candle is stored
}

// Slots lays candles, ascending by open time, on the grid of open times in r,
// whose start must be an open time of the interval. Every open time without a
// candle becomes an empty slot, so that no gap is closed up. A candle that was
// delivered off the grid keeps its own open time and fills the place on the
// grid it opens in.
func Slots(interval market.Interval, r market.TimeRange, candles []market.Candle) []Slot {
	slots := make([]Slot, 0, len(candles))
	next := r.Start
	for _, candle := range candles {
		for !interval.Next(next).After(candle.OpenTime) {
			slots = append(slots, Slot{OpenTime: next})
			next = interval.Next(next)
		}
		slots = append(slots, Slot{OpenTime: candle.OpenTime, Candle: market.Some(candle)})
		next = interval.Next(interval.Floor(candle.OpenTime))
	}
	for ; next.Before(r.End); next = interval.Next(next) {
		slots = append(slots, Slot{OpenTime: next})
	}
	return slots
}
