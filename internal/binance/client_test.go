package binance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// exchange is a server that tells its limit and its time, and leaves candles to
// a handler.
type exchange struct {
	*httptest.Server
	klines http.HandlerFunc
	info   http.HandlerFunc
	time   http.HandlerFunc

	mu    sync.Mutex
	asked []*http.Request
}

func newExchange(t testing.TB, klines http.HandlerFunc) *exchange {
	e := &exchange{
		klines: klines,
		info: answering(http.StatusOK,
			`{"rateLimits":[{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":9},`+
				`{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":600000}]}`),
		time: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"serverTime":%d}`, time.Now().UnixMilli())
		},
	}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.asked = append(e.asked, r)
		e.mu.Unlock()
		w.Header().Set("X-MBX-USED-WEIGHT-1M", "1")
		switch r.URL.Path {
		case "/api/v3/ping":
			fmt.Fprint(w, "{}")
		case "/api/v3/exchangeInfo":
			e.info(w, r)
		case "/api/v3/time":
			e.time(w, r)
		case "/api/v3/klines":
			e.klines(w, r)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *exchange) paths() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var paths []string
	for _, request := range e.asked {
		paths = append(paths, strings.TrimPrefix(request.URL.Path, "/api/v3/"))
	}
	return paths
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func (e *exchange) client(t testing.TB) *Client { return newTestClient(t, Config{RESTURL: e.URL}) }

func newTestClient(t testing.TB, config Config) *Client {
	t.Helper()
	client, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.governor.next.(*http.Transport).CloseIdleConnections)
	return client
}

func at(text string) time.Time {
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return instant
}

// klineRow is a valid row of 15m that opens at open.
func klineRow(open time.Time) string {
	return klineRowOf(open, market.Minute15)
}

func klineRowOf(open time.Time, interval market.Interval) string {
	return fmt.Sprintf(`[%d,"16754.53000000","16763.78000000","16631.95000000","16661.17000000","6568.20534000",%d,"109688594.00722350",134761,"2981.73424000","49800761.24850700","0"]`,
		open.UnixMilli(), interval.Next(open).UnixMilli()-1)
}

func klinePage(from time.Time, count int) string {
	rows := make([]string, count)
	for k := range rows {
		rows[k] = klineRow(from.Add(time.Duration(k) * 15 * time.Minute))
	}
	return "[" + strings.Join(rows, ",") + "]"
}

var newYear = market.TimeRange{Start: at("2024-01-01T00:00:00Z"), End: at("2024-01-01T01:00:00Z")}

func TestNewClientRefusesWhatItCannotUse(t *testing.T) {
	for _, address := range []string{
		"data-api.binance.vision", "ftp://host", "https://", "https://host/path", "https://host?a=b", "http://:80", "https://host:port", "://",
	} {
		_, err := NewClient(Config{RESTURL: address})
		if market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), "BINANCE_REST_URL") {
			t.Errorf("%q: %v", address, err)
		}
	}
	_, err := NewClient(Config{RESTURL: "https://name:hidden@host"})
	if market.ErrorCode(err) != market.Invalid || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a password in the address: %v", err)
	}
	_, err = NewClient(Config{APIKey: "secret\n"})
	if market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), "BINANCE_API_KEY") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a key with a line break: %v", err)
	}
	for _, address := range []string{"", "https://host/", "http://127.0.0.1:8090", "https://[::1]:1"} {
		if _, err := NewClient(Config{RESTURL: address}); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestCandlesAsksForWhatIsWanted(t *testing.T) {
	e := newExchange(t, answering(http.StatusOK, klinePage(newYear.Start, 4)))
	candles, err := e.client(t).Candles(t.Context(), btc15m, newYear)
	if err != nil || len(candles) != 4 {
		t.Fatalf("%d candles, %v", len(candles), err)
	}
	want := market.Candle{
		OpenTime: newYear.Start.Add(15 * time.Minute), Open: 16754.53, High: 16763.78, Low: 16631.95, Close: 16661.17, Volume: 6568.20534,
		QuoteVolume: market.Some(109688594.0072235), Trades: market.Some(int64(134761)),
		TakerBuyVolume: market.Some(2981.73424), TakerBuyQuoteVolume: market.Some(49800761.248507),
		Source: market.Minute15, Parts: 1,
	}
	if candles[1] != want {
		t.Errorf("got  %+v\nwant %+v", candles[1], want)
	}
	if got := fmt.Sprint(e.paths()); got != "[ping exchangeInfo time klines]" {
		t.Errorf("asked %s", got)
	}
	got := e.asked[3].URL.Query().Encode()
	if want := "endTime=1704070799999&interval=15m&limit=1000&startTime=1704067200000&symbol=BTCUSDT"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

func TestCandlesOfAnEmptyRangeAsksNobody(t *testing.T) {
	e := newExchange(t, nil)
	candles, err := e.client(t).Candles(t.Context(), btc15m, market.TimeRange{Start: newYear.End, End: newYear.End})
	if err != nil || len(candles) != 0 || len(e.paths()) != 0 {
		t.Errorf("%v, %v, asked %v", candles, err, e.paths())
	}
}

func TestCandlesLeavesOutWhatIsNotClosed(t *testing.T) {
	e := newExchange(t, answering(http.StatusOK, klinePage(newYear.Start, 4)))
	for text, want := range map[string]int{
		"2024-01-01T01:00:03Z": 4,
		"2024-01-01T01:00:02Z": 3, // it may still settle
		"2024-01-01T00:45:10Z": 3,
	} {
		e.time = answering(http.StatusOK, fmt.Sprintf(`{"serverTime":%d}`, at(text).Add(-500*time.Millisecond).UnixMilli()))
		candles, err := e.client(t).Candles(t.Context(), btc15m, newYear)
		if err != nil || len(candles) != want {
			t.Errorf("at %s: %d candles, %v; want %d", text, len(candles), err, want)
		}
	}
}

// The dates of answers show that the time that the exchange told, twice, was an
// hour ahead.
func TestAWrongTimeClosesNoCandle(t *testing.T) {
	open := market.Minute15.Floor(time.Now())
	e := newExchange(t, func(w http.ResponseWriter, r *http.Request) {
		start, err := strconv.ParseInt(r.URL.Query().Get("startTime"), 10, 64)
		last, err2 := strconv.ParseInt(r.URL.Query().Get("endTime"), 10, 64)
		if err := errors.Join(err, err2); err != nil {
			t.Error(err)
		}
		last = min(last, open.UnixMilli()) // the one that is open is told too
		fmt.Fprint(w, klinePage(time.UnixMilli(start), int((last-start)/(15*time.Minute).Milliseconds())+1))
	})
	var told int
	e.time = func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		if told++; told <= 2 {
			now = now.Add(time.Hour)
		}
		fmt.Fprintf(w, `{"serverTime":%d}`, now.UnixMilli())
	}
	client := e.client(t)
	wrong, err := client.Now(t.Context())
	if err != nil || wrong.Before(time.Now().Add(59*time.Minute)) {
		t.Fatalf("%s, %v", wrong, err)
	}
	closed := market.TimeRange{Start: open.Add(-time.Hour), End: open.Add(-15 * time.Minute)}
	future := market.TimeRange{Start: open, End: market.Minute15.Floor(wrong)}
	candles, err := client.Candles(t.Context(), btc15m, market.TimeRange{Start: closed.Start, End: future.End})
	if err != nil || len(candles) == 0 || !candles[len(candles)-1].OpenTime.Before(open) {
		t.Errorf("%d candles, %v", len(candles), err)
	}
	// That there is none yet is not to say that there will be none.
	for range 2 {
		if candles, err := client.Candles(t.Context(), btc15m, future); market.ErrorCode(err) != market.Unavailable {
			t.Errorf("%d candles, %v", len(candles), err)
		}
	}
	if now, err := client.Now(t.Context()); err != nil || now.After(time.Now()) || told != 3 {
		t.Errorf("now it is %s, %v, told %d times", now, err, told)
	}
	if candles, err := client.Candles(t.Context(), btc15m, closed); err != nil || len(candles) != 3 {
		t.Errorf("%d candles, %v", len(candles), err)
	}
}

// Where every answer bears a date of the past, the clock cannot be mended, but
// what follows from it can.
func TestTheDateBoundsWhatIsClosed(t *testing.T) {
	date := at("2024-01-01T00:45:03Z")
	e := newExchange(t, func(w http.ResponseWriter, _ *http.Request) {
		if date.IsZero() {
			w.Header()["Date"] = nil
		} else {
			w.Header().Set("Date", date.Format(http.TimeFormat))
		}
		fmt.Fprint(w, klinePage(newYear.Start, 4))
	})
	client := e.client(t)
	for text, want := range map[string]int{
		"":                     4,
		"2024-01-01T01:00:02Z": 4,
		"2024-01-01T01:00:01Z": 3, // it may still settle
		"2024-01-01T00:15:02Z": 1,
	} {
		date = time.Time{}
		if text != "" {
			date = at(text)
		}
		if candles, err := client.Candles(t.Context(), btc15m, newYear); err != nil || len(candles) != want {
			t.Errorf("of an answer of %q %d candles, want %d; %v", text, len(candles), want, err)
		}
	}
}

func TestAnAnswerFromBeforeTheRangeIsOverSaysNothing(t *testing.T) {
	e := newExchange(t, answering(http.StatusOK, klinePage(newYear.Start, 1)))
	e.time = answering(http.StatusOK, fmt.Sprintf(`{"serverTime":%d}`, newYear.Start.Add(time.Minute).UnixMilli()))
	if candles, err := e.client(t).Candles(t.Context(), btc15m, newYear); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("%d candles, %v", len(candles), err)
	}
}

func TestPausesAreTheHosts(t *testing.T) {
	e := newExchange(t, nil)
	store := &pauseStore{}
	client := newTestClient(t, Config{RESTURL: e.URL, Pauses: store})
	if _, err := client.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimPrefix(e.URL, "http://"); len(store.hosts) != 1 || store.hosts[0] != want {
		t.Errorf("asked for the pauses of %q, want %s", store.hosts, want)
	}
}

func TestListed(t *testing.T) {
	listed := history.FirstListing
	e := newExchange(t, answering(http.StatusOK, "["+klineRowOf(listed, market.Minute1)+"]"))
	client := e.client(t)
	if got, err := client.Listed(t.Context(), "BTCUSDT"); err != nil || !got.Equal(listed) {
		t.Errorf("listed %s, %v; want %s", got, err, listed)
	}
	query := e.asked[3].URL.Query()
	if query.Get("startTime") != "0" || query.Get("limit") != "1" || query.Get("interval") != "1m" {
		t.Errorf("asked for %s", query.Encode())
	}
	e.klines = answering(http.StatusOK, "[]")
	if _, err := client.Listed(t.Context(), "NEWUSDT"); market.ErrorCode(err) != market.NotFound {
		t.Errorf("without a candle: %v", err)
	}
	e.klines = answering(http.StatusBadRequest, `{"code":-1121,"msg":"Invalid symbol."}`)
	if _, err := client.Listed(t.Context(), "NOUSDT"); market.ErrorCode(err) != market.NotFound || !strings.Contains(err.Error(), "NOUSDT") {
		t.Errorf("unknown symbol: %v", err)
	}
	e.klines = answering(http.StatusOK, klinePage(listed, 2))
	if _, err := client.Listed(t.Context(), "BTCUSDT"); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("more than one candle: %v", err)
	}
}

func TestOriginIsTheAnswers(t *testing.T) {
	e := newExchange(t, nil)
	client := e.client(t)
	for range 2 {
		if origin, err := client.Origin(t.Context()); origin != history.Real || err != nil {
			t.Errorf("%s, %v", origin, err)
		}
	}
	if got := fmt.Sprint(e.paths()); got != "[ping exchangeInfo time]" {
		t.Errorf("asked %s", got)
	}
	tell := e.info
	e.info = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(history.SimulatedHeader, "1")
		tell(w, r)
	}
	told := e.time
	e.time = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(history.SimulatedHeader, "1")
		told(w, r)
	}
	if origin, err := e.client(t).Origin(t.Context()); origin != history.Simulated || err != nil {
		t.Errorf("%s, %v", origin, err)
	}
	if http.CanonicalHeaderKey(history.SimulatedHeader) != history.SimulatedHeader {
		t.Error("the header is not found by its name")
	}
}

func TestTheLimitIsLearntFirst(t *testing.T) {
	for _, test := range []struct {
		name      string
		info      http.HandlerFunc
		perMinute int
		code      market.Code
	}{
		{"told", nil, 294_000, ""},
		{"unknown symbol", answering(http.StatusBadRequest, `{"code":-1121,"msg":"Invalid symbol."}`), 2940, ""},
		{"not served", http.NotFound, 2940, ""},
		{"trouble", answering(http.StatusBadGateway, ""), 2940, market.Unavailable},
		{"null", answering(http.StatusOK, "null"), 2940, market.Unavailable},
		{"no JSON", answering(http.StatusOK, "<html>"), 2940, market.Unavailable},
		{"no limit", answering(http.StatusOK, `{"rateLimits":[]}`), 2940, market.Unavailable},
		{"a limit of nothing", answering(http.StatusOK,
			`{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":0}]}`), 2940, market.Unavailable},
		{"an unknown unit", answering(http.StatusOK,
			`{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"FORTNIGHT","intervalNum":1,"limit":6000}]}`), 2940, market.Unavailable},
		{"refused", answering(http.StatusUnavailableForLegalReasons, ""), 2940, market.Forbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newExchange(t, nil)
			if test.info != nil {
				e.info = test.info
			}
			client := e.client(t)
			if _, err := client.Now(t.Context()); market.ErrorCode(err) != test.code {
				t.Errorf("error %v, want %q", err, test.code)
			}
			if got := client.WeightPerMinute(); got != test.perMinute {
				t.Errorf("%d a minute, want %d", got, test.perMinute)
			}
			// What could not be told now is asked for again.
			if _, err := client.Now(t.Context()); market.ErrorCode(err) != test.code {
				t.Errorf("again: error %v, want %q", err, test.code)
			}
			asked := strings.Count(fmt.Sprint(e.paths()), "exchangeInfo")
			if again := test.code != ""; again != (asked == 2) {
				t.Errorf("asked %v", e.paths())
			}
		})
	}
}

