package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// pipes listens on connections in memory, for time in a bubble passes while they
// wait. They hold nothing: what is not read blocks the writer.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// servePipes serves with the limits of a server whose answers are short.
func servePipes(t *testing.T, handler http.Handler) *pipes {
	p := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(p); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return p
}

// event is one server-sent event.
type event struct{ id, name, data string }

// reader is a client of a stream.
type reader struct {
	t      *testing.T
	conn   net.Conn
	answer *http.Response
	lines  *bufio.Scanner
}

// follow asks for a path, from nowhere, and reads the answer's header.
func (p *pipes) follow(t *testing.T, target string, header ...string) *reader {
	t.Helper()
	return p.followFrom(t, "pipe", target, header...)
}

// address is a remote address.
type address string

func (a address) Network() string { return "pipe" }
func (a address) String() string  { return string(a) }

type addressed struct {
	net.Conn
	remote address
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

func (p *pipes) followFrom(t *testing.T, from address, target string, header ...string) *reader {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	p.accepted <- addressed{server, from}
	if _, err := fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", target, strings.Join(header, "")); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t, client, answer, bufio.NewScanner(answer.Body)}
}

// next returns the next event, or false where the stream ends.
func (r *reader) next() (event, bool) {
	r.t.Helper()
	var e event
	for r.lines.Scan() {
		field, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			return e, true
		}
	}
	return e, false
}

// names returns the names of the next n events.
func (r *reader) names(n int) []string {
	r.t.Helper()
	var names []string
	for range n {
		e, ok := r.next()
		if !ok {
			r.t.Fatalf("the stream ended after %q: %v", names, r.lines.Err())
		}
		names = append(names, e.name)
	}
	return names
}

func (r *reader) expect(want ...string) {
	r.t.Helper()
	if got := r.names(len(want)); !slices.Equal(got, want) {
		r.t.Errorf("got %q, want %q", got, want)
	}
}

// followed is a service that follows the market.
func followed() (*fakeService, *live.Hub) {
	hub := live.NewHub(EncodeUpdate)
	f := newService(3)
	f.live, f.origin, f.stopping = hub, history.Simulated, make(chan struct{})
	return f, hub
}

func publishPrice(hub *live.Hub, symbol market.Symbol) {
	hub.Publish(live.Update{Symbol: symbol, Price: klineAt(symbol, time.Now())})
}

func publishCandle(hub *live.Hub, symbol market.Symbol) {
	hub.Publish(live.Update{Symbol: symbol, Candle: klineAt(symbol, time.Now())})
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hub := followed()
		p := servePipes(t, serveFake(t, f))
		publishPrice(hub, "BTCUSDT")
		publishCandle(hub, "BTCUSDT") // before anybody listens
		r := p.follow(t, "/v1/stream")
		if got := r.answer.Header.Get("Content-Type"); r.answer.StatusCode != http.StatusOK || got != "text/event-stream" {
			t.Errorf("status %d, %s", r.answer.StatusCode, got)
		}
		// A cache would give one reader's past to the next, and nginx wait for more.
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
			if got := r.answer.Header.Values(name); !slices.Equal(got, []string{want}) {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		first, _ := r.next()
		var heartbeat heartbeatEvent
		if err := json.Unmarshal([]byte(first.data), &heartbeat); err != nil || first.name != "heartbeat" || first.id != "" ||
			!heartbeat.Time.Equal(time.Now()) || *heartbeat.Origin != "simulated" {
			t.Errorf("the first event is %+v: %v", first, err)
		}
		r.expect("price")
		publishCandle(hub, "ETHUSDT")
		forecasted := forecastAsOf(time.Now())
		forecasted.Series = btc15m
		hub.Publish(live.Update{Symbol: "BTCUSDT", Forecast: &forecasted})
		synctest.Wait()
		publishPrice(hub, "ETHUSDT")
		got, _ := r.next()
		if want := `{"symbol":"ETHUSDT","interval":"15m","open_time":`; got.name != "candle" || got.id == "" || !strings.HasPrefix(got.data, want) {
			t.Errorf("got %+v", got)
		}
		r.expect("forecast", "price")

		// Neither the limit on a request nor that on an answer ends it.
		began := time.Now()
		for range 40 {
			r.expect("heartbeat")
		}
		if took := time.Since(began); took != 40*heartbeatEvery {
			t.Errorf("40 heartbeats took %s", took)
		}
	})
}

