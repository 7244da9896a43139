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

type coverageInput struct {
	Symbol symbolName `path:"symbol"`
}

type coverageList struct {
	Symbol market.Symbol    `json:"symbol" example:"BTCUSDT"`
	Series []seriesCoverage `json:"series" doc:"One for each stored interval."`
}

type seriesCoverage struct {
	Interval     intervalName `json:"interval"`
	First        time.Time    `json:"first" doc:"Open time of the oldest candle."`
	Last         time.Time    `json:"last" doc:"Open time of the newest candle."`
	Rows         int64        `json:"rows" doc:"Candles stored."`
	ExpectedRows int64        `json:"expected_rows" doc:"Candles stored and missing, from first to last."`
	Holes        []hole       `json:"holes" doc:"What is missing, oldest first."`
}

type hole struct {
	Start   time.Time `json:"start" doc:"First missing open time."`
	End     time.Time `json:"end" doc:"Open time of the next stored candle."`
	Missing int       `json:"missing" doc:"Candles that would fit."`
}

// coverageSlots is how many coverages are read at once. Each goes through whole
// series, and many together would keep every connection to the database from
// the calls that take a moment.
const coverageSlots = 2

func registerCoverage(api huma.API, h History) {
	slots := make(chan struct{}, coverageSlots)
	register(api, huma.Operation{
		OperationID: "get-coverage", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/coverage", Tags: []string{"market"}, Security: open,
		Summary:     "Get coverage",
		Description: "Which candles of a symbol are stored, and which are missing between the first and the last.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *coverageInput) (*struct{ Body coverageList }, error) {
		symbol, err := market.ParseSymbol(string(input.Symbol))
		if err != nil {
			return nil, err
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting to read the coverage of %s: %w", symbol, ctx.Err())
		}
		coverage, err := h.Coverage(ctx, symbol)
		if err != nil {
			return nil, fmt.Errorf("reading the coverage of %s: %w", symbol, err)
		}
		list := coverageList{Symbol: symbol, Series: []seriesCoverage{}}
		for _, c := range coverage {
			list.Series = append(list.Series, coverageOf(c))
		}
		return &struct{ Body coverageList }{list}, nil
	})
}

func coverageOf(c history.Coverage) seriesCoverage {
	answer := seriesCoverage{
		Interval: intervalName(c.Interval), First: c.First.UTC(), Last: c.Last.UTC(),
		Rows: c.Rows, ExpectedRows: c.Rows, Holes: []hole{},
	}
	for _, h := range c.Holes {
		answer.Holes = append(answer.Holes, hole{Start: h.Start.UTC(), End: h.End.UTC(), Missing: h.Missing})
		answer.ExpectedRows += int64(h.Missing)
	}
	return answer
}
