package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

type candlesInput struct {
	Symbol   symbolName   `path:"symbol"`
	Interval intervalName `query:"interval" default:"15m"`
	Start    instant      `query:"start" doc:"Earliest open time, included: RFC 3339 or epoch milliseconds. With it, the answer starts there and goes forward; without it, the answer is the newest candles before end."`
	End      instant      `query:"end" doc:"Latest open time, not included: RFC 3339 or epoch milliseconds. Without it, up to the newest candle."`
	Limit    int          `query:"limit" default:"500" minimum:"1" maximum:"3000" doc:"Most candles in an answer."`
	Cursor   cursor       `query:"cursor" doc:"The next_cursor of an earlier answer: go on there. It takes the place of start; repeat the other parameters."`
	Format   string       `query:"format" enum:"json,csv" doc:"The answer's format; takes precedence over the Accept header."`
	Accept   string       `header:"Accept" hidden:"true"`
}

type candlesOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Link        string `header:"Link" doc:"Where there is a next page: its address, with rel=\"next\"."`
	Vary        string `header:"Vary" hidden:"true"`
	Length      int    `header:"Content-Length" hidden:"true"`
	Body        []byte
}

// candlePage documents the JSON answer, which appendPage writes.
type candlePage struct {
	Symbol     market.Symbol `json:"symbol" example:"BTCUSDT"`
	Interval   intervalName  `json:"interval"`
	Candles    []Candle      `json:"candles" doc:"Oldest first. A candle of which nothing is stored is left out."`
	NextCursor *string       `json:"next_cursor" doc:"Give it as cursor for the next page; null where there is none, and always null without start."`
}

// Candle documents one candle of a page, which appendCandle writes. It is
// exported for Huma, which passes over the fields of an embedded type that is
// not.
type Candle struct {
	OpenTime            time.Time    `json:"open_time" doc:"First instant of the candle."`
	CloseTime           time.Time    `json:"close_time" doc:"First instant after the candle, which is the next one's open time."`
	Open                float64      `json:"open" doc:"In the quote asset, as all prices."`
	High                float64      `json:"high"`
	Low                 float64      `json:"low"`
	Close               float64      `json:"close"`
	Volume              float64      `json:"volume" doc:"In the base asset."`
	QuoteVolume         *float64     `json:"quote_volume" doc:"In the quote asset; null where not published."`
	Trades              *int64       `json:"trades" doc:"Number of trades; null where not published."`
	TakerBuyVolume      *float64     `json:"taker_buy_volume" doc:"Base asset bought by takers; null where not published."`
	TakerBuyQuoteVolume *float64     `json:"taker_buy_quote_volume" doc:"Quote asset paid for it; null where not published."`
	SourceInterval      intervalName `json:"source_interval" doc:"Interval of the stored candles that this one was made of."`
	Parts               int          `json:"parts" doc:"How many stored candles it was made of."`
	Complete            bool         `json:"complete" doc:"Whether none of its parts is missing."`
}

func registerCandles(api huma.API, h History) {
	register(api, huma.Operation{
		OperationID: "list-candles", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/candles", Tags: []string{"market"}, Security: open,
		Summary: "List candles",
		Description: "Candles of a symbol at an interval, stored or rolled up, oldest first, as JSON or as CSV (RFC 4180) with a header row and an empty field for null.\n\n" +
			"With start, pages go forward: each holds limit candles until the last one, whatever is missing in between. " +
			"Without start, the answer covers the newest limit open times before end, so it is shorter where candles are missing. Where all of them are missing, it goes on backwards until it finds at least one candle. " +
			"Go further back by giving its first open time as end; an empty answer means that nothing older is stored.",
		Responses: candleResponses(api),
		Errors:    []int{http.StatusNotFound},
	}, func(ctx context.Context, input *candlesInput) (*candlesOutput, error) {
		return listCandles(ctx, h, input)
	})
}

func candleResponses(api huma.API) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: "The candles.",
		Content: map[string]*huma.MediaType{
			jsonType: {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[candlePage](), true, "")},
			csvType:  {Schema: &huma.Schema{Type: huma.TypeString}, Example: csvHeader + "\r\n"},
		},
	}}
}

const (
	jsonType = "application/json"
	csvType  = "text/csv"
)

func listCandles(ctx context.Context, h History, input *candlesInput) (*candlesOutput, error) {
	series, err := seriesOf(input.Symbol, input.Interval)
	if err != nil {
		return nil, err
	}
	start, end := time.Time(input.Start), time.Time(input.End)
	if at := time.Time(input.Cursor); !at.IsZero() {
		start = at
	}
	if !start.IsZero() && !end.IsZero() && end.Before(start) {
		return nil, invalid(ctx, "query.end", "expected an instant that is not before start or cursor")
	}
	var candles []market.Candle
	var next cursor
	if start.IsZero() {
		candles, err = newestCandles(ctx, h, series, end, input.Limit)
	} else {
		candles, next, err = candlesForward(ctx, h, series, market.TimeRange{Start: start, End: end}, input.Limit)
	}
	if err != nil {
		return nil, fmt.Errorf("reading candles of %s: %w", series, err)
	}
	return candlesAnswer(input, series, candles, next)
}

