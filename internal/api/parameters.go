package api

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// symbolName is a symbol as a client writes it, letters in either case.
type symbolName string

// Schema describes the parameter, for Huma.
func (symbolName) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: "^[A-Za-z0-9]{2,20}$", PatternDescription: "2 to 20 letters and digits, such as BTCUSDT",
		Description: "The pair, letters in either case.", Examples: []any{"BTCUSDT"},
	}
}

// intervalName is the name of an interval.
type intervalName string

// Schema describes the parameter, for Huma.
func (intervalName) Schema(huma.Registry) *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeString, Description: "Length of a candle; 1m is a minute, 1M a month.", Examples: []any{"15m"}}
	for _, i := range market.Intervals() {
		schema.Enum = append(schema.Enum, string(i))
	}
	return schema
}

// seriesOf returns the series that two parameters name.
func seriesOf(symbol symbolName, interval intervalName) (market.Series, error) {
	s, err := market.ParseSymbol(string(symbol))
	if err != nil {
		return market.Series{}, err
	}
	i, err := market.ParseInterval(string(interval))
	return market.Series{Symbol: s, Interval: i}, err
}

// instant is a point in time as a client writes it: RFC 3339 or epoch
// milliseconds. Zero means that the client gave none.
type instant time.Time

// The instants that a client may name, [earliest, latest). Twice the time
// between them fits into a duration, so that no sum of durations overflows.
var (
	earliest = time.Date(1970, time.January, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// What is wrong with an instant, without what the client sent.
var (
	errInstantFormat = errors.New("expected RFC 3339 such as 2024-03-01T00:00:00Z, or epoch milliseconds such as 1709251200000")
	errInstantPlus   = fmt.Errorf("%w; the + of an offset is written %%2B in a query", errInstantFormat)
	errInstantRange  = fmt.Errorf("expected an instant from %s to before %s", earliest.Format(time.DateOnly), latest.Format(time.DateOnly))
)

// UnmarshalText reads RFC 3339 or epoch milliseconds.
func (i *instant) UnmarshalText(text []byte) error {
	var at time.Time
	if milliseconds, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		at = time.UnixMilli(milliseconds)
	} else if at, err = time.Parse(time.RFC3339, string(text)); err != nil {
		if strings.Contains(string(text), " ") {
			return errInstantPlus
		}
		return errInstantFormat
	}
	if at.Before(earliest) || !at.Before(latest) {
		return errInstantRange
	}
	*i = instant(at.UTC())
	return nil
}

// Schema describes the parameter, for Huma.
func (instant) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Examples: []any{"2024-03-01T00:00:00Z"}}
}

// preferredType returns which of the media types an Accept header asks for, the
// first one on a tie and "" where it names none of them. Letters may be in either
// case (RFC 9110, section 8.3.1); types is in lower case.
func preferredType(accept string, types ...string) string {
	return negotiation.SelectQValue(strings.ToLower(accept), types)
}

// strictQuery refuses what Huma would pass over in silence: a query that cannot
// be decoded, a parameter given twice or without a value and one that the
// operation does not know. It names the parameters that there are, never what the client sent.
func strictQuery(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		var known []string
		for _, p := range ctx.Operation().Parameters {
			if p.In == "query" {
				known = append(known, p.Name)
			}
		}
		u := ctx.URL()
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			refuse(api, ctx, "query", "expected name=value pairs joined by &, percent-encoded")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(query)) {
			switch {
			case !slices.Contains(known, name):
				accepted := "none is known here"
				if len(known) > 0 {
					accepted = "known are " + strings.Join(known, ", ")
				}
				refuse(api, ctx, "query", "unknown parameter: "+accepted)
				return
			case len(query[name]) > 1:
				refuse(api, ctx, "query."+name, "expected once, given more than once")
				return
			case query.Get(name) == "":
				refuse(api, ctx, "query."+name, "expected a value; leave the parameter out for its default")
				return
			}
		}
		next(ctx)
	}
}

func refuse(api huma.API, ctx huma.Context, location, message string) {
	// A failure to write is Huma's to report; there is nobody left to tell.
	_ = huma.WriteErr(api, ctx, statuses[market.Invalid], "validation failed",
		&huma.ErrorDetail{Location: location, Message: message})
}
