package forecast

import (
	"math"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// track is a series of closed, complete candles as arrays of what the features
// need, oldest first. A candle's position in it says nothing of its time where
// the exchange left a gap.
type track struct {
	interval market.Interval
	opens    []time.Time
	close    []float64
	returns  []float64 // log return since the close before, or since its own open behind a gap
	ranges   []float64 // ln(high / low)
	volumes  []float64
	takers   []float64    // share of the volume that takers bought, NaN where unknown
	places   []float64    // of the close between low and high, in [0, 1]
	inside   [][]progress // at instants within each candle, ascending; none where nothing is known of them

	incomplete []time.Time // open times of candles left out
}

// newTrack leaves out candles with missing parts: their close is not the close.
func newTrack(interval market.Interval, candles []market.Candle) *track {
	t := &track{interval: interval}
	for _, c := range candles {
		if !c.Complete(interval) {
			t.incomplete = append(t.incomplete, c.OpenTime)
			continue
		}
		before := c.Open
		if n := len(t.opens); n > 0 && interval.Next(t.opens[n-1]).Equal(c.OpenTime) {
			before = t.close[n-1]
		}
		t.opens = append(t.opens, c.OpenTime)
		t.close = append(t.close, c.Close)
		t.returns = append(t.returns, math.Log(c.Close/before))
		t.ranges = append(t.ranges, math.Log(c.High/c.Low))
		t.volumes = append(t.volumes, c.Volume)
		t.takers = append(t.takers, takerShare(c))
		t.places = append(t.places, place(c.Close, c.Low, c.High))
	}
	t.inside = make([][]progress, len(t.opens))
	return t
}

// place is where a price lies between two others, in [0, 1]; half where they are
// equal.
func place(price, low, high float64) float64 {
	if high > low {
		return (price - low) / (high - low)
	}
	return 0.5
}

// position returns which candle of the track opens at the instant, -1 for none.
func (t *track) position(open time.Time) int {
	k, found := slices.BinarySearchFunc(t.opens, open, time.Time.Compare)
	if !found {
		return -1
	}
	return k
}

// closedBy returns how many candles of the track have closed at the instant:
// the positions [0, closedBy) are known then.
func (t *track) closedBy(instant time.Time) int {
	n, _ := slices.BinarySearchFunc(t.opens, instant, func(open, at time.Time) int {
		if t.interval.Next(open).After(at) {
			return 1
		}
		return -1
	})
	return n
}

// ready reports whether a candle that opens at the instant can be forecast from
// the first known candles: the newest of them closes at that very instant, and
// the window of the longest feature is not mostly gaps.
func (t *track) ready(known int, instant time.Time) bool {
	if known < window || !t.interval.Next(t.opens[known-1]).Equal(instant) {
		return false
	}
	return instant.Sub(t.opens[known-window]) <= reach(t.interval)
}

// reach is how far back candles may be looked at: twice the window, so that
// gaps in it do not stop the forecast.
func reach(interval market.Interval) time.Duration { return 2 * window * interval.Length() }

// usualVolume is the mean volume of the 96 candles before a position.
func (t *track) usualVolume(position int) float64 {
	return sum(t.volumes[position-96:position]) / 96
}
