package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// failingHistory answers from a fakeService until its pages are used up.
type failingHistory struct {
	*fakeService
	pages atomic.Int64
	fail  func(ctx context.Context) error
}

func (h *failingHistory) Candles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error) {
	if h.pages.Add(-1) < 0 {
		return nil, h.fail(ctx)
	}
	return h.fakeService.Candles(ctx, series, r, limit)
}

const exportPath = "/v1/symbols/BTCUSDT/candles/export"

// An export that breaks off is seen to, whatever the format, compressed or not.
func TestExportThatFailsInTheMiddle(t *testing.T) {
	for _, format := range []string{"csv", "ndjson", "parquet"} {
		for _, encoding := range []string{"identity", "gzip"} {
			h := &failingHistory{fakeService: newService(4 * exportPage), fail: func(context.Context) error { return errors.New("the disk is gone") }}
			h.pages.Store(2)
			server := serveDatabase(t, h)
			request, err := http.NewRequest(http.MethodGet, server.URL+exportPath+"?format="+format, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept-Encoding", encoding)
			response, err := server.Client().Do(request)
			if err != nil {
				continue // cut off before anything was sent: that is seen, too
			}
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
			if err == nil {
				t.Errorf("%s, %s: the client takes half a file for whole", format, encoding)
			}
		}
	}
}

func TestExportThatFailsAtOnceIsAProblem(t *testing.T) {
	h := &failingHistory{fakeService: newService(3), fail: func(context.Context) error { return market.Errorf(market.Unavailable, "the database does not answer") }}
	f := h.fakeService
	f.err = market.Errorf(market.Unavailable, "the database does not answer")
	s := serveFake(t, f)
	for range 2 * exportSlots { // no place is lost
		decode[problem](t, s.get(t, exportPath), http.StatusServiceUnavailable)
	}
	f.err = nil
	if a := s.get(t, exportPath); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	decode[problem](t, s.get(t, "/v1/symbols/NOUSDT/candles/export"), http.StatusNotFound)
	decode[problem](t, s.get(t, exportPath+"?start=2024-03-02T00:00:00Z&end=2024-03-01T00:00:00Z"), http.StatusUnprocessableEntity)
}

// A client that hangs up ends what the database does for it.
func TestExportEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	reading := make(chan struct{})
	h := &failingHistory{fakeService: newService(4 * exportPage), fail: func(ctx context.Context) error {
		close(reading)
		select {
		case <-ctx.Done():
			ended <- ctx.Err()
		case <-time.After(operationTimeout / 2):
			ended <- errors.New("the read goes on")
		}
		return ctx.Err()
	}}
	h.pages.Store(1)
	server := serveDatabase(t, h)
	ctx, hangUp := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+exportPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	<-reading
	hangUp()
	response.Body.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What an export takes is not bounded by what any other request may take, but its client
// has to go on reading.
func TestExportOutlivesTheServersTimeouts(t *testing.T) {
	server := serveDatabase(t, newService(60_000))
	slow := httptest.NewUnstartedServer(server.Config.Handler)
	slow.Config.ReadTimeout, slow.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	slow.Start()
	defer slow.Close()
	connection, err := net.Dial("tcp", slow.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	// So that the server has to wait for the reader. A window below the size of a segment on
	// the loopback would be filled five times a second.
	if err := connection.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, "GET "+exportPath+"?format=ndjson HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	var all bytes.Buffer
	for {
		if time.Since(began) < 300*time.Millisecond {
			<-ticks.C
		}
		if _, err := io.CopyN(&all, connection, 64<<10); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 200*time.Millisecond || !strings.HasSuffix(all.String(), "\r\n0\r\n\r\n") {
		t.Errorf("%d bytes in %s, which end in %q", all.Len(), took, all.Bytes()[max(0, all.Len()-20):])
	}
}

// heldHistory keeps what comes behind the first page until held is closed.
type heldHistory struct {
	*fakeService
	held chan struct{}
}

func (h heldHistory) Candles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error) {
	if r.Start.After(h.candles[series][0].OpenTime) {
		<-h.held
	}
	return h.fakeService.Candles(ctx, series, r, limit)
}

func TestExportsAtOnceAreBounded(t *testing.T) {
	h := heldHistory{newService(2 * exportPage), make(chan struct{})}
	server := serveDatabase(t, h)
	defer close(h.held)
	for range exportSlots {
		response, err := server.Client().Get(server.URL + exportPath)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
	}
	response, err := server.Client().Get(server.URL + exportPath)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestExportFormatsAndRanges(t *testing.T) {
	f := newService(10)
	f.candles[btc15m][1].Trades = market.Optional[int64]{}
	s := serveFake(t, f)
	for _, test := range []struct {
		query, accept, contentType string
		candles                    int
	}{
		{"", "", csvContentType, 10},
		{"", "*/*", csvContentType, 10},
		{"", "application/x-ndjson", ndjsonType, 10},
		{"", "text/csv;q=0.1, application/vnd.apache.parquet", parquetType, 10},
		{"format=csv&", "application/x-ndjson", csvContentType, 10},
		{"format=parquet&start=2024-03-01T00:15:00Z&end=2024-03-01T01:00:01Z", "", parquetType, 4},
		{"format=ndjson&start=2030-01-01T00:00:00Z", "", ndjsonType, 0},
		{"format=csv&end=2020-01-01T00:00:00Z", "", csvContentType, 0},
		{"format=parquet&end=2020-01-01T00:00:00Z", "", parquetType, 0},
	} {
		a := s.get(t, exportPath+"?"+strings.TrimSuffix(test.query, "&"), "Accept", test.accept)
		read := map[string]func(*testing.T, []byte) []market.Candle{csvContentType: readCSV, ndjsonType: readLines, parquetType: readParquet}
		if a.status != http.StatusOK || a.header.Get("Content-Type") != test.contentType {
			t.Errorf("%+v: status %d, %q: %.200s", test, a.status, a.header, a.body)
			continue
		}
		if got := read[test.contentType](t, []byte(a.body)); len(got) != test.candles {
			t.Errorf("%+v: %d candles", test, len(got))
		}
		if name := a.header.Get("Content-Disposition"); !strings.HasPrefix(name, `attachment; filename="BTCUSDT_15m_`) {
			t.Errorf("%+v: the file's name is %s", test, name)
		}
	}
	head := httptest.NewRecorder()
	s.ServeHTTP(head, httptest.NewRequest(http.MethodHead, exportPath, nil))
	if head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("Content-Disposition") == "" {
		t.Errorf("HEAD: status %d, %q", head.Code, head.Header())
	}
}

func TestExportIsCompressed(t *testing.T) {
	s := serveFake(t, newService(3*exportPage))
	plain := s.get(t, exportPath+"?format=ndjson")
	a := s.ask(t, http.MethodGet, exportPath+"?format=ndjson", "")
	request := httptest.NewRequest(http.MethodGet, exportPath+"?format=ndjson", nil)
	request.Header.Set("Accept-Encoding", "gzip")
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	reader, err := gzip.NewReader(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(reader); err != nil || string(body) != plain.body || plain.body != a.body {
		t.Errorf("%d bytes, %v, want %d", len(body), err, len(plain.body))
	}
	if got := s.get(t, exportPath+"?format=parquet", "Accept-Encoding", "gzip").header.Get("Content-Encoding"); got != "" {
		t.Errorf("Parquet is compressed twice, by %s", got)
	}
}

// peakOf returns by how much the memory in use rises at most while f runs.
func peakOf(f func()) (peak uint64) {
	runtime.GC()
	debug.FreeOSMemory()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticks := time.NewTicker(2 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticks.C:
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapInuse)
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return peak - min(peak, before.HeapInuse)
}

// The memory that an export takes does not grow with its range, and its rows come as fast
// as is said beside those of a COPY of the same rows.
func BenchmarkExport(b *testing.B) {
	address := timescaletest.URL(b)
	database := timescaletest.OpenAt(b, address)
	const years = 9
	storeAll(b, database, yearsOf(years))
	server := serveDatabase(b, database)
	server.Client().Transport.(*http.Transport).DisableCompression = true
	connection, err := pgx.Connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close(context.WithoutCancel(b.Context()))
	measure := func(b *testing.B, rows int, f func()) {
		var took time.Duration
		var peak uint64
		for b.Loop() {
			peak = max(peak, peakOf(func() {
				began := time.Now()
				f()
				took += time.Since(began)
			}))
		}
		b.ReportMetric(float64(rows)*float64(b.N)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(peak)/1e6, "peak-MB")
		b.ReportMetric(0, "ns/op")
	}
	const all = 314_985
	b.Run("copy", func(b *testing.B) {
		measure(b, all, func() {
			_, err := connection.PgConn().CopyTo(b.Context(), io.Discard, `
				COPY (SELECT open_time, open, high, low, close, volume, quote_volume, trades, taker_buy_volume, taker_buy_quote_volume
				      FROM candles WHERE symbol = 'BTCUSDT' AND interval = '15m' ORDER BY open_time) TO STDOUT (FORMAT csv)`)
			if err != nil {
				b.Fatal(err)
			}
		})
	})
	for _, format := range []string{"csv", "ndjson", "parquet"} {
		for name, query := range map[string]url.Values{"nine years": {}, "one year": {"end": {"2018-08-17T04:00:00Z"}}} {
			query.Set("format", format)
			rows := all
			if name == "one year" {
				rows = 34_976
			}
			b.Run(format+", "+name, func(b *testing.B) {
				measure(b, rows, func() {
					response, err := server.Client().Get(server.URL + exportPath + "?" + query.Encode())
					if err != nil {
						b.Fatal(err)
					}
					defer response.Body.Close()
					if _, err := io.Copy(io.Discard, response.Body); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
	}
}

// An export of nine years takes no more memory than is said here.
func TestExportTakesLittleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector takes memory of its own")
	}
	if os.Getenv("CRYPTOBOAT_DATABASE_URL") == "" {
		t.Fatal("CRYPTOBOAT_DATABASE_URL is not set")
	}
	database := timescaletest.Open(t)
	storeAll(t, database, yearsOf(9))
	server := serveDatabase(t, database)
	// What other tests left behind would let more garbage lie about before it is collected.
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	for _, format := range []string{"csv", "ndjson", "parquet"} {
		peak := peakOf(func() {
			response, err := server.Client().Get(server.URL + exportPath + "?format=" + format)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %.1f MB", format, float64(peak)/1e6)
		const most = 64 << 20 // all rows at once are 100 MB before they are encoded
		if peak > most {
			t.Errorf("%s takes %.1f MB", format, float64(peak)/1e6)
		}
	}
}
