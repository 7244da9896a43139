package simulator

import (
	"iter"
	"sort"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// total is a candle made of bars: the first open, the highest high, the lowest
// low, the last close, and the sums.
type total struct {
	openTime               int64 // on the grid, milliseconds since 1970
	firstOpenTime          int64 // of the first bar
	open, high, low, close int64
	volume, quoteVolume    sum
	takerBuyVolume         sum
	takerBuyQuoteVolume    sum
	trades                 int64
}

func newTotal(openTime int64, first *bar) total {
	t := total{openTime: openTime, firstOpenTime: first.openTime, open: first.open, high: first.high, low: first.low}
	t.add(first)
	return t
}

// add appends the bar that follows.
func (t *total) add(b *bar) {
	t.high, t.low, t.close = max(t.high, b.high), min(t.low, b.low), b.close
	t.volume.add(b.volume)
	t.quoteVolume.add(b.quoteVolume)
	t.takerBuyVolume.add(b.takerBuyVolume)
	t.takerBuyQuoteVolume.add(b.takerBuyQuoteVolume)
	t.trades += b.trades
}

func (t *total) candle(interval market.Interval) market.Candle {
	return market.Candle{
		OpenTime: instant(t.openTime),
		Open:     whole(t.open), High: whole(t.high), Low: whole(t.low), Close: whole(t.close),
		Volume:              t.volume.whole(),
		QuoteVolume:         market.Some(t.quoteVolume.whole()),
		Trades:              market.Some(t.trades),
		TakerBuyVolume:      market.Some(t.takerBuyVolume.whole()),
		TakerBuyQuoteVolume: market.Some(t.takerBuyQuoteVolume.whole()),
		Source:              interval,
		Parts:               1,
	}
}

// bar returns a total of few enough bars that its sums fit into 64 bits.
func (t *total) bar() bar {
	return bar{
		openTime: t.openTime, open: t.open, high: t.high, low: t.low, close: t.close,
		volume: int64(t.volume.low), quoteVolume: int64(t.quoteVolume.low),
		takerBuyVolume: int64(t.takerBuyVolume.low), takerBuyQuoteVolume: int64(t.takerBuyQuoteVolume.low),
		trades: t.trades,
	}
}

// aggregate makes candles of an interval out of bars in ascending order, one for
// each candle of the grid that has any. What it yields is overwritten by the
// next.
func aggregate(interval market.Interval, bars iter.Seq[*bar]) iter.Seq[*total] {
	return func(yield func(*total) bool) {
		var current total
		var end int64 // close time of current, 0 before the first
		for b := range bars {
			if b.openTime < end {
				current.add(b)
				continue
			}
			if end != 0 && !yield(&current) {
				return
			}
			open := interval.Floor(instant(b.openTime))
			end = interval.Next(open).UnixMilli()
			current = newTotal(open.UnixMilli(), b)
		}
		if end != 0 {
			yield(&current)
		}
	}
}

// within returns the range on the grid that holds every part of the candles that
// open in r. r must not be empty.
func within(interval market.Interval, r market.TimeRange) (from, to int64) {
	last := interval.Floor(r.End.Add(-1))
	return interval.Floor(r.Start).UnixMilli(), interval.Next(last).UnixMilli()
}

// pageFor returns room for the candles that open in [from, to), at most limit,
// or for the first page of them.
func pageFor(interval market.Interval, from, to int64, limit int) []market.Candle {
	places := 1 + (to-from)/interval.Length().Milliseconds()
	return make([]market.Candle, 0, min(places, int64(limit), history.PageLimit))
}

// clamp returns what r and bounds have in common.
func clamp(r, bounds market.TimeRange) market.TimeRange {
	if r.Start.Before(bounds.Start) {
		r.Start = bounds.Start
	}
	if r.End.After(bounds.End) {
		r.End = bounds.End
	}
	return r
}

// between returns those of bars, which are in ascending order, that open in
// [from, to).
func between(bars []bar, from, to int64) []bar {
	first := searchBars(bars, from)
	return bars[first : first+searchBars(bars[first:], to)]
}

// searchBars returns the index of the first bar that opens at an instant or
// later.
func searchBars(bars []bar, openTime int64) int {
	return sort.Search(len(bars), func(k int) bool { return bars[k].openTime >= openTime })
}

func pointers(bars []bar) iter.Seq[*bar] {
	return func(yield func(*bar) bool) {
		for k := range bars {
			if !yield(&bars[k]) {
				return
			}
		}
	}
}
