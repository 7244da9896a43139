package history

import (
	"slices"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Catalogue lists the stored series, by symbol, then finest interval first, and
// knows what candles can be made of them.
type Catalogue []StoredSeries

// Symbols returns the symbols of which anything is stored, in alphabetical
// order.
func (c Catalogue) Symbols() []market.Symbol {
	var symbols []market.Symbol
	for _, s := range c {
		symbols = append(symbols, s.Symbol)
	}
	slices.Sort(symbols)
	return slices.Compact(symbols)
}

// Intervals returns the intervals at which there are candles of a symbol,
// delivered or rolled up, finest first.
func (c Catalogue) Intervals(symbol market.Symbol) []market.Interval {
	return slices.DeleteFunc(market.Intervals(), func(i market.Interval) bool {
		return len(c.Sources(market.Series{Symbol: symbol, Interval: i})) == 0
	})
}

// Sources returns the stored series that candles of a series can be made of,
// finest first: itself, and those of the intervals that divide its own.
func (c Catalogue) Sources(series market.Series) []StoredSeries {
	var sources []StoredSeries
	for _, s := range c {
		if s.Symbol == series.Symbol && (s.Interval == series.Interval || s.Interval.Divides(series.Interval)) {
			sources = append(sources, s)
		}
	}
	return sources
}

// Extent says from when to when there are candles of a series.
type Extent struct {
	// OpenTimes reaches from the open time of the oldest candle to the close
	// time of the newest one.
	OpenTimes market.TimeRange
	// Known is the close time of the newest stored candle that they are made of,
	// and Source its interval. It is earlier than OpenTimes.End where the newest
	// candle lacks its last parts.
	Known  time.Time
	Source market.Interval
}

// Extent returns the extent of a series, or a NotFound error that says what
// there is instead.
func (c Catalogue) Extent(series market.Series) (Extent, error) {
	var e Extent
	for _, s := range c.Sources(series) {
		if first := series.Interval.Floor(s.First); e.OpenTimes.Start.IsZero() || first.Before(e.OpenTimes.Start) {
			e.OpenTimes.Start = first
		}
		if end := series.Interval.Next(series.Interval.Floor(s.Last)); end.After(e.OpenTimes.End) {
			e.OpenTimes.End = end
		}
		if closed := s.Interval.Next(s.Last); closed.After(e.Known) {
			e.Known, e.Source = closed, s.Interval
		}
	}
	if e.OpenTimes.Empty() {
		return Extent{}, c.missing(series)
	}
	return e, nil
}

func (c Catalogue) missing(series market.Series) error {
	symbols, intervals := c.Symbols(), c.Intervals(series.Symbol)
	switch {
	case len(symbols) == 0:
		return market.Errorf(market.NotFound, "no candles of any symbol are stored yet: import some")
	case len(intervals) == 0:
		return market.Errorf(market.NotFound, "no candles of %s are stored: ask for one of %s", series.Symbol, list(symbols))
	default:
		return market.Errorf(market.NotFound, "candles of %s cannot be made of what is stored: ask for one of %s",
			series, list(intervals))
	}
}

// list joins names with commas.
func list[T ~string](names []T) string {
	joined := make([]string, len(names))
	for k, name := range names {
		joined[k] = string(name)
	}
	return strings.Join(joined, ", ")
}
