package main

import (
	"bufio"
	"context"
	"encoding/json"
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

// followInBackground follows series of the exchange until the benchmark ends.
func followInBackground(b *testing.B, exchange string, database *timescale.Database, hub *live.Hub, series []market.Series) {
	b.Helper()
	client, err := binance.NewClient(binance.Config{RESTURL: exchange, Pauses: database})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- follow(ctx, database, func() (*binance.Client, error) { return client, nil },
			forecast.NewForecaster(database, database), hub, liveOptions{
				series: series, stream: "ws" + strings.TrimPrefix(exchange, "http"),
				clock: exchangeClock{client}, every: sampleEvery, log: slog.New(slog.DiscardHandler),
			})
	}()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
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
// process's share of one core, its memory, and the samples that came through.
func BenchmarkFollow500(b *testing.B) {
	const symbols, lasting = 500, 20 * time.Second
	exchange := startExchange(b, "-pairs", strconv.Itoa(symbols))
	database := timescaletest.Open(b)
	hub := live.NewHub(api.EncodeUpdate)
	series := make([]market.Series, symbols)
	for k := range series {
		series[k] = market.Series{Symbol: market.Symbol("P" + strconv.Itoa(k+1) + "USDT"), Interval: market.Minute15}
	}
	for b.Loop() {
		followInBackground(b, exchange, database, hub, series)
		heardOf(b, hub, series)
		began, before, used := time.Now(), newestID(hub, series), processorTime(b)
		<-time.After(lasting)
		elapsed := time.Since(began).Seconds()
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
	}
	b.ReportMetric(0, "ns/op")
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
// stamp on it to each of 1,000 readers of the event stream, all on this machine.
func BenchmarkEventToReader(b *testing.B) {
	const readers, lasting = 1000, 20 * time.Second
	exchange := startExchange(b)
	database := timescaletest.Open(b)
	hub := live.NewHub(api.EncodeUpdate)
	series := []market.Series{{Symbol: "BTCUSDT", Interval: market.Minute15}, {Symbol: "ETHUSDT", Interval: market.Minute15}}
	handler, err := newHandler(b.Context(), database, forecast.NewForecaster(database, database), hub, slog.New(slog.DiscardHandler))
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
		followInBackground(b, exchange, database, hub, series)
		heardOf(b, hub, series)
		reading, end := context.WithTimeout(b.Context(), lasting)
		var (
			working sync.WaitGroup
			mutex   sync.Mutex
			all     []time.Duration
		)
		for range readers {
			working.Go(func() {
				delays := readPrices(reading, "http://"+listener.Addr().String()+"/v1/stream")
				mutex.Lock()
				defer mutex.Unlock()
				all = append(all, delays...)
			})
		}
		working.Wait()
		end()
		if len(all) < readers {
			b.Fatalf("%d prices reached %d readers", len(all), readers)
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
// when it came, but for those that every reader begins with.
func readPrices(ctx context.Context, url string) []time.Duration {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	const firstOnes = 2
	var delays []time.Duration
	seen, isPrice := 0, false
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		line := lines.Text()
		data, isData := strings.CutPrefix(line, "data: ")
		switch {
		case strings.HasPrefix(line, "event: "):
			isPrice = line == "event: price"
		case isData && isPrice:
			var price struct {
				EventTime time.Time `json:"event_time"`
			}
			if json.Unmarshal([]byte(data), &price) != nil {
				return delays
			}
			if seen++; seen > firstOnes {
				delays = append(delays, time.Since(price.EventTime))
			}
		}
	}
	return delays
}
