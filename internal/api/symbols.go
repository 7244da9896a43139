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
	Origin  *origin  `json:"origin"`
	Symbols []symbol `json:"symbols" doc:"By name."`
}

// origin is history.Origin, documented. A nil one is null.
type origin string

// Schema describes the field, for Huma.
func (origin) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Nullable: true, Enum: []any{string(history.Real), string(history.Simulated), nil},
		Description: "Where all that is stored comes from. real: a market on which money changes hands. " +
			"simulated: the offline exchange, which makes its prices up. null: not known yet, as no exchange has been asked for candles.",
	}
}

func originOf(stored history.Origin) *origin {
	if stored == "" {
		return nil
	}
	o := origin(stored)
	return &o
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
		Description: "Every symbol of which candles are stored, and whether they are of a real market.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body symbolList }, error) {
		stored, err := h.Catalogue(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing symbols: %w", err)
		}
		from, err := h.Origin(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking where the candles come from: %w", err)
		}
		return &struct{ Body symbolList }{symbolList{Origin: originOf(from), Symbols: symbolsOf(stored)}}, nil
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
