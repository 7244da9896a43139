package api

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func escape(text string) string { return url.PathEscape(strings.ReplaceAll(text, "/", "|")) }

func openTimesIn(page candlePage) []string {
	var times []string
	for _, c := range page.Candles {
		times = append(times, c.OpenTime.Format("02 15:04"))
	}
	return times
}

func TestCandlesRanges(t *testing.T) {
	f := newService(200)
	// A hole of 100 candles, longer than a page below.
	f.candles[btc15m] = slices.Delete(f.candles[btc15m], 50, 150)
	s := serveFake(t, f)
	const base = "/v1/symbols/BTCUSDT/candles?limit=3"
	for _, test := range []struct {
		query string
		want  []string // nil: none
		more  bool
	}{
		{"", []string{"03 01:15", "03 01:30", "03 01:45"}, false},
		{"&start=2024-03-01T00:00:00Z", []string{"01 00:00", "01 00:15", "01 00:30"}, true},
		{"&start=1709251200001", []string{"01 00:15", "01 00:30", "01 00:45"}, true},
		{"&start=0", []string{"01 00:00", "01 00:15", "01 00:30"}, true},
		{"&start=2024-03-01T00:00:00Z&end=2024-03-01T00:45:00Z", []string{"01 00:00", "01 00:15", "01 00:30"}, false},
		{"&start=2024-03-01T00:00:00Z&end=2024-03-01T00:45:01Z", []string{"01 00:00", "01 00:15", "01 00:30"}, true},
		{"&start=2024-03-01T00:15:00Z&end=2024-03-01T00:30:00Z", []string{"01 00:15"}, false},
		{"&start=2024-03-01T00:15:00Z&end=2024-03-01T00:15:00Z", nil, false},
		{"&start=2024-03-01T12:15:00Z", []string{"01 12:15", "02 13:30", "02 13:45"}, true},
		{"&start=2024-03-01T13:00:00Z&end=2024-03-02T00:00:00Z", nil, false},
		{"&start=2024-03-03T01:30:00Z", []string{"03 01:30", "03 01:45"}, false},
		{"&start=2030-01-01T00:00:00Z", nil, false},
		{"&end=2024-03-01T02:00:00Z", []string{"01 01:15", "01 01:30", "01 01:45"}, false},
		{"&end=2024-03-01T02:00:01Z", []string{"01 01:30", "01 01:45", "01 02:00"}, false},
		{"&end=2024-03-01T00:15:00Z", []string{"01 00:00"}, false},
		{"&end=2024-03-01T00:00:00Z", nil, false},
		{"&end=2024-03-02T14:00:00Z", []string{"02 13:30", "02 13:45"}, false},             // shorter: the hole before
		{"&end=2024-03-02T13:30:00Z", []string{"01 11:45", "01 12:00", "01 12:15"}, false}, // the hole is no end of history
		{"&end=2024-03-01T15:00:00Z", []string{"01 11:45", "01 12:00", "01 12:15"}, false},
		{"&end=2099-01-01T00:00:00Z", []string{"03 01:15", "03 01:30", "03 01:45"}, false},
	} {
		a := s.get(t, base+test.query)
		page := decode[candlePage](t, a, http.StatusOK)
		if got := openTimesIn(page); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.query, got, test.want)
		}
		if got := page.NextCursor != nil; got != test.more {
			t.Errorf("%s: there is a next page: %t, want %t", test.query, got, test.more)
		}
		if got := linkOf(a, "next") != ""; got != test.more {
			t.Errorf("%s: there is a Link to the next page: %t, want %t", test.query, got, test.more)
		}
	}
}

