package simulator

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/adshao/go-binance/v2"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plainSource is a market that follows from the open time alone. Its outages are
// the candles that open within outage.
type plainSource struct {
	pairs  []Pair
	outage market.TimeRange
	asked  atomic.Int64 // calls of Candles
}

func newPlainSource() *plainSource {
	listed := date("2017-08-17T04:00:00Z")
	return &plainSource{
		pairs: []Pair{
			{Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT", Listed: listed},
			{Symbol: "ETHUSDT", Base: "ETH", Quote: "USDT", Listed: listed},
		},
		outage: market.TimeRange{Start: date("2018-02-08T01:00:00Z"), End: date("2018-02-09T09:00:00Z")},
	}
}

func (p *plainSource) Pairs() []Pair { return p.pairs }

func (p *plainSource) Candles(series market.Series, r market.TimeRange, limit int) []market.Candle {
	p.asked.Add(1)
	open := series.Interval.Floor(r.Start)
	if open.Before(r.Start) {
		open = series.Interval.Next(open)
	}
	if first := series.Interval.Floor(p.pairs[0].Listed); open.Before(first) {
		open = first
	}
	var candles []market.Candle
	for ; open.Before(r.End) && len(candles) < limit; open = series.Interval.Next(open) {
		if candle, traded := p.closed(series, open); traded {
			candles = append(candles, candle)
		}
	}
	return candles
}

func (p *plainSource) closed(series market.Series, open time.Time) (market.Candle, bool) {
	if p.outage.Contains(open) || open.Before(series.Interval.Floor(p.pairs[0].Listed)) {
		return market.Candle{}, false
	}
	seed := uint64(open.Unix())*0x9e3779b97f4a7c15 ^ uint64(len(series.Interval))
	step := float64(seed>>40%1000) / 100
	price := 20_000 + float64(seed>>50)/10
	volume := 10 + math.Round(step*1e5)/1e5
	return market.Candle{
		OpenTime: open, Source: series.Interval, Parts: 1,
		Open: eightDecimals(price), High: eightDecimals(price + step + 2), Low: eightDecimals(price - 1), Close: eightDecimals(price + step),
		Volume: eightDecimals(volume), QuoteVolume: market.Some(eightDecimals(volume * price)), Trades: market.Some(int64(1000 + seed>>55)),
		TakerBuyVolume: market.Some(eightDecimals(volume / 3)), TakerBuyQuoteVolume: market.Some(eightDecimals(volume * price / 3)),
	}, true
}

func eightDecimals(value float64) float64 { return math.Round(value*1e8) / 1e8 }

func (p *plainSource) OpenCandle(series market.Series, at time.Time) (market.Candle, bool) {
	open := series.Interval.Floor(at)
	candle, traded := p.closed(series, open)
	past := float64(at.Sub(open)/time.Millisecond+1) / float64(series.Interval.Next(open).Sub(open)/time.Millisecond)
	if !traded || past >= 1 {
		return candle, traded
	}
	candle.Close = eightDecimals(candle.Open + (candle.Close-candle.Open)*past)
	candle.High = eightDecimals(candle.Open + (candle.High-candle.Open)*past)
	candle.Low = eightDecimals(candle.Open + (candle.Low-candle.Open)*past)
	candle.Volume = eightDecimals(candle.Volume * past)
	candle.Trades = market.Some(int64(float64(candle.Trades.Value) * past))
	for _, value := range [...]*market.Optional[float64]{&candle.QuoteVolume, &candle.TakerBuyVolume, &candle.TakerBuyQuoteVolume} {
		*value = market.Some(eightDecimals(value.Value * past))
	}
	return candle, candle.Trades.Value > 0
}

func date(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

// handClock is a clock that stands still until it is moved.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) Set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = to
}

func (c *handClock) Add(length time.Duration) { c.Set(c.Now().Add(length)) }

// startsAt is where the clock of a test stands: 5 minutes into a candle of 15.
var startsAt = date("2024-05-17T12:20:00.250Z")

// exchange is a server over loopback, its clock and a client of it.
type exchange struct {
	*Server
	source *plainSource
	clock  *handClock
	url    string
	client *http.Client
}

// open serves an exchange for the test. What the config leaves out is a plain
// source, a clock that stands still and quick pushes.
func open(t testing.TB, config Config) *exchange {
	t.Helper()
	e := &exchange{source: newPlainSource(), clock: &handClock{now: startsAt}}
	if config.Source == nil {
		config.Source = e.source
	}
	if config.Now == nil {
		config.Now = e.clock.Now
	}
	if config.Streams.PushEvery == 0 {
		config.Streams.PushEvery = 2 * time.Millisecond
	}
	e.Server = NewServer(config)
	server := httptest.NewServer(e.Server)
	e.url, e.client = server.URL, server.Client()
	t.Cleanup(func() {
		e.Server.Close()
		server.Close()
	})
	return e
}

// binance is go-binance's own client.
func (e *exchange) binance() *binance.Client {
	client := binance.NewClient("", "")
	client.BaseURL, client.HTTPClient = e.url, e.client
	return client
}

// get returns a response and its whole body.
func (e *exchange) get(t testing.TB, path string) (*http.Response, string) {
	t.Helper()
	response, err := e.client.Get(e.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// dial opens a WebSocket session.
func (e *exchange) dial(t testing.TB, path string) *websocket.Conn {
	t.Helper()
	connection, response, err := websocket.DefaultDialer.Dial("ws"+e.url[len("http"):]+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get(history.SimulatedHeader) == "" {
		t.Errorf("the upgrade has no %s", history.SimulatedHeader)
	}
	t.Cleanup(func() { connection.Close() })
	connection.SetReadDeadline(time.Now().Add(20 * time.Second))
	return connection
}

func read(t testing.TB, connection *websocket.Conn) string {
	t.Helper()
	_, text, err := connection.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// listeners counts the sessions that a stream's events are handed to.
func (e *exchange) listeners(name string) int {
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	listened, found := e.hub.streams[name]
	if !found {
		return 0
	}
	return len(listened.listeners)
}

// waitFor returns once the condition holds.
func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	for started := time.Now(); !holds(); runtime.Gosched() {
		if time.Since(started) > 20*time.Second {
			t.Fatal("waited in vain")
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(Config{
		Source: newPlainSource(),
		Script: Script{Rules: []Rule{{On: Ping, Fault: SlowBody, Wait: time.Hour}}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()

	address := listener.Addr().String()
	session, _, err := websocket.DefaultDialer.Dial("ws://"+address+"/ws/btcusdt@kline_1m", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	slow, err := http.Get("http://" + address + "/api/v3/ping")
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()

	started := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("the end took %s", took)
	}
	for {
		if _, _, err := session.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("the session ended with %v", err)
			}
			break
		}
	}
	if _, err := io.ReadAll(slow.Body); err == nil {
		t.Error("a slow answer was not cut")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestServeReportsABrokenListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := NewServer(Config{Source: newPlainSource()}).Serve(t.Context(), listener); err == nil {
		t.Error("no error")
	}
}

func TestANewServerRefusesAWrongScript(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewServer(Config{Source: newPlainSource(), Script: Script{Rules: []Rule{{On: Klines, Fault: "flood"}}}})
}

func TestAClosedServerLetsNobodyIn(t *testing.T) {
	e := open(t, Config{})
	e.Server.Close()
	_, response, err := websocket.DefaultDialer.Dial("ws"+e.url[len("http"):]+"/ws", nil)
	if err == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%v, %v", response, err)
	}
}
