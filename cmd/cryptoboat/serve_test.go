package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// Everything that a visitor can ask, of a server on real candles with a real
// model, and then the server stops when it is told to.
func TestServe(t *testing.T) {
	database := importReal(t, "BTCUSDT/15m", "ETHUSDT/15m")
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	window := market.TimeRange{Start: time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC), End: time.Now()}
	if _, _, err := forecast.NewForecaster(database, database).Train(t.Context(), series, window, nil); err != nil {
		t.Fatal(err)
	}
	handler, err := handlerOf(t, database, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	address := "http://" + listener.Addr().String()

	const json, problem, csv, html = "application/json", "application/problem+json", "text/csv", "text/html"
	for _, test := range []struct {
		path        string
		status      int
		contentType string
		says        string
	}{
		{"/healthcheck", 200, json, `"status":"ok"`},
		{"/v1/symbols", 200, json, `"last":"2025-06-30T23:45:00Z"`},
		{"/v1/symbols", 200, json, `{"origin":`},
		{"/v1/coins", 200, json, `{"coins":[]}`},
		{"/v1/symbols/BTCUSDT/candles?limit=1", 200, json, `"open_time":"2025-06-30T23:45:00Z"`},
		{"/v1/symbols/BTCUSDT/candles?interval=1M&start=2025-02-01T00:00:00Z&limit=1", 200, json, `"parts":2688,"complete":true`},
		{"/v1/symbols/ETHUSDT/candles?interval=4h&format=csv&limit=2", 200, csv, "2025-06-30T20:00:00Z,2025-07-01T00:00:00Z,"},
		{"/v1/symbols/BTCUSDT/candles?start=1672617600000&limit=1", 200, json, `"open":16617.17,"high":16629.05,"low":16610.03,"close":16612.62,"volume":1175.88274,`},
		{"/v1/symbols/BTCUSDT/candles?interval=5m", 404, problem, "ask for one of 15m, 30m"},
		{"/v1/symbols/BTCUSDT/candles?limit=9000", 422, problem, "query.limit"},
		{"/v1/symbols/BTCUSDT/coverage", 200, json, `{"start":"2023-03-24T12:45:00Z","end":"2023-03-24T14:00:00Z","missing":5,"cause":"pending","asked":0,"last_asked":null}`},
		{"/v1/symbols/BTCUSDT/forecast", 200, json, `"open_time":"2025-07-01T00:00:00Z"`},
		{"/v1/symbols/ETHUSDT/forecast", 404, problem, "cryptoboat train -interval 15m ETHUSDT"},
		{"/v1/nothing", 404, problem, "Not Found"},
		{"/docs", 200, html, "rapi-doc"},
		{"/openapi.yaml", 200, "", "openapi: 3.1"},
		{"/BTCUSDT/15m", 200, html, "107,146.50"},
		{"/BTCUSDT/1w", 200, html, "too few to learn from"},
		{"/DOGEUSDT/15m", 404, html, "No candles of DOGEUSDT are stored"},
	} {
		response, err := http.Get(address + test.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != test.status || !strings.HasPrefix(response.Header.Get("Content-Type"), test.contentType) ||
			!strings.Contains(string(body), test.says) {
			t.Errorf("%s: status %d, %s, wanted %d, %s, %s:\n%.600s", test.path, response.StatusCode,
				response.Header.Get("Content-Type"), test.status, test.contentType, test.says, body)
		}
		if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: content security policy %q", test.path, policy)
		}
	}
	stop()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(shutdownTimeout + time.Second):
		t.Error("the server did not stop")
	}
}

// A machine of which the clock is an hour slow samples the market at the places
// that the exchange's clock gives.
func TestServeSamplesByTheExchangesClock(t *testing.T) {
	const ahead = time.Hour
	exchange := openOfflineExchange(t, time.Now().Add(ahead), simulator.RateLimit{Weight: 6000, Window: time.Minute})
	databaseURL := timescaletest.URL(t)
	if code, _, complaints := exchange.run(t, databaseURL, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}
	began := time.Now()
	address, stop := startServing(t, exchange, databaseURL)
	more := pricesOf(t, address)
	more(moreThanASample)
	if code := stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	connection, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	var samples int
	var first, last time.Time
	err = connection.QueryRow(t.Context(), "SELECT count(*), min(sampled_at), max(sampled_at) FROM ticks").Scan(&samples, &first, &last)
	if err != nil {
		t.Fatal(err)
	}
	earliest, latest := began.Add(ahead-time.Second), time.Now().Add(ahead+time.Second)
	if samples == 0 || first.Before(earliest) || last.After(latest) {
		t.Errorf("%d samples from %s to %s, want them from %s to %s", samples, first, last, earliest, latest)
	}
}

