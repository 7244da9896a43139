package forecast

import (
	"context"
	"math"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// A candle of so many finer ones tells enough of what happened inside it, at a
// cost that is worth it.
const (
	fewestParts = 3
	mostParts   = 60
)

// insideIntervals returns the intervals whose candles tell what happened inside
// one of that interval, coarsest first.
func insideIntervals(interval market.Interval) []market.Interval {
	var inside []market.Interval
	for _, finer := range []market.Interval{
		market.Day1, market.Hour4, market.Hour1, market.Minute15, market.Minute5, market.Minute1,
	} {
		if !finer.Divides(interval) {
			continue
		}
		if parts := interval.Length() / finer.Length(); parts >= fewestParts && parts <= mostParts {
			inside = append(inside, finer)
		}
	}
	return inside
}

// StateReader reads how candles stood while they were open. A CandleReader that is
// one, too, makes up for finer candles that are not stored.
type StateReader interface {
	// InsideStates returns states of the candles that open in the range at instants
	// within them, between open and close, oldest first: of each quarter of a candle's
	// time one, by a lot that is always the same, where any is known.
	InsideStates(ctx context.Context, series market.Series, r market.TimeRange) ([]OpenCandle, error)
}

// chunkOfInside is how much of the past is looked into at once: candles of a minute
// fill the memory otherwise.
const chunkOfInside = 60 * 24 * time.Hour

// lookInside notes what happened inside the candles of a track that open in the
// range: by whatever finer candles are stored, the finest that are complete, and
// where there are none by the states that were sampled.
func (f *Forecaster) lookInside(ctx context.Context, t *track, series market.Series, r market.TimeRange) error {
	if len(t.opens) == 0 {
		return nil
	}
	first, end := t.opens[0], series.Interval.Next(t.opens[len(t.opens)-1])
	if first.Before(r.Start) {
		first = r.Start
	}
	for start := series.Interval.Floor(first); start.Before(end); {
		next := series.Interval.Floor(start.Add(chunkOfInside))
		if !next.After(start) {
			next = series.Interval.Next(start)
		}
		chunk := market.TimeRange{Start: start, End: next}
		for _, finer := range insideIntervals(series.Interval) {
			parts, err := f.candles.Candles(ctx, market.Series{Symbol: series.Symbol, Interval: finer}, chunk, math.MaxInt32)
			if err != nil {
				return err
			}
			t.lookInside(finer, parts)
		}
		if sampled, ok := f.candles.(StateReader); ok && !t.knowsInside(chunk) {
			states, err := sampled.InsideStates(ctx, series, chunk)
			if err != nil {
				return err
			}
			t.lookInsideBySamples(states)
		}
		start = next
	}
	return nil
}

// lookInside notes how far the candles of the track had come at instants within
// them, from all the candles of a finer interval in some range, oldest first.
// Candles of which a part is missing are left as they are.
func (t *track) lookInside(finer market.Interval, candles []market.Candle) {
	for len(candles) > 0 {
		open := t.interval.Floor(candles[0].OpenTime)
		close := t.interval.Next(open)
		count, complete := 0, true
		for count < len(candles) && candles[count].OpenTime.Before(close) {
			complete = complete && candles[count].Complete(finer)
			count++
		}
		parts := candles[:count]
		candles = candles[count:]
		if k := t.position(open); k >= 0 && complete && count == t.interval.Parts(finer, open) {
			t.inside[k] = progressesOf(open, parts)
		}
	}
}

// lookInsideBySamples notes how far the candles of the track had come that no finer
// ones have told of, from states in some range, oldest first.
func (t *track) lookInsideBySamples(states []OpenCandle) {
	for len(states) > 0 {
		open := states[0].Candle.OpenTime
		count := 1
		for count < len(states) && states[count].Candle.OpenTime.Equal(open) {
			count++
		}
		if k := t.position(open); k >= 0 && t.inside[k] == nil {
			for _, s := range states[:count] {
				t.inside[k] = append(t.inside[k], progressOf(t.interval, s.Candle, s.At))
			}
		}
		states = states[count:]
	}
}

// knowsInside reports whether something is known of the inside of every candle of the
// track that opens in the range.
func (t *track) knowsInside(r market.TimeRange) bool {
	for k, open := range t.opens {
		if r.Contains(open) && t.inside[k] == nil {
			return false
		}
	}
	return true
}

// progressesOf returns how far a candle had come at one instant of each of its
// quarters, where its parts tell of one.
func progressesOf(open time.Time, parts []market.Candle) []progress {
	var progresses []progress
	ends := drawn(open, len(parts))
	whole := parts[0]
	for k, part := range parts {
		if len(ends) > 0 && k == ends[0] {
			p := progress{
				elapsed: float64(k) / float64(len(parts)),
				open:    whole.Open, high: whole.High, low: whole.Low, last: whole.Close,
				volume: whole.Volume, taker: takerShare(whole),
			}
			progresses = append(progresses, p)
			ends = ends[1:]
		}
		if k > 0 {
			whole.High, whole.Low, whole.Close = max(whole.High, part.High), min(whole.Low, part.Low), part.Close
			whole.Volume += part.Volume
			whole.TakerBuyVolume.Value += part.TakerBuyVolume.Value
			whole.TakerBuyVolume.Valid = whole.TakerBuyVolume.Valid && part.TakerBuyVolume.Valid
		}
	}
	return progresses
}

// drawn returns after which of its parts a candle is looked into: one instant of
// each quarter that holds any, by lot, and the same for the same candle always.
func drawn(open time.Time, parts int) []int {
	var ends []int
	for q := range quarters {
		first := max(1, ceilDivide(q*parts, quarters))
		if n := ceilDivide((q+1)*parts, quarters) - first; n > 0 {
			ends = append(ends, first+int(lot(open, q)%uint64(n)))
		}
	}
	return ends
}

func ceilDivide(a, b int) int { return (a + b - 1) / b }

// lot is a number that depends on a candle and a purpose as if by chance:
// SplitMix64's finaliser (Steele, Lea and Flood 2014).
func lot(open time.Time, purpose int) uint64 {
	x := (uint64(open.Unix())*16 + uint64(purpose)) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// takerShare is the share of a candle's volume that takers bought, NaN where that
// is not known.
func takerShare(c market.Candle) float64 {
	if !c.TakerBuyVolume.Valid || c.Volume <= 0 {
		return math.NaN()
	}
	return c.TakerBuyVolume.Value / c.Volume
}