func TestStatusesSayWhatToDo(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		code   market.Code
		says   string
	}{
		{400, `{"code":-1121,"msg":"Invalid symbol."}`, market.NotFound, `does not know the symbol "BTCUSDT"`},
		{400, `{"code":-1100,"msg":"Illegal characters found in a parameter."}`, market.Internal, "code -1100"},
		{400, `{"code":-1006,"msg":"Unexpected response."}`, market.Unavailable, "Unexpected response"},
		{400, `<html>`, market.Internal, "400"},
		{401, `{"code":-2015,"msg":"Invalid API-key."}`, market.Forbidden, "BINANCE_API_KEY"},
		{403, `<html>blocked</html>`, market.Forbidden, "firewall"},
		{404, `not found`, market.Invalid, "BINANCE_REST_URL"},
		{408, ``, market.Unavailable, "408"},
		{451, `{"code":0,"msg":"Service unavailable from a restricted location"}`, market.Forbidden, "set BINANCE_REST_URL"},
		{500, ``, market.Unavailable, "500"},
		{503, strings.Repeat("x", 1000), market.Unavailable, "503"},
		{204, ``, market.Invalid, "204"},
	} {
		e := newExchange(t, answering(test.status, test.body))
		_, err := e.client(t).Candles(t.Context(), btc15m, newYear)
		if market.ErrorCode(err) != test.code || !strings.Contains(err.Error(), test.says) || len(err.Error()) > 400 {
			t.Errorf("%d %s: %v (%s)", test.status, test.body, err, market.ErrorCode(err))
		}
	}
}

