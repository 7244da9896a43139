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

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

type candlesInput struct {
	Symbol   symbolName   `path:"symbol"`
	Interval intervalName `query:"interval" default:"15m"`
	Start    instant      `query:"start" doc:"Earliest open time, included: RFC 3339 or epoch milliseconds. With it, the answer starts there and goes forward; without it, the answer is the newest candles before end."`
	End      instant      `query:"end" doc:"Latest open time, not included: RFC 3339 or epoch milliseconds. Without it, up to the newest candle."`
	Limit    int          `query:"limit" default:"500" minimum:"1" maximum:"3000" doc:"Most candles in an answer."`
	Format   string       `query:"format" enum:"json,csv,ndjson" doc:"The answer's format; takes precedence over the Accept header."`
	Accept   string       `header:"Accept" hidden:"true"`
	Page[candleKey]
}

type candlesOutput struct {
	ContentType string   `header:"Content-Type" hidden:"true"`
	Caching     string   `header:"Cache-Control" hidden:"true"`
	Link        string   `header:"Link" doc:"Where there is a next page: its address, with rel=\"next\". Without start, where there are older candles: their page's address, with rel=\"prev\"."`
	Vary        []string `header:"Vary" hidden:"true"`
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

func registerCandles(api huma.API, h History, now func() time.Time) {
	register(api, huma.Operation{
		OperationID: "list-candles", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/candles", Tags: []string{"market"}, Security: open,
		Summary: "List candles",
		Description: "Candles of a symbol at an interval, stored or rolled up, oldest first, as JSON, as one JSON object a line (NDJSON), or as CSV (RFC 4180) with a header row and an empty field for null.\n\n" +
			"With start, pages go forward: each holds limit candles until the last one, whatever is missing in between. " +
			"Without start, the answer covers the newest limit open times before end, so it is shorter where candles are missing. Where all of them are missing, it goes on backwards until it finds at least one candle. " +
			"Go further back by giving its first open time as end; an empty answer means that nothing older is stored.\n\n" +
			"Cache-Control says for how long an answer holds: a week where the last candle closed 30 days ago and none is missing, a minute where all have closed and none is missing or where they closed 30 days ago, and else not at all. " +
			"A candle that was closed can still be corrected, most often within days.",
		Responses: candleResponses(api),
		Errors:    []int{http.StatusNotFound},
	}, func(ctx context.Context, input *candlesInput) (*candlesOutput, error) {
		return listCandles(ctx, h, now(), input)
	})
}

func candleResponses(api huma.API) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: "The candles.",
		Content: map[string]*huma.MediaType{
			jsonType:   {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[candlePage](), true, "")},
			csvType:    {Schema: &huma.Schema{Type: huma.TypeString}, Example: csvHeader + "\r\n"},
			ndjsonType: {Example: ndjsonExample},
		},
	}}
}

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
	csvType    = "text/csv"
)

func listCandles(ctx context.Context, h History, now time.Time, input *candlesInput) (*candlesOutput, error) {
	series, err := seriesOf(input.Symbol, input.Interval)
	if err != nil {
		return nil, err
	}
	asked := market.TimeRange{Start: time.Time(input.Start), End: time.Time(input.End)}
	if input.Cursor.given {
		asked.Start = behind(input.Cursor.after)
	}
	candles, more, covered, err := pageOfCandles(ctx, h, series, asked, input.Limit)
	if err != nil {
		return nil, err
	}
	output := candlesAnswer(input, series, candles, more)
	output.Caching = cachingFor(accounts.CallerOf(ctx), cachingOf(series.Interval, candles, covered, now))
	return output, nil
}

// pageOfCandles returns the first limit candles from asked.Start on or, where that is
// zero, the newest limit before asked.End, which may be zero for none. There are more
// behind them or, without a start, older ones before them. covered is the range of open
// times that the page is about, as far as it is known.
func pageOfCandles(
	ctx context.Context, h History, series market.Series, asked market.TimeRange, limit int,
) (candles []market.Candle, more bool, covered market.TimeRange, err error) {
	if !asked.Start.IsZero() && !asked.End.IsZero() && asked.End.Before(asked.Start) {
		return nil, false, asked, invalid(ctx, "query.end", "expected an instant that is not before start or cursor")
	}
	if forward := !asked.Start.IsZero(); forward {
		candles, more, err = candlesForward(ctx, h, series, asked, limit)
		if more {
			asked.End = series.Interval.Next(candles[len(candles)-1].OpenTime) // all that this page is about
		}
	} else {
		candles, more, err = newestCandles(ctx, h, series, asked.End, limit)
		if !asked.End.IsZero() {
			newest := series.Interval.Floor(asked.End.Add(-1))
			asked.Start = openTimeBefore(series.Interval, newest, limit-1)
		}
	}
	if err != nil {
		return nil, false, asked, fmt.Errorf("reading candles of %s: %w", series, err)
	}
	return candles, more, asked, nil
}

