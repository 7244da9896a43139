package forecast

import (
	"math"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// progress is what is known of a candle at an instant within it.
type progress struct {
	elapsed               float64 // share of its time, in [0, 1)
	open, high, low, last float64
	volume                float64
	taker                 float64 // share of the volume that takers bought, NaN where unknown
}

// untraded is the progress of a candle that has just opened, given the newest
// price before.
func untraded(last float64) progress {
	return progress{open: last, high: last, low: last, last: last, taker: math.NaN()}
}

// progressOf returns how far a candle has come at an instant within it. At the open
// that is its prices: of what may have traded at that very instant, a training knows
// nothing.
func progressOf(interval market.Interval, candle market.Candle, at time.Time) progress {
	open := candle.OpenTime
	if at.Equal(open) {
		p := untraded(candle.Close)
		p.open = candle.Open
		return p
	}
	return progress{
		elapsed: float64(at.Sub(open)) / float64(interval.Next(open).Sub(open)),
		open:    candle.Open, high: candle.High, low: candle.Low, last: candle.Close,
		volume: candle.Volume, taker: takerShare(candle),
	}
}

// sinceOpen is the log return from the open to the newest price.
func (p progress) sinceOpen() float64 { return math.Log(p.last / p.open) }

// quarters is how many parts of a candle are measured apart from one another.
const quarters = 4

// quarter returns which of the quarters of its time a candle is in, from 0.
func (p progress) quarter() int { return int(p.elapsed * quarters) }

// atOpen reports whether nothing of the candle is known yet.
func (p progress) atOpen() bool { return p.elapsed == 0 }