func TestTheKeyGoesToTheExchangeOnly(t *testing.T) {
	const key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with the key %q", r.Header.Get("X-MBX-APIKEY"))
	}))
	defer thief.Close()
	e := newExchange(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	var log strings.Builder
	client := newTestClient(t, Config{
		RESTURL: e.URL, APIKey: key, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	_, redirected := client.Candles(t.Context(), btc15m, newYear)
	if market.ErrorCode(redirected) != market.Invalid {
		t.Errorf("a redirect: %v", redirected)
	}
	for _, request := range e.asked {
		if request.Header.Get("X-MBX-APIKEY") != key {
			t.Errorf("%s without the key", request.URL)
		}
	}
	e.klines = answering(http.StatusTooManyRequests, "")
	_, limited := client.Candles(t.Context(), btc15m, newYear)
	e.Close()
	_, gone := newTestClient(t, Config{RESTURL: e.URL, APIKey: key}).Now(t.Context())
	if said := fmt.Sprint(redirected, limited, gone, log.String()); strings.Contains(said, key) {
		t.Errorf("the key is in %s", said)
	}
	if log.Len() == 0 || gone == nil {
		t.Error("nothing was said")
	}
}

func TestAnExchangeThatIsNotThere(t *testing.T) {
	e := newExchange(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	client := e.client(t)
	if _, err := client.Candles(t.Context(), btc15m, newYear); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("a dropped connection: %v", err)
	}
	e.Close()
	_, err := client.Candles(t.Context(), btc15m, newYear)
	if market.ErrorCode(err) != market.Unavailable || strings.Contains(err.Error(), "symbol=") {
		t.Errorf("no connection: %v", err)
	}
	client = newTestClient(t, Config{RESTURL: e.URL})
	if _, err := client.Origin(t.Context()); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("origin: %v", err)
	}
}

func TestTheCallerMayGo(t *testing.T) {
	asked := make(chan struct{})
	e := newExchange(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	go func() {
		<-asked
		cancel(reason)
	}()
	if _, err := e.client(t).Candles(ctx, btc15m, newYear); !errors.Is(err, reason) {
		t.Errorf("error %v, want %v", err, reason)
	}
}
