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
	Start  instant    `query:"start" doc:"Look from the candle that holds this instant on: RFC 3339 or epoch milliseconds. Without it, 2017-08-17T04:00:00Z, when the first pairs were listed."`
	End    instant    `query:"end" doc:"Look up to the last candle that closes by this instant: RFC 3339 or epoch milliseconds. Without it, or where it is in the future, now."`
}

type coverageList struct {
	Symbol market.Symbol    `json:"symbol" example:"BTCUSDT"`
	Series []seriesCoverage `json:"series" doc:"One for each stored interval, finest first."`
}

type seriesCoverage struct {
	Interval     intervalName  `json:"interval"`
	First        time.Time     `json:"first" doc:"Open time of the oldest stored candle, within the window or not."`
	Last         time.Time     `json:"last" doc:"Open time of the newest stored candle, within the window or not."`
	Window       timeRange     `json:"window" doc:"Open times that were looked at: those of whole candles."`
	Rows         int64         `json:"rows" doc:"Candles stored in the window."`
	ExpectedRows int64         `json:"expected_rows" doc:"Candles that there would be in the window if none were missing since the listing: rows, and what is missing as pending or confirmed_empty."`
	Missing      missingPlaces `json:"missing" doc:"Places of the window at which no candle opens, by cause."`
	Gaps         []gap         `json:"gaps" doc:"What is missing, oldest first."`
}

// missingPlaces counts by cause what the gaps list one by one.
type missingPlaces struct {
	NotListed      int64 `json:"not_listed" doc:"The pair was not traded yet."`
	ConfirmedEmpty int64 `json:"confirmed_empty" doc:"The exchange has none either, as it said again and again; it is not asked any more."`
	OffGrid        int64 `json:"off_grid" doc:"A candle is stored, but opens later than it should."`
	Pending        int64 `json:"pending" doc:"The exchange may have them: cryptoboat repair asks."`
}

type gap struct {
	Start     time.Time  `json:"start" doc:"First missing open time."`
	End       time.Time  `json:"end" doc:"The open time after the last missing one."`
	Missing   int        `json:"missing" doc:"Open times without a candle."`
	Cause     gapCause   `json:"cause"`
	Asked     int        `json:"asked" doc:"On how many occasions the exchange was asked for the whole of the gap and had nothing."`
	LastAsked *time.Time `json:"last_asked" doc:"The newest of those occasions; null where there was none."`
}

// gapCause is history.GapCause, documented.
type gapCause string

// Schema describes the field, for Huma.
func (gapCause) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString,
		Enum: []any{string(history.NotListed), string(history.ConfirmedEmpty), string(history.OffGrid), string(history.Pending)},
		Description: "Why nothing is there. not_listed: the pair was not traded yet. " +
			"confirmed_empty: the exchange has no candle either, as it said on several occasions; it is not asked any more. " +
			"off_grid: a candle is stored, but opens later than it should. " +
			"pending: the exchange may have candles; cryptoboat repair asks for them.",
	}
}

// coverageSlots is how many coverages are read at once. Each goes through whole
// series, and many together would keep every connection to the database from
// the calls that take a moment.
const coverageSlots = 2

func registerCoverage(api huma.API, h History, now func() time.Time) {
	slots := make(chan struct{}, coverageSlots)
	register(api, huma.Operation{
		OperationID: "get-coverage", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/coverage", Tags: []string{"market"}, Security: open,
		Summary:     "Get coverage",
		Description: "Which candles of a symbol are stored, and which are missing, and why, between start and end.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *coverageInput) (*struct{ Body coverageList }, error) {
		symbol, err := market.ParseSymbol(string(input.Symbol))
		if err != nil {
			return nil, err
		}
		window, err := coverageWindow(ctx, input, now())
		if err != nil {
			return nil, err
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting to read the coverage of %s: %w", symbol, ctx.Err())
		}
		coverage, err := h.Coverage(ctx, symbol, window)
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

// coverageWindow returns the range of open times to look at.
func coverageWindow(ctx context.Context, input *coverageInput, now time.Time) (market.TimeRange, error) {
	window := market.TimeRange{Start: time.Time(input.Start), End: time.Time(input.End)}
	if window.Start.IsZero() {
		window.Start = history.FirstListing
	}
	// What has not happened yet is not missing.
	if window.End.IsZero() || window.End.After(now) {
		window.End = now.UTC()
	}
	if window.Empty() {
		return window, invalid(ctx, "query.start", "expected an instant before end, and before now")
	}
	return window, nil
}

func coverageOf(c history.Coverage) seriesCoverage {
	answer := seriesCoverage{
		Interval: intervalName(c.Interval), First: c.First.UTC(), Last: c.Last.UTC(),
		Window: timeRangeOf(c.Window), Rows: c.Rows, Gaps: []gap{},
	}
	for _, g := range c.Gaps {
		answer.Gaps = append(answer.Gaps, gap{
			Start: g.Start.UTC(), End: g.End.UTC(), Missing: g.Missing,
			Cause: gapCause(g.Cause), Asked: g.Asked, LastAsked: instantOrNull(g.LastAsked),
		})
		answer.Missing.add(g)
	}
	answer.ExpectedRows = c.Rows + answer.Missing.Pending + answer.Missing.ConfirmedEmpty
	return answer
}

func (m *missingPlaces) add(g history.Gap) {
	missing := int64(g.Missing)
	switch g.Cause {
	case history.NotListed:
		m.NotListed += missing
	case history.ConfirmedEmpty:
		m.ConfirmedEmpty += missing
	case history.OffGrid:
		m.OffGrid += missing
	case history.Pending:
		m.Pending += missing
	}
}
