package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// How long an answer holds.
const (
	// settledAfter is when a closed candle is taken for final: exchanges correct their
	// candles within days.
	settledAfter = 30 * 24 * time.Hour
	// A candle that is older can still change, when an archive is imported that has
	// another one, so that even what is settled is not kept for ever.
	settledCaching = "max-age=604800, immutable"
	// closedCaching is for what changes only when a candle is corrected or found.
	closedCaching = "max-age=60"
	// openCaching is for whatever else: it is kept, and asked for again by its ETag.
	openCaching = "no-cache"
)

// cachingOf returns for how long candles hold that were asked for over a range of open
// times, whose end is zero for none.
//
//   - All candles of the range have closed and none is missing: for a minute; for a week,
//     unasked, where the last one closed 30 days ago.
//   - They closed that long ago and some are missing, which may be found: for a minute.
//   - A candle of it is still open, or may come at any moment: not at all.
func cachingOf(interval market.Interval, candles []market.Candle, asked market.TimeRange, now time.Time) string {
	if asked.End.IsZero() {
		return openCaching
	}
	places := market.TimeRange{Start: placeFrom(interval, asked.Start), End: placeFrom(interval, asked.End)}
	settled := !places.End.After(now.Add(-settledAfter))
	complete := whole(interval, candles, places)
	switch {
	case settled && complete:
		return settledCaching
	case settled, complete && !places.End.After(now):
		return closedCaching
	}
	return openCaching
}

// placeFrom returns the first open time on the grid that is not before an instant.
func placeFrom(interval market.Interval, at time.Time) time.Time {
	if place := interval.Floor(at); !place.Before(at) {
		return place
	}
	return interval.Next(interval.Floor(at))
}

// whole reports whether a complete candle opens at each place of a range on the grid,
// and none elsewhere.
func whole(interval market.Interval, candles []market.Candle, places market.TimeRange) bool {
	next := places.Start
	for _, c := range candles {
		if !c.OpenTime.Equal(next) || !c.Complete(interval) {
			return false
		}
		next = interval.Next(next)
	}
	return !next.Before(places.End)
}

// cachingFor returns the Cache-Control of an answer to a caller: what nobody else may be
// told, or what was closed to others, must not be kept for several.
func cachingFor(caller accounts.Caller, caching string) string {
	switch {
	case caller.Known():
		return "private, " + caching
	case caching == openCaching:
		return caching
	}
	return "public, " + caching
}

// conditional has an operation that reads answer 304 to a client that has the answer
// already. It documents what comes with that.
func conditional(api huma.API, operation *huma.Operation) {
	operation.Parameters = append(operation.Parameters, &huma.Param{
		Name: "If-None-Match", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
		Description: "ETags of answers that the client has: where one of them still holds, the answer is 304.",
	})
	if operation.Responses == nil {
		operation.Responses = map[string]*huma.Response{}
	}
	operation.Responses[strconv.Itoa(http.StatusNotModified)] = &huma.Response{
		Description: "The answer that the client has, as If-None-Match says, still holds.",
	}
	operation.Middlewares = append(operation.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		answer := &bufferedAnswer{humaContext: ctx}
		next(answer)
		r, w := humago.Unwrap(ctx)
		answer.send(w, r)
	})
}

// bufferedAnswer keeps an answer until all of it is known.
//
// Its ETag is of its bytes. That of candles could be of their values, without making
// text of them, which takes half a millisecond for a thousand (BenchmarkETag), a tenth
// of what reading them takes; but then it would not change when their text does.
type bufferedAnswer struct {
	humaContext
	status int
	body   bytes.Buffer
}

// Unwrap lets humago reach the request.
func (a *bufferedAnswer) Unwrap() huma.Context { return a.humaContext }

// SetStatus notes the status.
func (a *bufferedAnswer) SetStatus(status int) { a.status = status }

// Status returns the status that was noted.
func (a *bufferedAnswer) Status() int { return a.status }

// BodyWriter returns where the body is kept.
func (a *bufferedAnswer) BodyWriter() io.Writer { return &a.body }

// humaContext has a method Context, so that it cannot be embedded under that name.
type humaContext = huma.Context

func (a *bufferedAnswer) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if a.status == http.StatusOK {
		etag := etagOf(a.body.Bytes())
		header.Set("ETag", etag)
		if matches(r.Header.Values("If-None-Match"), etag) {
			header.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		header.Set("Content-Length", strconv.Itoa(a.body.Len()))
	}
	w.WriteHeader(a.status)
	// Whether the client still listens makes no difference here.
	_, _ = a.body.WriteTo(w)
}

func etagOf(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// matches reports whether If-None-Match names an ETag, by weak comparison (RFC 9110,
// section 13.1.2).
func matches(given []string, etag string) bool {
	for _, line := range given {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
				return true
			}
		}
	}
	return false
}