func TestCandlesWalkEveryPage(t *testing.T) {
	f := newService(500)
	f.candles[btc15m] = slices.Delete(f.candles[btc15m], 100, 140)
	s := serveFake(t, f)
	var walked []string
	target, pages := "/v1/symbols/btcusdt/candles?limit=70&start=0&end=2099-01-01T00:00:00Z", 0
	for target != "" {
		pages++
		a := s.get(t, target)
		page := decode[candlePage](t, a, http.StatusOK)
		walked = append(walked, openTimesIn(page)...)
		link, more := strings.CutPrefix(a.header.Get("Link"), "<")
		link, closed := strings.CutSuffix(link, `>; rel="next"`)
		if more != closed || more != (page.NextCursor != nil) {
			t.Fatalf("Link is %q, the cursor %v", a.header.Get("Link"), page.NextCursor)
		}
		if target = link; more && !strings.Contains(link, *page.NextCursor) {
			t.Fatalf("Link %s has another cursor than %s", link, *page.NextCursor)
		}
	}
	var want []string
	for _, c := range f.candles[btc15m] {
		want = append(want, c.OpenTime.Format("02 15:04"))
	}
	if !slices.Equal(walked, want) {
		t.Errorf("walked %d candles, want %d", len(walked), len(want))
	}
	if pages != 7 {
		t.Errorf("460 candles came in %d pages of 70, want 7", pages)
	}
}

// A month of 15m candles comes in one answer, and the store is asked for just
// that range and nothing else.
func TestCandlesOfAMonthInOneAnswer(t *testing.T) {
	f := newService(5000)
	s := serveFake(t, f)
	page := decode[candlePage](t, s.get(t, "/v1/symbols/BTCUSDT/candles?limit=2880&start=2024-03-01T00:00:00Z&end=2024-03-31T00:00:00Z"), http.StatusOK)
	if len(page.Candles) != 2880 || page.NextCursor != nil {
		t.Errorf("got %d candles, next page %v", len(page.Candles), page.NextCursor)
	}
	if len(f.asked) != 1 || !f.asked[0].End.Equal(day1.AddDate(0, 0, 30)) || f.lists != 0 {
		t.Errorf("the store was asked for %v, and %d times for what there is; want the month once", f.asked, f.lists)
	}
	if got := len(decode[candlePage](t, s.get(t, "/v1/symbols/BTCUSDT/candles"), http.StatusOK).Candles); got != 500 {
		t.Errorf("by default %d candles come, want 500", got)
	}
}

// Candles after a hole of years are found without reading all that is stored,
// and without asking for one candle's length at a time.
func TestCandlesAfterALongHole(t *testing.T) {
	f := newService(1)
	far := candleAt(day1.AddDate(3, 0, 0), 1)
	f.candles[btc15m] = append(f.candles[btc15m], far)
	f.stored[1].Last = day1.AddDate(9, 0, 0)
	page := decode[candlePage](t, serveFake(t, f).get(t, "/v1/symbols/BTCUSDT/candles?limit=1&start=2024-03-01T00:15:00Z"), http.StatusOK)
	if len(page.Candles) != 1 || !page.Candles[0].OpenTime.Equal(far.OpenTime) {
		t.Errorf("got %v", openTimesIn(page))
	}
	if len(f.asked) > 20 || f.lists != 1 {
		t.Errorf("the store was asked %d times, %d times for what there is", len(f.asked), f.lists)
	}
	for k := 1; k < len(f.asked); k++ {
		if !f.asked[k].Start.Equal(f.asked[k-1].End) {
			t.Errorf("after %v comes %v", f.asked[k-1], f.asked[k])
		}
	}
}

// A client that walks backwards comes to the oldest candle whatever is missing
// in between, and no hole makes it ask for much.
func TestCandlesWalkBackwards(t *testing.T) {
	f := newService(300)
	for k := range 3 { // three candles of three years before
		f.candles[btc15m] = slices.Insert(f.candles[btc15m], k, candleAt(day1.AddDate(-3, 0, 0).Add(time.Duration(10*k)*15*time.Minute), k))
	}
	f.candles[btc15m] = slices.Delete(f.candles[btc15m], 60, 210)
	f.stored[1].First = f.candles[btc15m][0].OpenTime
	s := serveFake(t, f)
	var walked []time.Time
	for target := "/v1/symbols/BTCUSDT/candles?limit=7"; ; {
		f.asked = nil
		page := decode[candlePage](t, s.get(t, target), http.StatusOK)
		if len(f.asked) > 40 {
			t.Errorf("%s: the store was asked %d times", target, len(f.asked))
		}
		if len(page.Candles) == 0 {
			break
		}
		for _, c := range slices.Backward(page.Candles) {
			walked = append(walked, c.OpenTime)
		}
		target = "/v1/symbols/BTCUSDT/candles?limit=7&end=" + page.Candles[0].OpenTime.Format(time.RFC3339)
	}
	slices.Reverse(walked)
	var want []time.Time
	for _, c := range f.candles[btc15m] {
		want = append(want, c.OpenTime)
	}
	if !slices.EqualFunc(walked, want, time.Time.Equal) {
		t.Errorf("walked over %d candles, want %d: %v", len(walked), len(want), walked)
	}
}

