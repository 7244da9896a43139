package dashboard

import (
	"slices"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// catalogue knows what can be shown of what is stored.
type catalogue []history.StoredSeries

// home is the series that the start page leads to.
func (c catalogue) home() market.Series {
	home := market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	symbols := c.symbols()
	if len(symbols) == 0 {
		return home
	}
	if !slices.Contains(symbols, home.Symbol) {
		home.Symbol = symbols[0]
	}
	return c.nearest(home)
}

// nearest returns the series itself if it can be shown, else the finest
// interval of its symbol that can.
func (c catalogue) nearest(series market.Series) market.Series {
	intervals := c.intervals(series.Symbol)
	if len(intervals) > 0 && !slices.Contains(intervals, series.Interval) {
		series.Interval = intervals[0]
	}
	return series
}

// symbols returns the stored symbols in alphabetical order.
func (c catalogue) symbols() []market.Symbol {
	var symbols []market.Symbol
	for _, s := range c {
		symbols = append(symbols, s.Symbol)
	}
	slices.Sort(symbols)
	return slices.Compact(symbols)
}

// intervals returns the intervals of a symbol that can be shown, finest first.
func (c catalogue) intervals(symbol market.Symbol) []market.Interval {
	return slices.DeleteFunc(market.Intervals(), func(i market.Interval) bool {
		return len(c.sources(market.Series{Symbol: symbol, Interval: i})) == 0
	})
}

// sources returns the stored series that candles of a series come from: those
// of the same interval, and those that roll up into it.
func (c catalogue) sources(series market.Series) []history.StoredSeries {
	var sources []history.StoredSeries
	for _, s := range c {
		if s.Symbol == series.Symbol && (s.Interval == series.Interval || s.Interval.Divides(series.Interval)) {
			sources = append(sources, s)
		}
	}
	return sources
}

// extent says from when to when there are candles of a series.
type extent struct {
	first    time.Time       // open time of the oldest candle
	newest   time.Time       // open time of the newest candle
	known    time.Time       // close time of the newest stored candle it is made of
	interval market.Interval // of that stored candle
}

// extent returns the extent of a series, or a NotFound error that says what can
// be shown instead.
func (c catalogue) extent(series market.Series) (extent, error) {
	sources := c.sources(series)
	if len(sources) == 0 {
		return extent{}, c.missing(series)
	}
	var e extent
	for _, s := range sources {
		if first := series.Interval.Floor(s.First); e.first.IsZero() || first.Before(e.first) {
			e.first = first
		}
		closed := s.Interval.Next(s.Last)
		if closed.After(e.known) || closed.Equal(e.known) && s.Interval.Length() < e.interval.Length() {
			e.known, e.interval = closed, s.Interval
			e.newest = series.Interval.Floor(s.Last)
		}
	}
	return e, nil
}

func (c catalogue) missing(series market.Series) error {
	symbols, intervals := c.symbols(), c.intervals(series.Symbol)
	switch {
	case len(symbols) == 0:
		return market.Errorf(market.NotFound, "there is nothing to show of %s", series)
	case len(intervals) == 0:
		return market.Errorf(market.NotFound, "no candles of %s are stored; there are candles of %s",
			series.Symbol, list(symbols))
	default:
		return market.Errorf(market.NotFound,
			"candles of %s cannot be made of what is stored; its intervals are %s", series, list(intervals))
	}
}

// list joins names with commas.
func list[T ~string](names []T) string {
	joined := make([]string, len(names))
	for i, name := range names {
		joined[i] = string(name)
	}
	return strings.Join(joined, ", ")
}
