package binance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// streaming serves WebSocket connections, each until serve returns.
func streaming(t testing.TB, header http.Header, serve func(*websocket.Conn)) http.HandlerFunc {
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		connection, err := (&websocket.Upgrader{}).Upgrade(w, r, header)
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		serve(connection)
	}
}

// untilGone reads until the client has gone.
func untilGone(connection *websocket.Conn) {
	for {
		if _, _, err := connection.NextReader(); err != nil {
			return
		}
	}
}

func newStreamDialer(t testing.TB, config StreamConfig) *StreamDialer {
	t.Helper()
	dialer, err := NewStreamDialer(config)
	if err != nil {
		t.Fatal(err)
	}
	return dialer
}

// streamURL is the address of a server under the scheme of WebSockets.
func streamURL(server *httptest.Server) string {
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func TestNewStreamDialerRefusesWhatItCannotUse(t *testing.T) {
	for _, address := range []string{
		"data-stream.binance.vision", "https://host", "wss://", "wss://host/ws", "wss://host?a=b", "ws://:80", "ws://host:port", "://",
	} {
		_, err := NewStreamDialer(StreamConfig{URL: address})
		if market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), "BINANCE_WS_URL") {
			t.Errorf("%q: %v", address, err)
		}
	}
	_, err := NewStreamDialer(StreamConfig{URL: "wss://name:hidden@host"})
	if market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), "BINANCE_WS_URL") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a password in the address: %v", err)
	}
	for _, address := range []string{"", "wss://host/", "ws://127.0.0.1:8090", "wss://[::1]:9443"} {
		if _, err := NewStreamDialer(StreamConfig{URL: address}); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestDialAsksForTheStreams(t *testing.T) {
	asked := make(chan string, 1)
	upgrade := streaming(t, nil, untilGone)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.RequestURI
		upgrade(w, r)
	}))
	defer server.Close()
	dialer := newStreamDialer(t, StreamConfig{URL: streamURL(server) + "/"})
	dial := func(series ...market.Series) error {
		connection, err := dialer.Dial(t.Context(), series)
		if err == nil {
			connection.Close()
		}
		return err
	}
	if err := dial(btc15m, market.Series{Symbol: "ETHUSDT", Interval: market.Month1}); err != nil {
		t.Fatal(err)
	}
	if got, want := <-asked, "/stream?streams=btcusdt@kline_15m/ethusdt@kline_1M"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	many := make([]market.Series, mostStreams+1)
	for k := range many {
		many[k] = market.Series{Symbol: market.Symbol(fmt.Sprintf("COIN%dUSDT", k)), Interval: market.Minute1}
	}
	if err := dial(many[:mostStreams]...); err != nil {
		t.Errorf("%d streams: %v", mostStreams, err)
	}
	if got := strings.Count(<-asked, "@kline_1m"); got != mostStreams {
		t.Errorf("asked for %d streams of %d", got, mostStreams)
	}
	for _, count := range []int{0, mostStreams + 1} {
		if err := dial(many[:count]...); market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), fmt.Sprintf("not %d", count)) {
			t.Errorf("%d streams: %v", count, err)
		}
	}
}

func TestRefusedHandshakes(t *testing.T) {
	for _, test := range []struct {
		status int
		header http.Header
		code   market.Code
		says   string
	}{
		{http.StatusTooManyRequests, nil, market.Unavailable, "asked us to wait until"},
		{http.StatusTooManyRequests, http.Header{"Retry-After": {"Wed, 01 Jan 3000 00:00:00 GMT"}}, market.Unavailable, "it answered 429"},
		{statusBanned, http.Header{"Retry-After": {"120"}}, market.Unavailable, "it answered 418, this address is banned"},
		{http.StatusUnavailableForLegalReasons, nil, market.Forbidden, "set BINANCE_WS_URL to a host that does; wss://data-stream.binance.vision"},
		{http.StatusForbidden, nil, market.Forbidden, "blocks this machine (403)"},
		{http.StatusRequestURITooLong, nil, market.Invalid, "refuses 1 streams in one address (414)"},
		{http.StatusNotFound, nil, market.Unavailable, "status 404 and opens no stream: correct BINANCE_WS_URL"},
		{http.StatusMovedPermanently, http.Header{"Location": {"ws://elsewhere"}}, market.Unavailable, "status 301"},
		{http.StatusServiceUnavailable, nil, market.Unavailable, "status 503"},
		{http.StatusOK, nil, market.Unavailable, "status 200"},
	} {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for key := range test.header {
					w.Header().Set(key, test.header.Get(key))
				}
				http.Error(w, "<script>", test.status)
			}))
			defer server.Close()
			_, err := newStreamDialer(t, StreamConfig{URL: streamURL(server)}).Dial(t.Context(), []market.Series{btc15m})
			if market.ErrorCode(err) != test.code || !strings.Contains(fmt.Sprint(err), test.says) || strings.Contains(err.Error(), "script") {
				t.Errorf("code %s, %v", market.ErrorCode(err), err)
			}
		})
	}
}

// banningServer answers every handshake with a ban of an hour, and counts them.
func banningServer(t *testing.T) (url string, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(statusBanned)
	}))
	t.Cleanup(server.Close)
	return streamURL(server), asked
}

