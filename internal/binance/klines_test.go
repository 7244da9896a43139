package binance

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// TestMalformedAnswers goes over HTTP, so that no answer of status 200 passes as
// an empty page on any way.
func TestMalformedAnswers(t *testing.T) {
	first, second := klineRow(newYear.Start), klineRow(newYear.Start.Add(15*time.Minute))
	// row is the first with one field replaced.
	row := func(column int, value string) string {
		fields := strings.Split(strings.Trim(first, "[]"), ",")
		fields[column] = value
		return "[[" + strings.Join(fields, ",") + "]," + second + "]"
	}
	rowsOf := func(rows ...string) string { return "[" + strings.Join(rows, ",") + "]" }
	for _, test := range []struct{ name, body, says string }{
		{"nothing", "", `found "" where '[' is expected`},
		{"an object", `{"code":0}`, `found "{\"code\":0}" where '[' is expected`},
		{"null", "null", `found "null" where '['`},
		{"a page for people", "<html>" + strings.Repeat("x", 10_000), `found "<html>x`},
		{"a row that is no array", `[1,2]`, `row 1: found "1,2]" where '['`},
		{"a row that is null", rowsOf(first, "null"), `row 2: found "null]" where '['`},
		{"a row that is an object", rowsOf("{}"), `row 1: found "{}]"`},
		{"an empty row", rowsOf("[]"), `open time (a whole number) is expected`},
		{"a short row", rowsOf(strings.TrimSuffix(first, `,"0"]`) + "]"), `where ',' is expected`},
		{"a long row", rowsOf(strings.TrimSuffix(first, "]") + `,"0"]`), `where ']' is expected`},
		{"a row too many", "[" + first + "," + second + ",]", "row 3"},
		{"no comma", "[" + first + second + "]", "where ',' is expected"},
		{"more after the end", rowsOf(first) + "x", "where the end is expected"},
		{"no end", "[" + first, "where ',' is expected"},
		{"nothing in a number", row(1, `""`), `found "\"\",`},
		{"a number for a string", row(4, `16661.17`), "close (a decimal in a string) is expected"},
		{"a string for a time", row(0, `"1704067200000"`), "open time (a whole number) is expected"},
		{"a string for a count", row(8, `"134761"`), "trades (a whole number) is expected"},
		{"null for a count", row(8, `null`), "trades (a whole number) is expected"},
		{"a fraction for a count", row(8, `1.5`), "where ',' is expected"},
		{"a count too large", row(8, strings.Repeat("9", 40)), "trades (a whole number) is expected"},
		{"leading zeros", row(8, `007`), "trades (a whole number) is expected"},
		{"no number", row(2, `"NaN"`), "high (a decimal in a string) is expected"},
		{"infinity", row(2, `"Inf"`), "high (a decimal in a string) is expected"},
		{"hexadecimal", row(2, `"0x1p4"`), "high (a decimal in a string) is expected"},
		{"an exponent", row(2, `"1e5"`), "high (a decimal in a string) is expected"},
		{"two points", row(2, `"1.2.3"`), "high (a decimal in a string) is expected"},
		{"a point", row(2, `"."`), "high (a decimal in a string) is expected"},
		{"beyond a float64", row(2, `"`+strings.Repeat("9", 400)+`"`), "high (a decimal in a string) is expected"},
		{"a negative price", row(3, `"-1.0"`), "low (a decimal in a string) is expected"},
		{"a negative count", row(8, `-1`), "trades (a whole number) is expected"},
		{"a price of nothing", row(3, `"0.00000000"`), "low is 0"},
		{"a high below", row(2, `"1"`), "high 1 is below"},
		{"a taker volume above the whole", row(9, `"6569"`), "taker buy volume 6569 is above"},
		{"an endless string", rowsOf(strings.TrimSuffix(first, `"0"]`) + `"000`), "ignored column"},
		{"a close before the open", row(6, `1704067199999`), "close time 2023-12-31T23:59:59.999Z does not fit"},
		{"a close after the interval", row(6, `1704068100000`), "close time 2024-01-01T00:15:00Z does not fit"},
		{"microseconds", row(0, `1704067200000000`), "open time (a whole number) is expected"},
		{"a row twice", rowsOf(first, first), "row 2: opens at 2024-01-01T00:00:00Z, not after the row before"},
		{"disorder", rowsOf(second, first), "row 2: opens at 2024-01-01T00:00:00Z, not after the row before"},
		{"before what was asked", rowsOf(klineRow(newYear.Start.Add(-15*time.Minute)), first), "row 1: opens at 2023-12-31T23:45:00Z, outside"},
		{"after what was asked", rowsOf(first, klineRow(newYear.End)), "row 2: opens at 2024-01-01T01:00:00Z, outside"},
		{"too large", "[" + strings.Repeat(" ", maxBody) + "]", "longer than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newExchange(t, answering(http.StatusOK, test.body))
			candles, err := e.client(t).Candles(t.Context(), btc15m, newYear)
			if market.ErrorCode(err) != market.Unavailable || !strings.Contains(fmt.Sprint(err), test.says) || len(candles) != 0 {
				t.Fatalf("%d candles, error %v, want %q", len(candles), err, test.says)
			}
			if len(err.Error()) > 300 {
				t.Errorf("%d bytes of text: %v", len(err.Error()), err)
			}
		})
	}
}

