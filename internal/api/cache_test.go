package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestCachingOfCandles(t *testing.T) {
	at := func(hours, minutes int) time.Time {
		return day1.Add(time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute)
	}
	candles := func(from, to time.Time, without ...time.Time) (list []market.Candle) {
		for open := from; open.Before(to); open = open.Add(15 * time.Minute) {
			if !slices.ContainsFunc(without, open.Equal) {
				list = append(list, candleAt(open, 1))
			}
		}
		return list
	}
	offGrid := candles(at(0, 0), at(1, 0))
	offGrid[2].OpenTime = offGrid[2].OpenTime.Add(time.Second)
	long := 31 * 24 * time.Hour
	for name, test := range map[string]struct {
		candles    []market.Candle
		start, end time.Time
		now        time.Time
		want       string
	}{
		"settled and whole":             {candles(at(0, 0), at(1, 0)), at(0, 0), at(1, 0), at(0, 0).Add(long), settledCaching},
		"a moment before it is settled": {candles(at(0, 0), at(1, 0)), at(0, 0), at(1, 0), at(1, 0).Add(settledAfter - 1), closedCaching},
		"just settled":                  {candles(at(0, 0), at(1, 0)), at(0, 0), at(1, 0), at(1, 0).Add(settledAfter), settledCaching},
		"closed just now":               {candles(at(0, 0), at(1, 0)), at(0, 0), at(1, 0), at(1, 0), closedCaching},
		"the last one is open":          {candles(at(0, 0), at(1, 0)), at(0, 0), at(1, 0), at(1, 0).Add(-1), openCaching},
		"the end is in a candle":        {candles(at(0, 0), at(1, 0)), at(0, 0), at(0, 50), at(0, 55), openCaching},
		"the start is in a candle":      {candles(at(0, 15), at(1, 0)), at(0, 3), at(1, 0), at(2, 0), closedCaching},
		"no end":                        {candles(at(0, 0), at(1, 0)), at(0, 0), time.Time{}, at(0, 0).Add(long), openCaching},
		"the newest has not come":       {candles(at(0, 0), at(0, 45)), at(0, 0), at(1, 0), at(1, 0), openCaching},
		"a hole":                        {candles(at(0, 0), at(1, 0), at(0, 30)), at(0, 0), at(1, 0), at(2, 0), openCaching},
		"an old hole":                   {candles(at(0, 0), at(1, 0), at(0, 30)), at(0, 0), at(1, 0), at(0, 0).Add(long), closedCaching},
		"an old hole at the start":      {candles(at(0, 15), at(1, 0)), at(0, 0), at(1, 0), at(0, 0).Add(long), closedCaching},
		"old, off the grid":             {offGrid, at(0, 0), at(1, 0), at(0, 0).Add(long), closedCaching},
		"nothing of old":                {nil, at(0, 0), at(1, 0), at(0, 0).Add(long), closedCaching},
	} {
		asked := market.TimeRange{Start: test.start, End: test.end}
		if got := cachingOf(market.Minute15, test.candles, asked, test.now); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	lacking := []market.Candle{{OpenTime: day1, Source: market.Minute15, Parts: 3}}
	asked := market.TimeRange{Start: day1, End: day1.Add(time.Hour)}
	if got := cachingOf(market.Hour1, lacking, asked, day1.Add(long)); got != closedCaching {
		t.Errorf("a candle that lacks a part: %q", got)
	}
}

func TestCachingOfAnswers(t *testing.T) {
	f := newService(200)
	s := serveFake(t, f)
	const candles = "/v1/symbols/BTCUSDT/candles?"
	viewer := []string{"Cookie", SessionCookie + "=" + goodSession}
	for _, test := range []struct {
		target string
		header []string
		want   string
	}{
		{candles + "start=2024-03-01T00:00:00Z&end=2024-03-02T00:00:00Z", nil, "public, " + settledCaching},
		{candles + "start=2024-03-01T00:00:00Z&end=2024-03-02T00:00:00Z", viewer, "private, " + settledCaching},
		{candles + "start=2024-03-01T00:00:00Z&limit=10", nil, "public, " + settledCaching}, // a whole page of more
		{candles + "start=2024-03-01T00:00:00Z", nil, "no-cache"},                           // more may come
		{candles + "end=2024-03-02T00:00:00Z&limit=10", nil, "public, " + settledCaching},
		{candles + "end=2024-03-01T01:00:00Z&limit=10", nil, "public, " + closedCaching}, // older ones may be imported
		{candles + "limit=10", nil, "no-cache"},
		{candles + "limit=10", viewer, "private, no-cache"},
		{"/v1/symbols", nil, "no-cache"},
		{"/v1/symbols", viewer, "private, no-cache"},
		{"/v1/jobs", viewer, "private, no-cache"},
		{candles + "limit=0", nil, "no-cache"},
	} {
		a := s.get(t, test.target, test.header...)
		if got := a.header.Values("Cache-Control"); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s as %q: %q, want %q", test.target, test.header, got, test.want)
		}
		if vary := strings.Join(a.header.Values("Vary"), ", "); strings.Contains(vary, "Cookie") != (test.header != nil) {
			t.Errorf("%s as %q: Vary is %q", test.target, test.header, vary)
		}
	}
	f.closed = true
	if a := s.get(t, candles+"limit=10"); a.status != http.StatusUnauthorized || strings.Contains(a.header.Get("Cache-Control"), "public") {
		t.Errorf("closed: status %d, %q", a.status, a.header.Get("Cache-Control"))
	}
}

