package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Every list that can grow is read page by page behind a key: that of the last element
// of the page before, by which the list is ordered. What is added or removed meanwhile
// makes no page repeat or pass over an element that was there all the time, and a page
// far behind costs no more than the first.

// key is what a list is ordered by, which no two of its elements share.
type key interface {
	comparable
	// list returns the name of the list, so that a cursor of another is refused.
	list() string
	// valid reports whether an element can stand there.
	valid() bool
}

// cursor is the place behind which the next page of a list begins, opaque to the
// client. It is given unless the client left it out.
type cursor[K key] struct {
	after K
	given bool
}

// longestCursor is more than the longest one.
const longestCursor = 200

// cursorEncoding is strict, so that a place has one cursor only.
var cursorEncoding = base64.RawURLEncoding.Strict()

var errCursor = errors.New("expected the next_cursor of an earlier answer of this list")

// MarshalText writes the name of the list and the key.
func (c cursor[K]) MarshalText() ([]byte, error) {
	encoded, err := json.Marshal(c.after)
	if err != nil {
		return nil, fmt.Errorf("encoding a cursor: %w", err)
	}
	return cursorEncoding.AppendEncode(nil, append([]byte(c.after.list()), encoded...)), nil
}

// UnmarshalText reads what MarshalText wrote, and nothing else.
func (c *cursor[K]) UnmarshalText(text []byte) error {
	decoded, err := cursorEncoding.DecodeString(string(text))
	if err != nil || len(text) > longestCursor {
		return errCursor
	}
	read := cursor[K]{given: true}
	encoded, own := strings.CutPrefix(string(decoded), read.after.list())
	if !own || json.Unmarshal([]byte(encoded), &read.after) != nil || !read.after.valid() {
		return errCursor
	}
	// JSON says the same thing in many ways.
	if again, err := read.MarshalText(); err != nil || string(again) != string(text) {
		return errCursor
	}
	*c = read
	return nil
}

// Schema describes the parameter, for Huma.
func (cursor[K]) Schema(huma.Registry) *huma.Schema {
	longest := longestCursor
	return &huma.Schema{Type: huma.TypeString, MaxLength: &longest}
}

// Page is what a list that is read page by page takes beside its own parameters. It is
// exported for Huma, which passes over the fields of an embedded type that is not.
type Page[K key] struct {
	Cursor cursor[K] `query:"cursor" doc:"The next_cursor of an earlier answer: go on behind it. Repeat the other parameters; it takes the place of start."`
	self   url.URL
}

// Resolve notes the address of the page, for Huma.
func (p *Page[K]) Resolve(ctx huma.Context) []error {
	p.self = ctx.URL()
	return nil
}

// listed is an answer that is a page of a list.
type listed[T any] struct {
	Link string `header:"Link" doc:"Where there is a next page: its address, with rel=\"next\" (RFC 8288)."`
	Body T
}

// endPage cuts off what is beyond limit, which there is one element of where there is a
// next page, and returns its cursor and its Link, nil and "" where there is none.
func endPage[K key, T any](page *Page[K], elements []T, limit int, keyOf func(T) K) (kept []T, next *string, link string) {
	if len(elements) <= limit {
		return elements, nil, ""
	}
	kept = elements[:limit]
	text := cursorText(keyOf(kept[limit-1]))
	return kept, &text, linkTo(page.self, "next", map[string]string{"cursor": text, "start": ""})
}

func cursorText[K key](after K) string {
	text, err := cursor[K]{after: after}.MarshalText()
	if err != nil {
		panic(err) // a key holds numbers and text, which JSON has all of
	}
	return string(text)
}

// linkTo returns a Link to a page with other parameters; an empty value takes one out.
// The address is one that was understood, and encoded anew, so that nothing foreign gets
// into the header.
func linkTo(page url.URL, relation string, parameters map[string]string) string {
	query := page.Query()
	for name, value := range parameters {
		if value == "" {
			query.Del(name)
		} else {
			query.Set(name, value)
		}
	}
	to := url.URL{Path: page.Path, RawQuery: query.Encode()}
	return "<" + to.String() + `>; rel="` + relation + `"`
}

// microseconds is an instant as the database keeps it, since 1970.
type microseconds int64

func microsecondsOf(at time.Time) microseconds { return microseconds(at.UnixMicro()) }

func (m microseconds) time() time.Time { return time.UnixMicro(int64(m)).UTC() }

func (m microseconds) valid() bool {
	return !m.time().Before(earliest) && m.time().Before(latest)
}

// candleKey is where a candle stands in its series.
type candleKey struct {
	OpenTime microseconds `json:"t"`
}

func (candleKey) list() string  { return "candles" }
func (k candleKey) valid() bool { return k.OpenTime.valid() }

// coinKey is where a state stands in a coin's history.
type coinKey struct {
	AsOf microseconds `json:"t"`
}

func (coinKey) list() string  { return "coins" }
func (k coinKey) valid() bool { return k.AsOf.valid() }

func coinKeyOf(c market.Coin) coinKey { return coinKey{microsecondsOf(c.AsOf)} }

// forecastKey is where a forecast stands in the record of a series.
type forecastKey struct {
	OpenTime microseconds `json:"t"`
	AsOf     microseconds `json:"a"`
	ModelID  int64        `json:"m"`
}

func (forecastKey) list() string { return "forecasts" }
func (k forecastKey) valid() bool {
	return k.OpenTime.valid() && k.AsOf.valid() && k.ModelID >= 0
}

func forecastKeyOf(f forecast.RecordRow) forecastKey {
	return forecastKey{microsecondsOf(f.OpenTime), microsecondsOf(f.AsOf), f.ModelID}
}

// runKey is where a run stands in the list of a job's.
type runKey struct {
	QueuedAt microseconds `json:"t"`
	ID       int64        `json:"n"` // negative for one that was skipped
}

func (runKey) list() string  { return "runs" }
func (k runKey) valid() bool { return k.QueuedAt.valid() }

func runKeyOf(r jobs.Run) runKey { return runKey{microsecondsOf(r.QueuedAt), r.ID} }

// entryKey is where an entry stands in the audit log.
type entryKey struct {
	ID int64 `json:"n"`
}

func (entryKey) list() string  { return "audit" }
func (k entryKey) valid() bool { return k.ID > 0 }

// userKey is where a user stands among all.
type userKey struct {
	Username string `json:"u"`
}

func (userKey) list() string  { return "users" }
func (k userKey) valid() bool { return k.Username != "" && len(k.Username) <= 64 }