func TestStreamOfSymbols(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hub := followed()
		s := serveFake(t, f)
		p := servePipes(t, s)
		publishPrice(hub, "BTCUSDT")
		publishPrice(hub, "DOGEUSDT") // streamed, not stored
		r := p.follow(t, "/v1/stream?symbols=ethusdt,DOGEUSDT")
		r.expect("heartbeat", "price")
		publishPrice(hub, "BTCUSDT")
		publishCandle(hub, "ETHUSDT")
		r.expect("candle")
		for target, status := range map[string]int{
			"/v1/stream?symbols=BTCUSDT,NOSUCH":                                 404,
			"/v1/stream?symbols=BTCUSDT,,":                                      422,
			"/v1/stream?symbols=%3Cscript%3E":                                   422,
			"/v1/stream?last_event_id=-1":                                       422,
			"/v1/stream?last_event_id=yesterday":                                422,
			"/v1/stream?symbol=BTCUSDT":                                         422,
			"/v1/stream?symbols=" + strings.Repeat("BTCUSDT,", 100) + "BTCUSDT": 422,
		} {
			decode[problem](t, s.get(t, target), status)
		}
		decode[problem](t, s.get(t, "/v1/stream", "Last-Event-ID", "x"), 422)
		f.live = nil
		if got := decode[problem](t, serveFake(t, f).get(t, "/v1/stream"), 503); !strings.Contains(got.Detail, "does not follow the market") {
			t.Errorf("without a stream: %q", got.Detail)
		}
	})
}

// What is streamed is followed while the database is away.
func TestStreamWithoutTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hub := followed()
		s := serveFake(t, f)
		p := servePipes(t, s)
		publishPrice(hub, "BTCUSDT")
		p.follow(t, "/v1/stream").expect("heartbeat", "price") // asks for the origin, once
		f.err = market.Errorf(market.Unavailable, "the database is away")
		for _, target := range []string{"/v1/stream", "/v1/stream?symbols=BTCUSDT"} {
			p.follow(t, target).expect("heartbeat", "price")
		}
		decode[problem](t, s.get(t, "/v1/stream?symbols=BTCUSDT,ETHUSDT"), http.StatusServiceUnavailable)
	})
}

func TestStreamResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hub := followed()
		p := servePipes(t, serveFake(t, f))
		r := p.follow(t, "/v1/stream")
		r.expect("heartbeat")
		publishCandle(hub, "BTCUSDT")
		seen, _ := r.next()
		r.conn.Close()
		publishCandle(hub, "BTCUSDT")
		publishPrice(hub, "BTCUSDT")
		again := []string{"heartbeat", "candle", "price"}
		p.follow(t, "/v1/stream", "Last-Event-ID: "+seen.id+"\r\n").expect(again...)
		p.follow(t, "/v1/stream?last_event_id="+seen.id).expect(again...)
		p.follow(t, "/v1/stream?last_event_id=1", "Last-Event-ID: "+seen.id+"\r\n").expect(again...)
		// What a reader has received does not come again, with an id that goes back.
		newest := fmt.Sprint(hub.Newest("BTCUSDT").ID)
		publishCandle(hub, "ETHUSDT")
		p.follow(t, "/v1/stream?last_event_id="+newest).expect("heartbeat", "candle", "heartbeat")
		for range 300 {
			publishCandle(hub, "BTCUSDT")
		}
		late := p.follow(t, "/v1/stream?last_event_id="+seen.id)
		late.expect("heartbeat")
		if e, _ := late.next(); e.name != "missed" || e.data != `{"candles":46}` {
			t.Errorf("got %+v", e)
		}
	})
}