func TestWhatStillHoldsIsNotSentAgain(t *testing.T) {
	f := newService(200)
	s := serveFake(t, f)
	for _, target := range []string{
		"/v1/symbols", "/v1/symbols/BTCUSDT/candles", "/v1/symbols/BTCUSDT/candles?format=csv&start=0&end=2024-03-02T00:00:00Z",
		"/get_historical_data", "/v1/models?symbol=BTCUSDT", "/healthcheck",
	} {
		first := s.get(t, target)
		etag := first.header.Get("ETag")
		if first.status != http.StatusOK || len(etag) != 34 || strings.HasPrefix(etag, "W/") {
			t.Fatalf("%s: status %d, ETag %q", target, first.status, etag)
		}
		for given, holds := range map[string]bool{
			etag: true, "W/" + etag: true, `"other", ` + etag: true, "*": true,
			`"other"`: false, strings.Trim(etag, `"`): false, "": false,
		} {
			a := s.get(t, target, "If-None-Match", given)
			want := http.StatusOK
			if holds {
				want = http.StatusNotModified
			}
			if a.status != want || (a.body == "") != holds || a.header.Get("ETag") != etag {
				t.Errorf("%s with %q: status %d, ETag %q, %d bytes", target, given, a.status, a.header.Get("ETag"), len(a.body))
			}
			for _, name := range []string{"Cache-Control", "Vary", "Link"} {
				if !slices.Equal(a.header.Values(name), first.header.Values(name)) {
					t.Errorf("%s with %q: %s is %q, was %q", target, given, name, a.header.Values(name), first.header.Values(name))
				}
			}
		}
	}
	// A correction and another format are other bytes.
	const page = "/v1/symbols/BTCUSDT/candles?start=0&end=2024-03-02T00:00:00Z"
	before, other := s.get(t, page).header.Get("ETag"), s.get(t, page+"&format=ndjson").header.Get("ETag")
	f.candles[btc15m][7].Close += 0.01
	if after := s.get(t, page, "If-None-Match", before); after.status != http.StatusOK || after.header.Get("ETag") == before || before == other {
		t.Errorf("after a correction: status %d, ETags %s, %s, as NDJSON %s", after.status, before, after.header.Get("ETag"), other)
	}
}

func TestProblemsHaveNoETag(t *testing.T) {
	if a := serveFake(t, newService(3)).get(t, "/v1/symbols/NOUSDT/candles", "If-None-Match", "*"); a.status != http.StatusNotFound || a.header.Get("ETag") != "" {
		t.Errorf("status %d, ETag %q", a.status, a.header.Get("ETag"))
	}
}

// What an ETag of a thousand candles costs: of their text, and what the text costs that
// one of their values would do without.
func BenchmarkETag(b *testing.B) {
	candles := newService(1000).candles[btc15m]
	text := appendPage(nil, btc15m, candles, "")
	b.Run("text", func(b *testing.B) {
		for b.Loop() {
			text = appendPage(text[:0], btc15m, candles, "")
		}
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			etagOf(text)
		}
	})
}