// TestDialKeepsToAPause wants nothing sent to an exchange that asked us to wait,
// by this process or by one that begins anew with what the first has stored.
func TestDialKeepsToAPause(t *testing.T) {
	address, asked := banningServer(t)
	store := &pauseStore{}
	dialer := newStreamDialer(t, StreamConfig{URL: address, Pauses: store})
	_, told := dialer.Dial(t.Context(), []market.Series{btc15m})
	if paused, ok := errors.AsType[*history.PausedError](told); !ok || !paused.Pause.Until.Equal(store.pause.Until) {
		t.Fatalf("told %v, stored %+v", told, store.pause)
	}
	for _, dialer := range []*StreamDialer{dialer, newStreamDialer(t, StreamConfig{URL: address, Pauses: store})} {
		_, err := dialer.Dial(t.Context(), []market.Series{btc15m})
		if asked.Load() != 1 || market.ErrorCode(err) != market.Unavailable || err.Error() != told.Error() {
			t.Errorf("asked %d times: %v, then %v", asked.Load(), told, err)
		}
	}
	for _, host := range store.hosts {
		if host != strings.TrimPrefix(address, "ws://") {
			t.Errorf("a pause of %q", host)
		}
	}
}

func TestAPauseOfStreamsIsStoredForACallerWhoHasGone(t *testing.T) {
	store := &pauseStore{}
	pause := newStreamDialer(t, StreamConfig{Pauses: store}).pause
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	until := time.Now().Add(time.Hour)
	pause.keep(gone, history.Pause{Until: until})
	if !store.pause.Until.Equal(until) || store.ctx != nil {
		t.Errorf("stored %+v with a context that is %v", store.pause, store.ctx)
	}
	// A shorter one, of a handshake that was under way, does not cut it short.
	if holds := pause.keep(gone, history.Pause{Until: until.Add(-time.Minute)}); !holds.Until.Equal(until) {
		t.Errorf("a pause that ends sooner makes it one until %s", holds.Until)
	}
}

// TestDialWithoutTheStore wants no handshake before it is known whether an
// earlier process was asked to wait, and the stream to be worth more than the
// store from then on.
func TestDialWithoutTheStore(t *testing.T) {
	address, asked := banningServer(t)
	store := &pauseStore{err: errors.New("no database")}
	dialer := newStreamDialer(t, StreamConfig{URL: address, Pauses: store})
	dial := func() error {
		_, err := dialer.Dial(t.Context(), []market.Series{btc15m})
		return err
	}
	if err := dial(); !errors.Is(err, store.err) || asked.Load() != 0 {
		t.Errorf("before the store was read: %v, asked %d times", err, asked.Load())
	}
	store.err = nil
	if err := dialer.pause.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.err = errors.New("no database")
	for range 2 {
		if err := dial(); asked.Load() != 1 || !strings.Contains(fmt.Sprint(err), "it answered 418") {
			t.Errorf("after the store was read: %v, asked %d times", err, asked.Load())
		}
	}
}

func TestUnreachableStream(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := newStreamDialer(t, StreamConfig{URL: streamURL(server)}).Dial(t.Context(), []market.Series{btc15m})
	if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "no whole answer came from 127.0.0.1") {
		t.Error(err)
	}
}

func TestOriginsNeverMix(t *testing.T) {
	simulated := http.Header{history.SimulatedHeader: {"true"}}
	for _, test := range []struct {
		header http.Header
		origin history.Origin
		says   string
	}{
		{nil, "", ""},
		{simulated, "", ""},
		{nil, history.Real, ""},
		{simulated, history.Simulated, ""},
		{nil, history.Simulated, "streams real candles where simulated ones are wanted: correct BINANCE_WS_URL"},
		{simulated, history.Real, "streams simulated candles where real ones are wanted: correct BINANCE_WS_URL"},
	} {
		server := httptest.NewServer(streaming(t, test.header, untilGone))
		connection, err := newStreamDialer(t, StreamConfig{URL: streamURL(server), Origin: test.origin}).Dial(t.Context(), []market.Series{btc15m})
		switch {
		case test.says == "" && err != nil:
			t.Errorf("%v, %q wanted: %v", test.header, test.origin, err)
		case test.says == "":
			connection.Close()
		case market.ErrorCode(err) != market.Conflict || !strings.Contains(err.Error(), test.says):
			t.Errorf("%v, %q wanted: %v", test.header, test.origin, err)
		}
		server.Close()
	}
}

// TestTLS wants the certificate checked, and events to come through.
func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(streaming(t, nil, func(connection *websocket.Conn) {
		connection.WriteMessage(websocket.TextMessage, []byte(openKline))
		untilGone(connection)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	dialer := newStreamDialer(t, StreamConfig{URL: streamURL(server)})
	_, err := dialer.Dial(t.Context(), []market.Series{btc15m})
	if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("a certificate of nobody's: %v", err)
	}
	dialer.websocket.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	connection, err := dialer.Dial(t.Context(), []market.Series{btc15m})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if event, err := connection.Next(t.Context()); err != nil || event.Kline.Candle != wantOpenKline().Candle {
		t.Errorf("%+v, %v", event, err)
	}
}

// TestHandshakeEnds wants a server that takes connections and answers nothing to
// hold nobody up.
func TestHandshakeEnds(t *testing.T) {
	errLeft := errors.New("the caller left")
	for _, test := range []struct {
		name   string
		cancel func(context.CancelCauseFunc)
		after  time.Duration
		check  func(error) bool
	}{
		{"in time", func(context.CancelCauseFunc) {}, handshakeTimeout, func(err error) bool {
			return market.ErrorCode(err) == market.Unavailable && strings.Contains(err.Error(), "no whole answer came")
		}},
		{
			"with its caller", func(cancel context.CancelCauseFunc) { cancel(errLeft) }, 0,
			func(err error) bool { return errors.Is(err, errLeft) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				dialer := pipeDialer(t, StreamConfig{}, discard)
				ended := make(chan error, 1)
				began := time.Now()
				go func() {
					_, err := dialer.Dial(ctx, []market.Series{btc15m})
					ended <- err
				}()
				synctest.Wait()
				test.cancel(cancel)
				if err := <-ended; !test.check(err) || time.Since(began) != test.after {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
			})
		})
	}
}
