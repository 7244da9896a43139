package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/api"
	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// startExchange runs the offline exchange as a process, so that what it costs is
// not on this one's account, and returns its address.
func startExchange(b *testing.B, arguments ...string) string {
	b.Helper()
	command := exec.CommandContext(b.Context(), os.Args[0], append([]string{"simulate", "-listen", "127.0.0.1:0"}, arguments...)...)
	command.Env = append(os.Environ(), asCommand+"=1")
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		command.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// followInBackground follows series of the exchange until stop, or the end of the
// benchmark. After stop, everything that was heard is stored.
func followInBackground(
	b *testing.B, exchange string, database *timescale.Database, hub *live.Hub, series []market.Series,
) (stop func()) {
	b.Helper()
	client, err := binance.NewClient(binance.Config{RESTURL: exchange, Pauses: database})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- follow(ctx, database, func() (*binance.Client, error) { return client, nil },
			forecast.NewForecaster(database, database), hub, liveOptions{
				stream: "ws" + strings.TrimPrefix(exchange, "http"), clock: exchangeClock{client}, log: slog.New(slog.DiscardHandler),
			}, always(series...))
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(stop)
	return stop
}

// heardOf waits until the hub has a price of every series.
func heardOf(b *testing.B, hub *live.Hub, series []market.Series) {
	b.Helper()
	news := hub.Subscribe(0)
	defer news.Close()
	deadline := time.After(time.Minute)
	for slices.ContainsFunc(series, func(s market.Series) bool { return hub.Newest(s.Symbol) == nil }) {
		select {
		case <-news.Ready():
			news.Take()
		case <-deadline:
			b.Fatal("not every symbol was heard of within a minute")
		}
	}
}

// BenchmarkFollow500 follows 500 symbols of one event a second each, and samples
// them into the database, with the exchange in another process. It reports this
// process's share of one core, its memory, and the samples that came through, of
// which there must be one at every place of the sampling grid.
func BenchmarkFollow500(b *testing.B) {
	const symbols, lasting = 500, 20 * time.Second
	exchange := startExchange(b, "-pairs", strconv.Itoa(symbols))
	databaseURL := timescaletest.URL(b)
	if code, _, complaints := cryptoboat(b, databaseURL, "migrate", "up"); code != 0 {
		b.Fatal(complaints)
	}
	database, err := timescale.Open(b.Context(), databaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer database.Close()
	hub := live.NewHub(api.EncodeUpdate)
	series := make([]market.Series, symbols)
	for k := range series {
		series[k] = market.Series{Symbol: market.Symbol("P" + strconv.Itoa(k+1) + "USDT"), Interval: market.Minute15}
	}
	for b.Loop() {
		stop := followInBackground(b, exchange, database, hub, series)
		heardOf(b, hub, series)
		<-time.After(time.Until(time.Now().Truncate(sampleEvery).Add(sampleEvery + sampleEvery/2))) // between two places of the grid
		began, before, used := time.Now(), newestID(hub, series), processorTime(b)
		<-time.After(lasting)
		ended := time.Now()
		elapsed := ended.Sub(began).Seconds()
		b.ReportMetric(100*(processorTime(b)-used).Seconds()/elapsed, "%core")
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.HeapInuse)/1e6, "heap-MB")
		b.ReportMetric(residentMB(b), "resident-MB")
		moved := 0
		for k, id := range newestID(hub, series) {
			if id != before[k] {
				moved++
			}
		}
		if moved < symbols*9/10 {
			b.Fatalf("only %d symbols moved", moved)
		}
		stop()
		samples := countTicks(b, databaseURL, market.TimeRange{Start: began, End: ended})
		b.ReportMetric(float64(samples), "samples")
		if want := symbols * int(lasting/sampleEvery); samples != want {
			b.Errorf("%d samples are stored, want %d", samples, want)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// countTicks returns how many ticks of a range are stored.
func countTicks(b *testing.B, databaseURL string, sampled market.TimeRange) (ticks int) {
	b.Helper()
	connection, err := pgx.Connect(b.Context(), databaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close(b.Context())
	err = connection.QueryRow(b.Context(), "SELECT count(*) FROM ticks WHERE sampled_at >= $1 AND sampled_at < $2",
		sampled.Start, sampled.End).Scan(&ticks)
	if err != nil {
		b.Fatal(err)
	}
	return ticks
}

func newestID(hub *live.Hub, series []market.Series) []uint64 {
	ids := make([]uint64, len(series))
	for k, s := range series {
		ids[k] = hub.Newest(s.Symbol).ID
	}
	return ids
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func residentMB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(status))[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / 1e6
}

// BenchmarkEventToReader measures how long a price takes from the exchange's
// stamp on it to each of 1,000 readers of the event stream, all on this machine and
// all of them to the end.
func BenchmarkEventToReader(b *testing.B) {
	const readers, lasting = 1000, 20 * time.Second
	exchange := startExchange(b)
	database := timescaletest.Open(b)
	hub := live.NewHub(api.EncodeUpdate)
	series := []market.Series{{Symbol: "BTCUSDT", Interval: market.Minute15}, {Symbol: "ETHUSDT", Interval: market.Minute15}}
	handler, err := handlerOf(b, database, hub)
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	for b.Loop() {
		stopFollowing := followInBackground(b, exchange, database, hub, series)
		heardOf(b, hub, series)
		reading, end := context.WithTimeout(b.Context(), lasting)
		var (
			working sync.WaitGroup
			mutex   sync.Mutex
			all     []time.Duration
			failed  []error
		)
		for range readers {
			working.Go(func() {
				delays, err := readPrices(reading, "http://"+listener.Addr().String()+"/v1/stream")
				mutex.Lock()
				defer mutex.Unlock()
				all = append(all, delays...)
				if err != nil {
					failed = append(failed, err)
				}
			})
		}
		working.Wait()
		end()
		stopFollowing()
		if len(failed) > 0 {
			b.Fatalf("%d of %d readers did not read prices to the end, the first: %v", len(failed), readers, failed[0])
		}
		slices.Sort(all)
		b.ReportMetric(float64(len(all))/lasting.Seconds(), "prices/s")
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1e3, "p50-ms")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1e3, "p99-ms")
	}
	b.ReportMetric(0, "ns/op")
	stop()
	if err := <-served; err != nil {
		b.Error(err)
	}
}

// readPrices reads a stream until ctx ends and returns how old each price was
// when it came, but for those that every reader begins with. It fails where there
// is no other, or the stream ends before.
func readPrices(ctx context.Context, url string) (delays []time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	const firstOnes = 2
	seen, isPrice := 0, false
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line := lines.Text()
		data, isData := strings.CutPrefix(line, "data: ")
		switch {
		case strings.HasPrefix(line, "event: "):
			isPrice = line == "event: price"
		case isData && isPrice:
			var price struct {
				EventTime time.Time `json:"event_time"`
			}
			if err := json.Unmarshal([]byte(data), &price); err != nil {
				return delays, err
			}
			if seen++; seen > firstOnes {
				delays = append(delays, time.Since(price.EventTime))
			}
		}
	}
	switch {
	case ctx.Err() == nil:
		return delays, fmt.Errorf("the stream ended early: %w", cmp.Or(lines.Err(), io.EOF))
	case len(delays) == 0:
		return nil, errors.New("no price came")
	}
	return delays, nil
}
