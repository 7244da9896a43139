package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestInstant(t *testing.T) {
	for text, want := range map[string]string{
		"2024-03-01T00:00:00Z":              "2024-03-01T00:00:00Z",
		"2024-03-01T02:00:00+02:00":         "2024-03-01T00:00:00Z",
		"2024-03-01T00:00:00.123456Z":       "2024-03-01T00:00:00.123456Z",
		"1709251200000":                     "2024-03-01T00:00:00Z",
		"0":                                 "1970-01-01T00:00:00Z",
		"2099-12-31T23:59:59.999Z":          "2099-12-31T23:59:59.999Z",
		"2100-01-01T00:00:00Z":              "error: before 2100",
		"1969-12-31T23:59:59Z":              "error: from 1970",
		"-1":                                "error: from 1970",
		"9223372036854775807":               "error: before 2100",
		"9999999999999999999999":            "error: RFC 3339",
		"2024-03-01":                        "error: RFC 3339",
		"2024-03-01T00:00:00 02:00":         "error: %2B",
		"2024-02-30T00:00:00Z":              "error: RFC 3339",
		"now":                               "error: RFC 3339",
		"1709251200000.5":                   "error: RFC 3339",
		"<script>alert(1)</script>":         "error: RFC 3339",
		strings.Repeat("9", 100_000):        "error: RFC 3339",
		"0001-01-01T00:00:00Z":              "error: from 1970",
		"2024-03-01T00:00:00Z\r\nX-Evil: 1": "error: RFC 3339",
	} {
		var i instant
		err := i.UnmarshalText([]byte(text))
		if problem, ok := strings.CutPrefix(want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), problem) {
				t.Errorf("%.40q: error is %v, want one about %q", text, err, problem)
			}
			continue
		}
		if got := time.Time(i).Format(time.RFC3339Nano); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
}

func FuzzInstant(f *testing.F) {
	for _, seed := range []string{"2024-03-01T00:00:00Z", "2024-03-01T00:00:00+02:00", "1709251200000", "-1", "", "9e99"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var i instant
		if err := i.UnmarshalText([]byte(text)); err != nil {
			if err != errInstantFormat && err != errInstantPlus && err != errInstantRange {
				t.Errorf("%q gets an error of its own: %v", text, err)
			}
			return
		}
		at := time.Time(i)
		if at.Location() != time.UTC || at.Before(earliest) || !at.Before(latest) {
			t.Errorf("%q is %s: not in UTC or out of bounds", text, at)
		}
		var again instant
		if err := again.UnmarshalText([]byte(at.Format(time.RFC3339Nano))); err != nil || !time.Time(again).Equal(at) {
			t.Errorf("%q is %s, which reads back as %s, %v", text, at, time.Time(again), err)
		}
	})
}

// The schemas refuse what the domain refuses, so that no message of the domain
// about a parameter, which repeats it, gets out.
func TestSchemasAgreeWithTheDomain(t *testing.T) {
	s := serveFake(t, newService(1))
	for _, name := range []string{"BTCUSDT", "btcusdt", "A", "AB", "1000SATSUSDT", strings.Repeat("A", 20), strings.Repeat("A", 21), "BTC-USDT", "BTCUſDT"} {
		status := s.get(t, "/v1/symbols/"+escape(name)+"/coverage").status
		if _, err := market.ParseSymbol(name); err != nil && status != 422 {
			t.Errorf("the domain refuses %q with %v, the API answers %d", name, err, status)
		} else if ascii := !strings.Contains(name, "ſ"); err == nil && status == 422 && ascii {
			t.Errorf("the domain takes %q, the API refuses it", name)
		}
	}
	for _, i := range market.Intervals() {
		if !slices.Contains(intervalName("").Schema(nil).Enum, any(string(i))) {
			t.Errorf("the schema lacks %s", i)
		}
	}
}