// moreThanASample is how many prices of two symbols, each one a second, take
// longer than from one sample to the next.
const moreThanASample = 14

// startServing runs serve, which stop tells to end and returns its exit code.
func startServing(t *testing.T, exchange *offlineExchange, databaseURL string, flags ...string) (address string, stop func() (code int)) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	reader, writer := io.Pipe()
	if code, _, complaints := exchange.run(t, databaseURL, "settings", "websocket_stream_interval", "1m"); code != 0 {
		t.Fatal(complaints)
	}
	variables := map[string]string{
		adminVariable: "correct horse battery", coinsVariable: exchange.url + "/api/v3", databaseVariable: databaseURL, exchangeVariable: exchange.url, streamVariable: "ws" + exchange.url[len("http"):],
	}
	served := make(chan int, 1)
	go func() {
		served <- run(ctx, environment{out: writer, errors: io.Discard, get: func(name string) string { return variables[name] }},
			append([]string{"serve", "-listen", "127.0.0.1:0", "-jobs=false"}, flags...))
		writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line[strings.Index(line, "http://"):]), func() int {
		end()
		return <-served
	}
}

// pricesOf opens the event stream of a server. What it returns waits until some
// more prices have come.
func pricesOf(t *testing.T, address string) (more func(prices int)) {
	t.Helper()
	response, err := http.Get(address + "/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	return func(prices int) {
		t.Helper()
		for prices > 0 {
			if !lines.Scan() {
				t.Fatalf("the stream ended: %v", lines.Err())
			}
			if lines.Text() == "event: price" {
				prices--
			}
		}
	}
}

// A database that neither answers nor closes its connections holds up neither
// those who watch the market nor the end of the process.
func TestServeEndsWhileTheDatabaseHangs(t *testing.T) {
	exchange := openOfflineExchange(t, time.Now(), simulator.RateLimit{Weight: 6000, Window: time.Minute})
	databaseURL := timescaletest.URL(t)
	if code, _, complaints := exchange.run(t, databaseURL, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}
	way, freeze := freezable(t, databaseURL)
	address, stop := startServing(t, exchange, way)
	more := pricesOf(t, address)
	more(moreThanASample)
	freeze()
	more(moreThanASample)
	answered := make(chan int, 1)
	go func() {
		response, err := http.Get(address + "/v1/symbols")
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	more(2)
	asked := time.Now()
	code := stop()
	took := time.Since(asked)
	t.Logf("it took %s to stop", took)
	if code != 0 || took > 5*time.Second {
		t.Errorf("exit code %d after %s", code, took)
	}
	if status := <-answered; status == http.StatusOK {
		t.Error("a request was answered without the database: it does not hang")
	}
}

// A request that does not end by itself is cut off.
func TestServeCutsOffWhatDoesNotEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cut := make(chan struct{})
	endless := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
		close(cut)
	})
	go func() {
		if response, err := http.Get("http://" + listener.Addr().String()); err == nil {
			response.Body.Close()
		}
	}()
	if err := serve(ctx, listener, endless, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
	<-cut
}

// freezable returns another way to a database, on which from when it is frozen
// nothing passes and nothing is closed.
func freezable(t *testing.T, databaseURL string) (way string, freeze func()) {
	t.Helper()
	server, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		frozen atomic.Bool
		mutex  sync.Mutex
		ends   []net.Conn
	)
	pass := func(to, from net.Conn) {
		for piece := make([]byte, 1<<15); ; {
			n, err := from.Read(piece)
			if frozen.Load() {
				return
			}
			if _, errWrite := to.Write(piece[:n]); err != nil || errWrite != nil {
				to.Close()
				from.Close()
				return
			}
		}
	}
	go func(host string) {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", host)
			if err != nil {
				near.Close()
				return
			}
			mutex.Lock()
			ends = append(ends, near, far)
			mutex.Unlock()
			go pass(far, near)
			go pass(near, far)
		}
	}(server.Host)
	t.Cleanup(func() {
		listener.Close()
		mutex.Lock()
		defer mutex.Unlock()
		for _, end := range ends {
			end.Close()
		}
	})
	server.Host = listener.Addr().String()
	return server.String(), func() { frozen.Store(true) }
}

// handlerOf is what a service serves that neither follows the market, but by the hub,
// nor works on jobs.
func handlerOf(t testing.TB, database *timescale.Database, hub *live.Hub) (http.Handler, error) {
	t.Helper()
	nothing := environment{out: io.Discard, errors: io.Discard, get: func(string) string { return "" }}
	s, err := newServing(t.Context(), nothing, database, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.hub = hub
	return newHandler(t.Context(), s)
}