// behind returns the first instant at which a candle behind another can open, as the
// database keeps instants. Candles that are found between two pages are on the later one.
func behind(k candleKey) time.Time { return (k.OpenTime + 1).time() }

// candlesForward returns the first limit candles of r, whose end may be zero
// for none, and whether there are more.
//
// Most often the candles stand without a gap, so it reads just the range that
// they take then: a roll-up over all that follows may be dear, and so is asking
// what is stored, which takes as long as a page. Where candles are missing it
// goes on from there with ever longer ranges.
func candlesForward(ctx context.Context, h History, series market.Series, r market.TimeRange, limit int) ([]market.Candle, bool, error) {
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
				return nil, false, err
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
			return candles[:limit], true, nil
		case r.Empty() && (known || len(candles) > 0):
			return candles, false, nil
		case !known:
			stored, err := openTimesOf(ctx, h, series)
			if err != nil {
				return nil, false, err
			}
			r, known = intersection(r, stored), true
		}
	}
}

// newestCandles returns the candles of the newest limit open times before end,
// which may be zero for none. Where none of them is stored it goes on backwards
// with ever longer ranges, so that a hole is not taken for the start of history,
// and returns the newest candles that it finds, at most limit, and whether there are
// older ones.
func newestCandles(
	ctx context.Context, h History, series market.Series, end time.Time, limit int,
) (newest []market.Candle, older bool, err error) {
	r, err := openTimesOf(ctx, h, series)
	if err != nil {
		return nil, false, err
	}
	oldest := r.Start
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
			return nil, false, err
		}
		switch {
		case len(candles) == 0:
			r.End = part.Start
			if !found {
				span *= 2
			}
		case len(candles) < 2*limit || span == limit:
			candles = candles[max(0, len(candles)-limit):]
			return candles, candles[0].OpenTime.After(oldest), nil
		default: // these are the oldest of a range that was too long
			found = true
			span /= 2
		}
	}
	return nil, false, nil
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

// candlesAnswer writes a page. There are more candles behind it or, without start, older
// ones before it.
func candlesAnswer(input *candlesInput, series market.Series, candles []market.Candle, more bool) *candlesOutput {
	output := &candlesOutput{Vary: []string{"Accept"}}
	next := ""
	switch forward := input.Cursor.given || !time.Time(input.Start).IsZero(); {
	case more && forward:
		next = cursorText(candleKey{microsecondsOf(candles[len(candles)-1].OpenTime)})
		output.Link = linkTo(input.address(series), "next", map[string]string{"cursor": next})
	case more:
		output.Link = linkTo(input.address(series), "prev", map[string]string{"end": candles[0].OpenTime.UTC().Format(time.RFC3339Nano)})
	}
	format := input.Format
	if format == "" {
		format = map[string]string{csvType: "csv", ndjsonType: "ndjson"}[preferredType(input.Accept, jsonType, csvType, ndjsonType)]
	}
	switch format {
	case "csv":
		output.ContentType = csvContentType
		output.Body = appendCSV(nil, series.Interval, candles)
	case "ndjson":
		output.ContentType = ndjsonType
		output.Body = appendLines(nil, series.Interval, candles)
	default:
		output.ContentType = jsonType
		output.Body = appendPage(nil, series, candles, next)
	}
	return output
}

// ndjsonExample documents lines, of which a schema can say nothing.
const ndjsonExample = `{"open_time":"2024-03-01T00:00:00Z","close_time":"2024-03-01T00:15:00Z"}` + "\n"

const csvContentType = csvType + "; charset=utf-8; header=present"

// address returns the address of a page without what says where it begins.
func (input *candlesInput) address(series market.Series) url.URL {
	query := url.Values{"interval": {string(series.Interval)}, "limit": {strconv.Itoa(input.Limit)}}
	if end := time.Time(input.End); !end.IsZero() {
		query.Set("end", end.Format(time.RFC3339Nano))
	}
	if input.Format != "" {
		query.Set("format", input.Format)
	}
	return url.URL{Path: "/v1/symbols/" + string(series.Symbol) + "/candles", RawQuery: query.Encode()}
}
