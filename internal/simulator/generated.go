package simulator

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// GeneratedConfig says which market to generate.
type GeneratedConfig struct {
	// Seed decides every candle: a market of another seed has nothing in common
	// with this one.
	Seed uint64
	// Pairs are those that are traded, of distinct symbols; BTCUSDT and ETHUSDT
	// where there are none. A pair without a listing date is listed with the
	// first ones; nothing is traded before.
	Pairs []Pair
}

// Generated is a market made of random numbers that looks like the real one. Its
// volatility clusters and has seasons of the day and the week, there are jumps
// and heavy tails, pairs move together, trading pauses where Binance's did, and
// prices begin where Binance's began. Nothing else of it is real.
//
// Any candle from the listing to the end of 2035 can be asked for, in any order:
// days are made on their own, and a few thousand of them are kept. It is a
// Source.
type Generated struct {
	pairs    []Pair
	bySymbol map[market.Symbol]*generatedPair
	room     sync.Pool // of *workspace
	minutes  *recent[pairDay, []bar]
	quarters *recent[pairDay, []bar]
}

var _ Source = (*Generated)(nil)

type pairDay struct {
	pair *generatedPair
	day  int
}

// What is kept takes about 30 MB at most. Minutes serve the open candles and fine
// intervals, quarters of an hour everything else.
const (
	keptMinutes  = 96   // days of 115 KB
	keptQuarters = 2500 // days of 8 KB
)

// NewGenerated returns the market that config describes. It is cheap: a pair's
// prices are worked out when it is first asked for.
func NewGenerated(config GeneratedConfig) *Generated {
	pairs := slices.Clone(config.Pairs)
	if len(pairs) == 0 {
		pairs = []Pair{{Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT"}, {Symbol: "ETHUSDT", Base: "ETH", Quote: "USDT"}}
	}
	g := &Generated{
		pairs:    pairs,
		bySymbol: map[market.Symbol]*generatedPair{},
		room:     sync.Pool{New: func() any { return new(workspace) }},
		minutes:  newRecent[pairDay, []bar](keptMinutes),
		quarters: newRecent[pairDay, []bar](keptQuarters),
	}
	climate := newClimate(config.Seed)
	for k := range pairs {
		if pairs[k].Listed.Before(history.FirstListing) {
			pairs[k].Listed = history.FirstListing
		}
		g.bySymbol[pairs[k].Symbol] = newGeneratedPair(climate, pairs[k])
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return cmp.Compare(a.Symbol, b.Symbol) })
	return g
}

// Pairs returns the pairs by symbol.
func (g *Generated) Pairs() []Pair { return slices.Clone(g.pairs) }

// Candles is Source's. A candle that holds the listing or an outage is made of
// what was traded in it.
func (g *Generated) Candles(series market.Series, r market.TimeRange, limit int) []market.Candle {
	pair := g.bySymbol[series.Symbol]
	// No candle opens earlier than that of the first day's month.
	r = clamp(r, market.TimeRange{Start: market.Month1.Floor(generatedStart), End: generatedEnd})
	if pair == nil || r.Empty() || limit <= 0 {
		return nil
	}
	from, to := within(series.Interval, r)
	bars := g.minuteBars(pair, from, to)
	if series.Interval == market.Minute15 || market.Minute15.Divides(series.Interval) {
		bars = g.quarterBars(pair, from, to)
	}
	candles := pageFor(series.Interval, from, to, limit)
	for t := range aggregate(series.Interval, bars) {
		if candle := generatedCandle(series.Interval, t); r.Contains(candle.OpenTime) {
			candles = append(candles, candle)
		}
		if len(candles) == limit {
			break
		}
	}
	return candles
}

// OpenCandle is Source's.
func (g *Generated) OpenCandle(series market.Series, at time.Time) (market.Candle, bool) {
	pair := g.bySymbol[series.Symbol]
	if pair == nil || at.Before(pair.Listed) || !at.Before(generatedEnd) {
		return market.Candle{}, false
	}
	now := at.UnixMilli()
	thisMinute := market.Minute1.Floor(at).UnixMilli()
	thisQuarter := market.Minute15.Floor(at).UnixMilli()
	open := series.Interval.Floor(at).UnixMilli()
	sofar := func(yield func(*bar) bool) {
		for b := range g.quarterBars(pair, open, thisQuarter) {
			if !yield(b) {
				return
			}
		}
		for b := range g.minuteBars(pair, max(open, thisQuarter), thisMinute) {
			if !yield(b) {
				return
			}
		}
		for b := range g.minuteBars(pair, thisMinute, thisMinute+minuteLength) {
			state := openBar(b, generatedGrain, pair.pathSeed, now-thisMinute, minuteLength)
			if !yield(&state) {
				return
			}
		}
	}
	for t := range aggregate(series.Interval, sofar) {
		return generatedCandle(series.Interval, t), true
	}
	return market.Candle{}, false
}

func generatedCandle(interval market.Interval, t *total) market.Candle {
	candle := t.candle(interval)
	if t.firstOpenTime != t.openTime && slipsAt(interval, t.firstOpenTime) {
		candle.OpenTime = instant(t.firstOpenTime)
	}
	return candle
}

// minuteBars yields the bars of minutes that open in [from, to).
func (g *Generated) minuteBars(pair *generatedPair, from, to int64) iter.Seq[*bar] {
	return barsOfDays(from, to, func(day int) []bar {
		key := pairDay{pair, day}
		bars, ok := g.minutes.get(key)
		if !ok {
			room := g.room.Get().(*workspace)
			defer g.room.Put(room)
			bars = slices.Clone(room.fill(pair, day))
			g.minutes.put(key, bars)
		}
		return bars
	})
}

// quarterBars yields the bars of quarters of an hour that open in [from, to); one
// that follows an outage may open off the grid.
func (g *Generated) quarterBars(pair *generatedPair, from, to int64) iter.Seq[*bar] {
	return barsOfDays(from, to, func(day int) []bar {
		key := pairDay{pair, day}
		bars, ok := g.quarters.get(key)
		if !ok {
			room := g.room.Get().(*workspace)
			defer g.room.Put(room)
			bars = make([]bar, 0, quartersOfDay)
			for t := range aggregate(market.Minute15, pointers(room.fill(pair, day))) {
				b := t.bar()
				b.openTime = t.firstOpenTime
				bars = append(bars, b)
			}
			g.quarters.put(key, bars)
		}
		return bars
	})
}

// barsOfDays yields the bars that open in [from, to) of those that ofDay returns
// for each day.
func barsOfDays(from, to int64, ofDay func(day int) []bar) iter.Seq[*bar] {
	return func(yield func(*bar) bool) {
		first := generatedStart.UnixMilli()
		for number := int(max(from-first, 0) / dayLength); number < generatedDays; number++ {
			if first+int64(number)*dayLength >= to {
				return
			}
			for b := range pointers(between(ofDay(number), from, to)) {
				if !yield(b) {
					return
				}
			}
		}
	}
}
