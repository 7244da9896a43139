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
	Symbol    market.Symbol   `json:"symbol" example:"BTCUSDT"`
	Stored    []storedSeries  `json:"stored" doc:"Series stored as they were delivered, finest first."`
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
		if _, ok := source(stored, market.Series{Symbol: symbol, Interval: i}); ok {
			names = append(names, intervalName(i))
		}
	}
	return names
}

// source returns the stored series that candles of series come from: itself, or
// else the finest one that divides it.
func source(stored []history.StoredSeries, series market.Series) (history.StoredSeries, bool) {
	var found history.StoredSeries
	for _, s := range stored {
		switch {
		case s.Series == series:
			return s, true
		case s.Symbol != series.Symbol || !s.Interval.Divides(series.Interval):
		case found.Interval == "" || s.Interval.Length() < found.Interval.Length():
			found = s
		}
	}
	return found, found.Interval != ""
}

// sourceOf returns source's answer, or a NotFound error that says what there is.
func sourceOf(ctx context.Context, h History, series market.Series) (history.StoredSeries, error) {
	stored, err := h.StoredSeries(ctx)
	if err != nil {
		return history.StoredSeries{}, fmt.Errorf("looking up %s: %w", series, err)
	}
	if found, ok := source(stored, series); ok {
		return found, nil
	}
	if names := servable(stored, series.Symbol); len(names) > 0 {
		return history.StoredSeries{}, market.Errorf(market.NotFound,
			"no %s candles can be made of what is stored of %s: ask for one of %s", series.Interval, series.Symbol, join(names))
	}
	var names []market.Symbol
	for _, s := range symbolsOf(stored) {
		names = append(names, s.Symbol)
	}
	if len(names) == 0 {
		return history.StoredSeries{}, market.Errorf(market.NotFound, "no candle of any symbol is stored yet: import some")
	}
	return history.StoredSeries{}, market.Errorf(market.NotFound,
		"nothing is stored of %s: ask for one of %s", series.Symbol, join(names))
}

func join[S ~string](names []S) string {
	var text strings.Builder
	for i, name := range names {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(string(name))
	}
	return text.String()
}