func TestMoreCandlesThanAsked(t *testing.T) {
	page := klinePage(newYear.Start, history.PageLimit+1)
	wide := market.TimeRange{Start: newYear.Start, End: newYear.Start.AddDate(0, 1, 0)}
	e := newExchange(t, answering(http.StatusOK, page))
	_, err := e.client(t).Candles(t.Context(), btc15m, wide)
	if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "row 1001: is one more than the 1000 asked for") {
		t.Error(err)
	}
}

func TestBodiesThatAreCut(t *testing.T) {
	page := klinePage(newYear.Start, 4)
	for name, klines := range map[string]http.HandlerFunc{
		"shorter than its Content-Length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(page)+1))
			fmt.Fprint(w, page)
		},
		"chunks without an end": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, page) // whole JSON: only the missing last chunk gives it away
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		candles, err := newExchange(t, klines).client(t).Candles(t.Context(), btc15m, newYear)
		if market.ErrorCode(err) != market.Unavailable || len(candles) != 0 {
			t.Errorf("%s: %d candles, %v", name, len(candles), err)
		}
	}
}

func TestAnswersThatAreUnusualAndRight(t *testing.T) {
	offGrid := time.UnixMilli(1518222214838).UTC() // as delivered on 2018-02-10, closing early
	short := strings.Replace(klineRow(offGrid), strconv.FormatInt(offGrid.Add(15*time.Minute).UnixMilli()-1, 10), "1518222599999", 1)
	february := market.TimeRange{Start: at("2018-02-10T00:00:00Z"), End: at("2018-02-11T00:00:00Z")}
	still := `[1518222600000,"8000","8000","8000","8000","0.00000000",1518223499999,"0",0,"0","0","0"]`
	for _, test := range []struct {
		name, body string
		want       int
	}{
		{"no candle", "[]", 0},
		{"no candle, spaced", " [ ]\n", 0},
		{"off the grid and cut short", "[" + short + "]", 1},
		{"without a trade", "[" + short + "," + still + "]", 2},
		{"spaced", "[ " + strings.ReplaceAll(short, ",", " ,\n\t") + " ]\r\n", 1},
	} {
		candles, err := decodeKlines(test.body, klinesRequest{btc15m, february, 10})
		if err != nil || len(candles) != test.want {
			t.Errorf("%s: %v, %v", test.name, candles, err)
		}
	}
}

func TestMonthsOpenAtTheirFirst(t *testing.T) {
	months := market.Series{Symbol: "BTCUSDT", Interval: market.Month1}
	first := at("2024-02-01T00:00:00Z")
	candles, err := decodeKlines("["+klineRowOf(first, market.Month1)+"]",
		klinesRequest{months, market.TimeRange{Start: first, End: first.AddDate(0, 1, 0)}, 1})
	if err != nil || len(candles) != 1 || !candles[0].OpenTime.Equal(first) {
		t.Errorf("%v, %v", candles, err)
	}
}

