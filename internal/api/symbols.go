package api

import (
	"context"
	"fmt"
	"net/http"
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
		stored, err := h.Catalogue(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing symbols: %w", err)
		}
		return &struct{ Body symbolList }{symbolList{Symbols: symbolsOf(stored)}}, nil
	})
}

func symbolsOf(stored history.Catalogue) []symbol {
	symbols := []symbol{}
	for _, name := range stored.Symbols() {
		s := symbol{Symbol: name}
		for _, i := range stored.Intervals(name) {
			s.Intervals = append(s.Intervals, intervalName(i))
		}
		for _, series := range stored {
			if series.Symbol == name {
				s.Stored = append(s.Stored, storedSeries{
					Interval: intervalName(series.Interval), First: series.First, Last: series.Last,
				})
			}
		}
		symbols = append(symbols, s)
	}
	return symbols
}

// openTimesOf returns the range in which candles of a series open, or a
// NotFound error that says what there is instead.
func openTimesOf(ctx context.Context, h History, series market.Series) (market.TimeRange, error) {
	stored, err := h.Catalogue(ctx)
	if err != nil {
		return market.TimeRange{}, fmt.Errorf("looking up %s: %w", series, err)
	}
	extent, err := stored.Extent(series)
	return extent.OpenTimes, err
}
