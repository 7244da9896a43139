package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/api"
	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// fastClock shows a time that passes faster than the machine's.
type fastClock struct {
	base  time.Time
	began time.Time
	speed time.Duration
}

func (c fastClock) Now() time.Time                         { return c.base.Add(time.Since(c.began) * c.speed) }
func (c fastClock) After(d time.Duration) <-chan time.Time { return time.After(d / c.speed) }

// severableLink passes connections on to the database until it is cut.
type severableLink struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	cut      bool
	open     map[net.Conn]bool
}

// linkTo returns a link to a database, and its URL through the link.
func linkTo(t *testing.T, databaseURL string) (*severableLink, string) {
	t.Helper()
	address, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &severableLink{listener: listener, target: address.Host, open: map[net.Conn]bool{}}
	go l.serve()
	t.Cleanup(func() { listener.Close(); l.set(true) })
	address.Host = listener.Addr().String()
	return l, address.String()
}

func (l *severableLink) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.target)
		if err != nil || !l.add(near, far) {
			near.Close()
			continue
		}
		go l.pass(near, far)
		go l.pass(far, near)
	}
}

func (l *severableLink) add(connections ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range connections {
		if l.cut {
			c.Close()
		} else {
			l.open[c] = true
		}
	}
	return !l.cut
}

func (l *severableLink) pass(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
}

// set cuts the link, or mends it.
func (l *severableLink) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for c := range l.open {
		c.Close()
	}
	clear(l.open)
}

// everyStreamFault plays every fault of the stream, one after the other, each on
// a session of its own.
func everyStreamFault() simulator.Script {
	script := simulator.Script{Seed: 5}
	for k, rule := range []simulator.Rule{
		{Fault: simulator.DroppedSocket, After: 150},
		{Fault: simulator.RefusedUpgrade, Status: 503},
		{Fault: simulator.DuplicatedEvents, After: 20},
		{Fault: simulator.SilentSocket, After: 200},
		{Fault: simulator.HalfFrame, After: 120},
		{Fault: simulator.DisorderedEvents, After: 20},
		{Fault: simulator.ServerShutdown, After: 150, Wait: 100 * time.Millisecond},
		{Fault: simulator.DroppedSocket, After: 400},
	} {
		rule.On, rule.Nth, rule.Count = simulator.WebSocket, k+1, 1
		script.Rules = append(script.Rules, rule)
	}
	for k, rule := range []simulator.Rule{ // of the repairs
		{Fault: simulator.ServerError, Status: 502}, {Fault: simulator.CutBody}, {Fault: simulator.EmptyPage},
	} {
		rule.On, rule.Nth, rule.Every, rule.Count = simulator.Klines, 2+k, 7, 2
		script.Rules = append(script.Rules, rule)
	}
	return script
}

// An hour of a market that drops, silences, doubles, disorders and rotates its
// streams, during which the database goes away and comes back, leaves every
// closed candle as the exchange has it, and every place of the sampling grid
// either sampled or accounted for.
func TestAnHourOfATroubledMarketIsTheTruth(t *testing.T) {
	const speed, hour = 40, time.Hour
	clock := fastClock{base: time.Date(2024, time.May, 6, 11, 58, 30, 0, time.UTC), began: time.Now(), speed: speed}
	source := simulator.NewGenerated(simulator.GeneratedConfig{Seed: 11})
	exchange := serveOffline(t, simulator.Config{
		Source: source, Now: clock.Now, Script: everyStreamFault(),
		RateLimit: simulator.RateLimit{Weight: 1_000_000, Window: time.Minute},
		Streams: simulator.StreamTiming{
			PushEvery: time.Second / speed, PingEvery: 20 * time.Second / speed, SessionAge: 25 * time.Minute / speed,
		},
	})
	direct := timescaletest.URL(t)
	if code, _, complaints := exchange.run(t, direct, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}
	link, linked := linkTo(t, direct)
	database, err := timescale.Open(t.Context(), linked)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()

	options := liveOptions{
		stream: "ws" + exchange.url[len("http"):], clock: clock, every: sampleEvery,
		timing: live.Timing{SilentAfter: 30 * time.Second, RotateAfter: 18 * time.Minute, LongestBackoff: 20 * time.Second},
		log:    slog.New(slog.DiscardHandler),
	}
	for _, symbol := range defaultSymbols {
		options.series = append(options.series, market.Series{Symbol: symbol, Interval: market.Minute1})
	}
	// A client's clock runs on at the machine's pace, so each repair has a new one.
	client := func() (*binance.Client, error) {
		return binance.NewClient(binance.Config{RESTURL: exchange.url})
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		stopped <- follow(ctx, database, client, forecast.NewForecaster(database, database), live.NewHub(api.EncodeUpdate), options)
	}()
	began := clock.Now()
	<-clock.After(20 * time.Minute)
	link.set(true)
	<-clock.After(4 * time.Minute)
	link.set(false)
	<-clock.After(hour - 24*time.Minute)
	stop()
	asked := time.Now()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(asked); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	ended := clock.Now()

	// The last candles may have closed after the last that was heard.
	for _, series := range options.series {
		all := market.TimeRange{Start: began.Add(-repairedAtFirst), End: ended}
		stored, err := database.StoredCandles(t.Context(), series, all, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) == 0 || ended.Sub(stored[len(stored)-1].OpenTime) > 4*time.Minute {
			t.Fatalf("%s: %d candles are stored", series, len(stored))
		}
		all.Start, all.End = began, series.Interval.Next(stored[len(stored)-1].OpenTime)
		stored = slices.DeleteFunc(stored, func(c market.Candle) bool { return c.OpenTime.Before(began) })
		if truth := source.Candles(series, all, 1<<20); !slices.Equal(stored, truth) {
			t.Errorf("%s: %d candles are stored since %s, the truth has %d", series, len(stored), began, len(truth))
		}
	}
	checkSamples(t, direct, options.series)
	meter := exchange.Meter()
	for _, rule := range everyStreamFault().Rules {
		if meter.Faults[rule.Fault] == 0 {
			t.Errorf("%s was never played", rule.Fault)
		}
	}
	t.Logf("faults: %v, %d klines asked", meter.Faults, exchange.pages.Load())
}

// checkSamples fails unless each place of the sampling grid, from a symbol's
// first to its last, is a tick or in a stream gap, and in one only.
func checkSamples(t *testing.T, databaseURL string, series []market.Series) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	for _, s := range series {
		var ticks, missing, places, doubled int64
		err := connection.QueryRow(t.Context(), `
			WITH accounted AS (
				SELECT sampled_at AS place, 1 AS ticks, 0 AS missing FROM ticks WHERE symbol = $1
				UNION ALL
				SELECT generate_series(start_time, end_time - interval '1 microsecond', interval '5 seconds'), 0, 1
				FROM stream_gaps WHERE symbol = $1
			)
			SELECT sum(ticks), sum(missing),
			       (extract(epoch FROM max(place) - min(place)) / 5)::bigint + 1,
			       count(*) - count(DISTINCT place)
			FROM accounted`, s.Symbol).Scan(&ticks, &missing, &places, &doubled)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d places, %d sampled, %d missing", s.Symbol, places, ticks, missing)
		if ticks+missing != places || doubled != 0 {
			t.Errorf("%s: %d places, of which %d are sampled, %d accounted for as missing, %d twice", s.Symbol, places, ticks, missing, doubled)
		}
		if ticks < places/2 || missing == 0 {
			t.Errorf("%s: %d of %d places are sampled", s.Symbol, ticks, places)
		}
	}
}