// FuzzDecodeKlines asserts of any bytes whatever that they are refused, in few
// words, or give only valid candles, in order, where they were asked for.
func FuzzDecodeKlines(f *testing.F) {
	page := klinePage(newYear.Start, 3)
	for _, seed := range []string{
		page, "[]", "null", "{}", "<html>", page[:len(page)-1], strings.ReplaceAll(page, ",", " , "),
		strings.Replace(page, "134761", "99999999999999999999", 1), strings.Replace(page, `"16754.53000000"`, `""`, 1),
		strings.Replace(page, `"16754.53000000"`, "\"\xff", 1),
	} {
		f.Add(seed)
	}
	asked := klinesRequest{btc15m, newYear, 3}
	f.Fuzz(func(t *testing.T, text string) {
		candles, err := decodeKlines(text, asked)
		if err != nil {
			if len(candles) != 0 || len(err.Error()) > 400 {
				t.Fatalf("%d candles, %v", len(candles), err)
			}
			return
		}
		if len(candles) > asked.limit || strings.Count(text, "[") != len(candles)+1 {
			t.Fatalf("%d candles of %q", len(candles), text)
		}
		for k, candle := range candles {
			if err := candle.Validate(); err != nil {
				t.Fatal(err)
			}
			if !asked.opens.Contains(candle.OpenTime) || k > 0 && !candle.OpenTime.After(candles[k-1].OpenTime) ||
				candle.OpenTime.Location() != time.UTC || candle.Source != market.Minute15 || candle.Parts != 1 {
				t.Fatalf("%+v", candle)
			}
		}
	})
}

// BenchmarkPage fetches, decodes and validates a full page over loopback; the
// server's part is in it.
// BenchmarkGovernedPage fetches pages with the governor and without it in turn,
// in one run, and reports the ratio of the times.
func BenchmarkGovernedPage(b *testing.B) {
	page := []byte(klinePage(newYear.Start, history.PageLimit))
	e := newExchange(b, func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	e.info = answering(http.StatusOK,
		`{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":1000000000}]}`)
	wide := market.TimeRange{Start: newYear.Start, End: newYear.Start.AddDate(0, 1, 0)}
	governed, free := e.client(b), e.client(b)
	var with, without time.Duration
	fetch := func(client *Client) time.Duration {
		began := time.Now()
		if candles, err := client.Candles(b.Context(), btc15m, wide); err != nil || len(candles) != history.PageLimit {
			b.Fatalf("%d candles, %v", len(candles), err)
		}
		return time.Since(began)
	}
	fetch(governed)
	fetch(free)
	free.answers.next = free.governor.next
	for b.Loop() {
		with += fetch(governed)
		without += fetch(free)
	}
	b.ReportMetric(float64(with)/float64(without), "governed/free")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkPage(b *testing.B) {
	page := []byte(klinePage(newYear.Start, history.PageLimit))
	e := newExchange(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		w.Write(page)
	})
	e.info = answering(http.StatusOK,
		`{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"SECOND","intervalNum":10,"limit":1000000000}]}`)
	wide := market.TimeRange{Start: newYear.Start, End: newYear.Start.AddDate(0, 1, 0)}
	client := e.client(b)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if candles, err := client.Candles(b.Context(), btc15m, wide); err != nil || len(candles) != history.PageLimit {
			b.Fatalf("%d candles, %v", len(candles), err)
		}
	}
	b.ReportMetric(history.PageLimit*float64(b.N)/b.Elapsed().Seconds(), "candles/s")
}

func BenchmarkDecodeKlines(b *testing.B) {
	page := klinePage(newYear.Start, history.PageLimit)
	asked := klinesRequest{btc15m, market.TimeRange{Start: newYear.Start, End: newYear.Start.AddDate(0, 1, 0)}, history.PageLimit}
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeKlines(page, asked); err != nil {
			b.Fatal(err)
		}
	}
}
