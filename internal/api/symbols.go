package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

type symbolList struct {
	Symbols []symbol `json:"symbols" doc:"By name."`
}

type symbol struct {
	Symbol    market.Symbol  `json:"symbol" example:"BTCUSDT"`
	Stored    []storedSeries `json:"stored" doc:"Series stored as they were delivered, finest first."`
	Intervals []intervalName `json:"intervals" doc:"Every interval that candles can be asked at, stored or rolled up, finest first."`
}

type storedSeries struct {
	Interval intervalName `json:"interval"`
	First    time.Time    `json:"first" doc:"Open time of the oldest candle."`
	Last     time.Time    `json:"last" doc:"Open time of the newest candle."`
}

func registerSymbols(api huma.API, h History) {
	register(api, huma.Operation{
		OperationID: "list-symbols", Method: http.MethodGet, Path: "/v1/symbols", Tags: []string{"market"}, Security: open,
		Summary:     "List symbols",
		Description: "Every symbol of which candles are stored.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body symbolList }, error) {
		stored, err := h.StoredSeries(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing symbols: %w", err)
		}
		return &struct{ Body symbolList }{symbolList{Symbols: symbolsOf(stored)}}, nil
	})
}

func symbolsOf(stored []history.StoredSeries) []symbol {
	stored = slices.SortedFunc(slices.Values(stored), func(a, b history.StoredSeries) int {
		return cmp.Or(cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Interval.Length(), b.Interval.Length()))
	})
	symbols := []symbol{}
	for _, s := range stored {
		if len(symbols) == 0 || symbols[len(symbols)-1].Symbol != s.Symbol {
			symbols = append(symbols, symbol{Symbol: s.Symbol, Intervals: servable(stored, s.Symbol)})
		}
		last := &symbols[len(symbols)-1]
		last.Stored = append(last.Stored, storedSeries{
			Interval: intervalName(s.Interval), First: s.First.UTC(), Last: s.Last.UTC(),
		})
	}
	return symbols
}

// servable returns the intervals at which a symbol's candles can be had, finest
// first.
func servable(stored []history.StoredSeries, symbol market.Symbol) []intervalName {
	var names []intervalName
	for _, i := range market.Intervals() {
		if !openTimes(stored, market.Series{Symbol: symbol, Interval: i}).Empty() {
			names = append(names, intervalName(i))
		}
	}
	return names
}

// openTimes returns the range in which candles of series open, made of what is
// stored at its interval and at those that divide it; an empty one where there
// is nothing to make them of.
func openTimes(stored []history.StoredSeries, series market.Series) market.TimeRange {
	var r market.TimeRange
	for _, s := range stored {
		if s.Symbol != series.Symbol || s.Interval != series.Interval && !s.Interval.Divides(series.Interval) {
			continue
		}
		if first := series.Interval.Floor(s.First); r.Empty() || first.Before(r.Start) {
			r.Start = first
		}
		if end := series.Interval.Next(series.Interval.Floor(s.Last)); end.After(r.End) {
			r.End = end
		}
	}
	return r
}

// openTimesOf reads openTimes, or returns a NotFound error that says what there
// is instead.
func openTimesOf(ctx context.Context, h History, series market.Series) (market.TimeRange, error) {
	stored, err := h.StoredSeries(ctx)
	if err != nil {
		return market.TimeRange{}, fmt.Errorf("looking up %s: %w", series, err)
	}
	if r := openTimes(stored, series); !r.Empty() {
		return r, nil
	}
	if intervals := servable(stored, series.Symbol); len(intervals) > 0 {
		return market.TimeRange{}, market.Errorf(market.NotFound, "candles of %s cannot be made of what is stored: ask for one of %s",
			series, join(intervals))
	}
	var symbols []market.Symbol
	for _, s := range symbolsOf(stored) {
		symbols = append(symbols, s.Symbol)
	}
	if len(symbols) == 0 {
		return market.TimeRange{}, market.Errorf(market.NotFound, "no candles of any symbol are stored yet: import some")
	}
	return market.TimeRange{}, market.Errorf(market.NotFound, "no candles of %s are stored: ask for one of %s",
		series.Symbol, join(symbols))
}

// join joins names with commas.
func join[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}