// More candles than open times, as in February 2018.
func TestNewestCandlesOffTheGrid(t *testing.T) {
	f := newService(10)
	off := f.candles[btc15m][9]
	off.OpenTime = day1.Add(8*15*time.Minute + 7*time.Minute)
	f.candles[btc15m] = slices.Insert(f.candles[btc15m], 9, off)
	page := decode[candlePage](t, serveFake(t, f).get(t, "/v1/symbols/BTCUSDT/candles?limit=2"), http.StatusOK)
	if got, want := openTimesIn(page), []string{"01 02:07", "01 02:15"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCandlesOfAMonthlySeries(t *testing.T) {
	f := &fakeService{candles: map[market.Series][]market.Candle{}}
	monthly := market.Series{Symbol: "BTCUSDT", Interval: market.Month1}
	for k := range 30 {
		c := candleAt(time.Date(2022, time.Month(1+k), 1, 0, 0, 0, 0, time.UTC), k)
		c.Source, c.Parts = market.Month1, 1
		f.candles[monthly] = append(f.candles[monthly], c)
	}
	f.stored = history.Catalogue{{Series: monthly, First: f.candles[monthly][0].OpenTime, Last: f.candles[monthly][29].OpenTime}}
	s := serveFake(t, f)
	for query, want := range map[string][]int{
		"&limit=3":                               {4, 5, 6},
		"&limit=3&end=2024-03-31T12:00:00Z":      {1, 2, 3},
		"&limit=3&end=2024-03-01T00:00:00Z":      {12, 1, 2},
		"&limit=3&start=2022-01-31T00:00:00Z":    {2, 3, 4},
		"&limit=3000&start=2024-04-01T00:00:00Z": {4, 5, 6},
		"&limit=2&start=1970-01-01T00:00:00Z":    {1, 2},
	} {
		page := decode[candlePage](t, s.get(t, "/v1/symbols/BTCUSDT/candles?interval=1M"+query), http.StatusOK)
		var got []int
		for _, c := range page.Candles {
			got = append(got, int(c.OpenTime.Month()))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got months %v, want %v", query, got, want)
		}
	}
}

func TestCandlesThatCannotBeServed(t *testing.T) {
	s := serveFake(t, newService(3))
	for target, want := range map[string]string{
		"/v1/symbols/DOGEUSDT/candles":            "no candles of DOGEUSDT are stored: ask for one of BTCUSDT, ETHUSDT",
		"/v1/symbols/DOGEUSDT/forecast":           "no candles of DOGEUSDT are stored: ask for one of BTCUSDT, ETHUSDT",
		"/v1/symbols/DOGEUSDT/coverage":           "no candles of DOGEUSDT are stored",
		"/v1/symbols/ETHUSDT/candles":             "candles of ETHUSDT 15m cannot be made of what is stored: ask for one of 1d, 3d, 1w, 1M",
		"/v1/symbols/BTCUSDT/candles?interval=5m": "candles of BTCUSDT 5m cannot be made of what is stored: ask for one of 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w, 1M",
	} {
		if got := decode[problem](t, s.get(t, target), http.StatusNotFound); got.Detail != want {
			t.Errorf("%s: got %q, want %q", target, got.Detail, want)
		}
	}
	empty := serveFake(t, &fakeService{})
	if got := decode[problem](t, empty.get(t, "/v1/symbols/BTCUSDT/candles"), http.StatusNotFound); !strings.Contains(got.Detail, "import") {
		t.Errorf("with nothing stored the answer is %q", got.Detail)
	}
}

func TestCandlesAsCSV(t *testing.T) {
	f := newService(3)
	bare := market.Candle{
		OpenTime: f.candles[btc15m][1].OpenTime, Open: 1.5, High: 2, Low: 1, Close: 1.25, Volume: 0, Source: market.Minute5, Parts: 2,
	}
	f.candles[btc15m][1] = bare
	s := serveFake(t, f)
	const target = "/v1/symbols/BTCUSDT/candles?start=0&limit=2"
	for _, ask := range []struct {
		query, accept string
		csv           bool
	}{
		{"", "", false},
		{"", "*/*", false},
		{"", "application/json", false},
		{"", "text/html,application/xhtml+xml,*/*;q=0.8", false},
		{"", "text/csv", true},
		{"", "application/json;q=0.5, text/csv", true},
		{"", "text/csv;q=0.5, application/json", false},
		{"", "TEXT/CSV", true},
		{"", "text/csv;Q=0.5, Application/JSON", false},
		{"&format=csv", "", true},
		{"&format=csv", "application/json", true},
		{"&format=json", "text/csv", false},
	} {
		a := s.get(t, target+ask.query, "Accept", ask.accept)
		if got := strings.HasPrefix(a.header.Get("Content-Type"), "text/csv;"); got != ask.csv || a.status != http.StatusOK {
			t.Errorf("%+v: status %d, content type %s", ask, a.status, a.header.Get("Content-Type"))
		}
		if vary := a.header.Values("Vary"); !slices.Contains(vary, "Accept") || !slices.Contains(vary, "Accept-Encoding") {
			t.Errorf("%+v: Vary is %q", ask, vary)
		}
	}

	a := s.get(t, target+"&format=csv")
	if strings.Count(a.body, "\r\n") != 3 || strings.Count(a.body, "\n") != 3 {
		t.Errorf("RFC 4180 ends each line with CR LF: %q", a.body)
	}
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		strings.Split(csvHeader, ","),
		{"2024-03-01T00:00:00Z", "2024-03-01T00:15:00Z", "61234.56", "61246.9", "61224.69", "61235.57", "123.45678", "7561234.1234567", "4321", "61.00001", "3735308.22", "15m", "1", "true"},
		{"2024-03-01T00:15:00Z", "2024-03-01T00:30:00Z", "1.5", "2", "1", "1.25", "0", "", "", "", "", "5m", "2", "false"},
	}
	if !slices.EqualFunc(rows, want, slices.Equal[[]string]) {
		t.Errorf("got %q\nwant %q", rows, want)
	}
	if link := a.header.Get("Link"); !strings.Contains(link, "format=csv") || !strings.Contains(link, "limit=2") {
		t.Errorf("the next page of a CSV answer is at %s", link)
	}
	// JSON and CSV name the same things in the same order.
	if names := fieldNames(s.get(t, target).body); !slices.Equal(names, rows[0]) {
		t.Errorf("JSON has %v, CSV %v", names, rows[0])
	}
}

// fieldNames returns the names in the first candle of a page, in order.
func fieldNames(body string) []string {
	_, rest, _ := strings.Cut(body, `"candles":[{`)
	first, _, _ := strings.Cut(rest, "}")
	var names []string
	for _, field := range strings.Split(first, ",") {
		name, _, _ := strings.Cut(field, ":")
		names = append(names, strings.Trim(name, `"`))
	}
	return names
}

func TestHeadSaysWhatGetWould(t *testing.T) {
	server := httptest.NewServer(serveFake(t, newService(100)))
	defer server.Close()
	server.Client().Transport.(*http.Transport).DisableCompression = true // which leaves the length open
	for _, path := range []string{"/v1/symbols/BTCUSDT/candles", "/v1/symbols", "/healthcheck", "/openapi.yaml", "/docs"} {
		got, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		head, err := server.Client().Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		head.Body.Close()
		if head.StatusCode != http.StatusOK || head.ContentLength != got.ContentLength ||
			head.Header.Get("Content-Type") != got.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %d, %d bytes of %s; GET: %d bytes of %s", path, head.StatusCode,
				head.ContentLength, head.Header.Get("Content-Type"), got.ContentLength, got.Header.Get("Content-Type"))
		}
	}
}

// BenchmarkCandlesCall is a whole call without a database or a network.
func BenchmarkCandlesCall(b *testing.B) {
	s := serveFake(b, newService(2880))
	request := httptest.NewRequest(http.MethodGet, "/v1/symbols/BTCUSDT/candles?limit=2880", nil)
	b.ReportAllocs()
	for b.Loop() {
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK || recorder.Body.Len() < 2880*100 {
			b.Fatal("status " + strconv.Itoa(recorder.Code))
		}
		s.log.Reset()
	}
}