func TestBadParametersAreNamedAndNotRepeated(t *testing.T) {
	s := serveFake(t, newService(3))
	const candles = "/v1/symbols/BTCUSDT/candles?"
	for _, test := range []struct{ target, location, message string }{
		{candles + "interval=7m", "query.interval", `"1m, 3m, 5m, 15m`},
		{candles + "interval=15M", "query.interval", "15m"},
		{candles + "start=yesterday", "query.start", "epoch milliseconds"},
		{candles + "end=2024-03-01T00:00:00+02:00", "query.end", "%2B"},
		{candles + "end=9999-12-31T00:00:00Z", "query.end", "before 2100"},
		{candles + "limit=0", "query.limit", ">= 1"},
		{candles + "limit=3001", "query.limit", "<= 3000"},
		{candles + "limit=-5", "query.limit", ">= 1"},
		{candles + "limit=99999999999999999999", "query.limit", "integer"},
		{candles + "limit=ten", "query.limit", "integer"},
		{candles + "limit", "query.limit", "expected a value"},
		{candles + "limit=", "query.limit", "expected a value; leave the parameter out for its default"},
		{candles + "start=", "query.start", "expected a value"},
		{candles + "end=", "query.end", "expected a value"},
		{candles + "cursor=", "query.cursor", "expected a value"},
		{candles + "interval=", "query.interval", "expected a value"},
		{candles + "format=", "query.format", "expected a value"},
		{"/v1/symbols/BTCUSDT/forecast?at=", "query.at", "expected a value"},
		{candles + "limit=5&limit=6", "query.limit", "once"},
		{candles + "limit=%zz", "query", "percent-encoded"},
		{candles + "format=xml", "query.format", "json, csv, ndjson"},
		{candles + "cursor=AAAA", "query.cursor", "next_cursor"},
		{candles + "cursor=__________8", "query.cursor", "next_cursor"},
		{candles + "start=2024-03-02T00:00:00Z&end=2024-03-01T00:00:00Z", "query.end", "not before start"},
		{candles + "from=2024-03-02T00:00:00Z", "query", "known are interval, start, end, limit, format, cursor"},
		{"/v1/symbols?page=2", "query", "none is known here"},
		{"/v1/symbols/BTC-USDT/candles", "path.symbol", "letters and digits"},
		{"/v1/symbols/BTCUSDT/forecast?at=tomorrow", "query.at", "RFC 3339"},
		{"/v1/symbols/BTCUSDT/forecast?at=2099-01-01T00:00:00Z", "query.at", "not in the future"},
	} {
		got := decode[problem](t, s.get(t, test.target), 422)
		if len(got.Errors) != 1 || got.Errors[0].Location != test.location || !strings.Contains(got.Errors[0].Message, test.message) {
			t.Errorf("%s: got %+v, want one error at %s about %q", test.target, got.Errors, test.location, test.message)
		}
	}

	const hostile = `<script>alert("x")</script>'"-->${7*7}`
	for _, target := range []string{
		"/v1/symbols/" + escape(hostile) + "/candles",
		"/v1/symbols/" + escape(hostile) + "/coverage",
		"/v1/symbols/" + escape(hostile) + "/forecast",
		candles + escape(hostile) + "=1",
		candles + "interval=" + escape(hostile),
		candles + "start=" + escape(hostile),
		candles + "end=" + escape(hostile),
		candles + "limit=" + escape(hostile),
		candles + "cursor=" + escape(hostile),
		candles + "format=" + escape(hostile),
		"/v1/symbols/BTCUSDT/forecast?at=" + escape(hostile),
		"/" + escape(hostile),
	} {
		for _, accept := range []string{"application/json", "text/html"} {
			a := s.get(t, target, "Accept", accept, "X-Request-Id", hostile)
			if a.status != 422 && a.status != 404 {
				t.Errorf("%s: status %d", target, a.status)
			}
			all := a.body
			for name, values := range a.header {
				all += name + strings.Join(values, "")
			}
			if strings.Contains(all, "script>") || strings.Contains(all, "7*7") {
				t.Errorf("%s repeats what was sent: %s", target, all)
			}
		}
	}
}