// candlesForward returns the first limit candles of r, whose end may be zero
// for none, and the cursor of the next one where there are more.
//
// Most often the candles stand without a gap, so it reads just the range that
// they take then: a roll-up over all that follows may be dear, and so is asking
// what is stored, which takes as long as a page. Where candles are missing it
// goes on from there with ever longer ranges.
func candlesForward(ctx context.Context, h History, series market.Series, r market.TimeRange, limit int) ([]market.Candle, cursor, error) {
	if r.End.IsZero() {
		r.End = latest
	}
	var candles []market.Candle
	known := false // r is within what is stored
	for span := time.Duration(limit+1) * series.Interval.Length(); ; span *= 2 {
		if !r.Empty() {
			part := r
			if r.End.Sub(r.Start) > span {
				part.End = r.Start.Add(span)
			}
			more, err := h.Candles(ctx, series, part, limit+1-len(candles))
			if err != nil {
				return nil, cursor{}, err
			}
			if candles == nil {
				candles = more // most often all of it
			} else {
				candles = append(candles, more...)
			}
			r.Start = part.End
		}
		switch {
		case len(candles) > limit:
			return candles[:limit], cursor(candles[limit].OpenTime), nil
		case r.Empty() && (known || len(candles) > 0):
			return candles, cursor{}, nil
		case !known:
			stored, err := openTimesOf(ctx, h, series)
			if err != nil {
				return nil, cursor{}, err
			}
			r, known = intersection(r, stored), true
		}
	}
}

// newestCandles returns the candles of the newest limit open times before end,
// which may be zero for none. Where none of them is stored it goes on backwards
// with ever longer ranges, so that a hole is not taken for the start of history,
// and returns the newest candles that it finds, at most limit.
func newestCandles(ctx context.Context, h History, series market.Series, end time.Time, limit int) ([]market.Candle, error) {
	r, err := openTimesOf(ctx, h, series)
	if err != nil {
		return nil, err
	}
	if !end.IsZero() && end.Before(r.End) {
		r.End = end
	}
	found := false
	for span := limit; !r.Empty(); { // span is in open times
		part := r
		newest := series.Interval.Floor(r.End.Add(-1))
		if start := openTimeBefore(series.Interval, newest, span-1); r.Start.Before(start) {
			part.Start = start
		}
		// A few candles of 2018 open between two places of the grid, so there may be
		// more than limit of them even in the shortest range.
		candles, err := h.Candles(ctx, series, part, 2*limit)
		if err != nil {
			return nil, err
		}
		switch {
		case len(candles) == 0:
			r.End = part.Start
			if !found {
				span *= 2
			}
		case len(candles) < 2*limit || span == limit:
			return candles[max(0, len(candles)-limit):], nil
		default: // these are the oldest of a range that was too long
			found = true
			span /= 2
		}
	}
	return nil, nil
}

// intersection returns the instants that lie in both ranges.
func intersection(a, b market.TimeRange) market.TimeRange {
	if b.Start.After(a.Start) {
		a.Start = b.Start
	}
	if b.End.Before(a.End) {
		a.End = b.End
	}
	return a
}

// openTimeBefore returns the open time n candles before the one that opens at open.
func openTimeBefore(interval market.Interval, open time.Time, n int) time.Time {
	if interval == market.Month1 {
		return open.AddDate(0, -n, 0)
	}
	return open.Add(-time.Duration(n) * interval.Length())
}

func candlesAnswer(input *candlesInput, series market.Series, candles []market.Candle, next cursor) (*candlesOutput, error) {
	nextText := ""
	if !time.Time(next).IsZero() {
		text, err := next.MarshalText()
		if err != nil {
			return nil, fmt.Errorf("encoding the cursor: %w", err)
		}
		nextText = string(text)
	}
	output := &candlesOutput{ContentType: jsonType, Vary: "Accept"}
	if nextText != "" {
		output.Link = "<" + nextPage(input, series, nextText) + `>; rel="next"`
	}
	format := preferredType(input.Accept, jsonType, csvType)
	if input.Format == "csv" || input.Format == "" && format == csvType {
		output.ContentType = csvType + "; charset=utf-8; header=present"
		output.Body = appendCSV(nil, series.Interval, candles)
	} else {
		output.Body = appendPage(nil, series, candles, nextText)
	}
	output.Length = len(output.Body)
	return output, nil
}

// nextPage returns the address of the page at a cursor, made of values that
// were understood, so that nothing foreign gets into a header.
func nextPage(input *candlesInput, series market.Series, next string) string {
	query := url.Values{
		"interval": {string(series.Interval)}, "limit": {strconv.Itoa(input.Limit)}, "cursor": {next},
	}
	if end := time.Time(input.End); !end.IsZero() {
		query.Set("end", end.Format(time.RFC3339Nano))
	}
	if input.Format != "" {
		query.Set("format", input.Format)
	}
	return "/v1/symbols/" + string(series.Symbol) + "/candles?" + query.Encode()
}