// One who does not read is cut off after a while, and nobody waits for him.
func TestSlowReaderStallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hub := followed()
		s := serveFake(t, f)
		p := servePipes(t, s)
		slow, quick := p.follow(t, "/v1/stream"), p.follow(t, "/v1/stream")
		slow.expect("heartbeat")
		quick.expect("heartbeat")
		began := time.Now()
		for range 3 {
			publishPrice(hub, "BTCUSDT")
			publishCandle(hub, "BTCUSDT")
			quick.expect("price", "candle")
		}
		if !time.Now().Equal(began) {
			t.Errorf("the quick one waited %s", time.Since(began))
		}
		time.Sleep(slowest)
		synctest.Wait()
		if !strings.Contains(s.log.String(), "stream cut off") {
			t.Errorf("the slow one is not cut off: %s", s.log)
		}
		if _, err := io.Copy(io.Discard, slow.conn); err != nil {
			t.Error(err)
		}
		publishPrice(hub, "BTCUSDT")
		quick.expect("price")
	})
}

func TestStreamsEndWhenTheServiceStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := followed()
		p := servePipes(t, serveFake(t, f))
		r := p.follow(t, "/v1/stream")
		r.expect("heartbeat")
		close(f.stopping)
		if e, more := r.next(); more || r.lines.Err() != nil {
			t.Errorf("got %+v, then %v: want the answer's orderly end", e, r.lines.Err())
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hub := followed()
		s := serveFake(t, f)
		p := servePipes(t, s)
		var readers []*reader
		for range mostStreams {
			readers = append(readers, p.follow(t, "/v1/stream"))
		}
		full := decode[problem](t, s.get(t, "/v1/stream"), http.StatusServiceUnavailable)
		if !strings.Contains(full.Detail, "2000 streams") {
			t.Errorf("got %q", full.Detail)
		}
		for range mostStreamsOfClient { // who is refused has no stream
			decode[problem](t, s.get(t, "/v1/stream"), http.StatusServiceUnavailable)
		}
		readers[0].conn.Close()
		synctest.Wait()
		p.follow(t, "/v1/stream").expect("heartbeat")
		publishPrice(hub, "BTCUSDT")
		readers[1].expect("heartbeat", "price")
	})
}

func TestStreamAnswersHEADWithItsHeader(t *testing.T) {
	f, _ := followed()
	answer := httptest.NewRecorder()
	serveFake(t, f).ServeHTTP(answer, httptest.NewRequest(http.MethodHead, "/v1/stream", nil))
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "text/event-stream" || answer.Body.Len() > 0 {
		t.Errorf("status %d, %s, %q", answer.Code, answer.Header(), answer.Body)
	}
}

// BenchmarkStreams measures the time from Publish to a thousand readers over
// TCP, and what a price costs the service and its readers together.
func BenchmarkStreams(b *testing.B) {
	const readers = 1000
	f, hub := followed()
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{History: f, Live: hub, Now: time.Now}); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewUnstartedServer(Wrap(mux, nil, nil, slog.New(slog.DiscardHandler)))
	server.Config.ConnContext = ConnContext
	server.Start()
	defer server.Close()
	var began time.Time
	var round, reading sync.WaitGroup
	latencies := make([][]time.Duration, readers)
	var connections []net.Conn
	round.Add(readers) // for the heartbeat, with which all of them are there
	for k := range readers {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		connections = append(connections, conn)
		if _, err := io.WriteString(conn, "GET /v1/stream HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		reading.Go(func() {
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				switch {
				case bytes.HasPrefix(lines.Bytes(), []byte("event: price")):
					latencies[k] = append(latencies[k], time.Since(began))
					round.Done()
				case bytes.HasPrefix(lines.Bytes(), []byte("retry: ")):
					round.Done()
				}
			}
		})
	}
	round.Wait()
	for b.Loop() {
		round.Add(readers)
		began = time.Now()
		publishPrice(hub, "BTCUSDT")
		round.Wait()
	}
	for _, conn := range connections {
		conn.Close()
	}
	reading.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}
