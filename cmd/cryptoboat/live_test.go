package main

import (
	"context"
	"log/slog"
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
)

// fastClock shows a time that passes faster than the machine's.
type fastClock struct {
	base  time.Time
	began time.Time
	speed time.Duration
}

func (c fastClock) Now() time.Time                         { return c.base.Add(time.Since(c.began) * c.speed) }
func (c fastClock) After(d time.Duration) <-chan time.Time { return time.After(d / c.speed) }

// everyFaultOfAnHour plays every fault of the stream, one after the other, each
// on a session of its own, and meanwhile every fault of the answers with which
// what the stream missed is repaired.
func everyFaultOfAnHour() simulator.Script {
	script := simulator.Script{Seed: 5}
	for k, rule := range []simulator.Rule{
		{Fault: simulator.DroppedSocket, After: 150},
		{Fault: simulator.RefusedUpgrade, Status: 503},
		{Fault: simulator.StaleClock, Shift: -90 * time.Second},
		{Fault: simulator.DuplicatedEvents, After: 20},
		{Fault: simulator.SilentSocket, After: 200},
		{Fault: simulator.HalfFrame, After: 120},
		{Fault: simulator.StaleClock, Shift: 4 * time.Minute},
		{Fault: simulator.DisorderedEvents, After: 20},
		{Fault: simulator.ServerShutdown, After: 150, Wait: 100 * time.Millisecond},
		{Fault: simulator.DroppedSocket, After: 400},
	} {
		rule.On, rule.Nth, rule.Count = simulator.WebSocket, k+1, 1
		script.Rules = append(script.Rules, rule)
	}
	// The first request of each kind may be the one that asks whether the market is
	// simulated. From then on every other one goes wrong.
	nth := map[simulator.Endpoint]int{}
	for _, rule := range everyFault().Rules {
		if rule.Fault == simulator.ClockSkew {
			continue // the market's own clock goes on
		}
		nth[rule.On] += 2
		rule.Nth, rule.Every, rule.Count = 1+nth[rule.On], 0, 1
		script.Rules = append(script.Rules, rule)
	}
	for k, shift := range []time.Duration{90 * time.Second, 0} {
		script.Rules = append(script.Rules, simulator.Rule{
			Fault: simulator.ClockSkew, On: simulator.Time, Nth: 12 + 4*k, Shift: shift,
		})
	}
	return script
}

// An hour of a market that drops, silences, doubles, disorders and rotates its
// streams, dates them wrongly and answers in every wrong way, during which the
// database crashes and comes back, leaves every closed candle as the exchange has
// it, and every place of the sampling grid either sampled or accounted for.
func TestAnHourOfATroubledMarketIsTheTruth(t *testing.T) {
	const speed, hour = 40, time.Hour
	crashing := openRestartable(t)
	clock := fastClock{base: time.Date(2024, time.May, 6, 11, 58, 30, 0, time.UTC), began: time.Now(), speed: speed}
	source := simulator.NewGenerated(simulator.GeneratedConfig{Seed: 11})
	exchange := serveOffline(t, simulator.Config{
		Source: source, Now: clock.Now, BanLength: time.Second,
		RateLimit: simulator.RateLimit{Weight: 1_000_000, Window: time.Minute},
		Streams: simulator.StreamTiming{
			PushEvery: time.Second / speed, PingEvery: 20 * time.Second / speed, SessionAge: 25 * time.Minute / speed,
		},
	})
	if code, _, complaints := exchange.run(t, crashing.url, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}
	database, err := timescale.Open(t.Context(), crashing.url)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()

	options := liveOptions{
		stream: "ws" + exchange.url[len("http"):], clock: clock,
		timing: live.Timing{SilentAfter: 30 * time.Second, RotateAfter: 7 * time.Minute, LongestBackoff: 20 * time.Second},
		log:    slog.New(slog.DiscardHandler),
	}
	var followed []market.Series
	for _, symbol := range defaultSymbols {
		followed = append(followed, market.Series{Symbol: symbol, Interval: market.Minute1})
	}
	// What a process finds that was down for a week, so that there is much to repair.
	began := clock.Now()
	down := began.AddDate(0, 0, -7).Truncate(time.Minute)
	past := market.TimeRange{Start: down.Add(-time.Hour), End: down}
	for _, series := range followed {
		runHere(t, exchange, crashing.url, "backfill", "-symbol", string(series.Symbol), "-interval", string(series.Interval),
			"-from", past.Start.Format(time.RFC3339), "-to", past.End.Format(time.RFC3339))
	}
	if err := exchange.SetScript(everyFaultOfAnHour()); err != nil {
		t.Fatal(err)
	}
	// A client's clock runs on at the machine's pace, so each repair has a new one.
	client := func() (*binance.Client, error) {
		return binance.NewClient(binance.Config{RESTURL: exchange.url, Pauses: database})
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		stopped <- follow(ctx, database, client, forecast.NewForecaster(database, database), live.NewHub(api.EncodeUpdate), options, always(followed...))
	}()
	<-clock.After(20 * time.Minute)
	crashing.crash()
	<-clock.After(4 * time.Minute)
	crashing.restart()
	<-clock.After(hour - clock.Now().Sub(began))
	following := market.TimeRange{Start: began, End: clock.Now()}
	stop()
	asked := time.Now()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(asked); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	meter := exchange.Meter()
	t.Logf("faults: %v, %d klines asked", meter.Faults, exchange.pages.Load())
	for _, fault := range simulator.Faults() {
		if meter.Faults[fault] == 0 {
			t.Errorf("%s was never played", fault)
		}
	}
	past.End = clock.Now()
	missing, different := 0, 0
	for _, series := range followed {
		if lost, _ := compareWithSource(t, database, source, series, following); lost > 0 {
			t.Errorf("%s: %d candles that closed while it was followed are missing", series, lost)
		}
		lost, wrong := compareWithSource(t, database, source, series, past)
		missing, different = missing+lost, different+wrong
	}
	// The exchange itself told candles otherwise at the time.
	if missing > 0 || int64(different) > meter.Faults[simulator.RevisedCandle] {
		t.Errorf("%d candles are missing and %d differ", missing, different)
	}
	if err := exchange.SetScript(simulator.Script{}); err != nil {
		t.Fatal(err)
	}
	since := []string{"-interval", string(market.Minute1), "-from", past.Start.Format(time.RFC3339)}
	runHere(t, exchange, crashing.url, append([]string{"repair"}, since...)...)
	runHere(t, exchange, crashing.url, append([]string{"reconcile", "-mend"}, since...)...)
	for _, series := range followed {
		if lost, wrong := compareWithSource(t, database, source, series, past); lost > 0 || wrong > 0 {
			t.Errorf("%s: %d candles are still missing and %d still differ", series, lost, wrong)
		}
	}
	checkSamples(t, crashing.url, followed, following)
}

// compareWithSource returns how many candles of a range that the source has are
// not stored, and how many are with other values. It fails where one is stored
// that the source does not have, or the last few minutes of the range are not.
// What closed after the last stored one does not count: it may not have been
// heard of yet.
func compareWithSource(
	t *testing.T, database *timescale.Database, source simulator.Source, series market.Series, r market.TimeRange,
) (missing, different int) {
	t.Helper()
	candles, err := database.StoredCandles(t.Context(), series, r, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(candles) == 0 || r.End.Sub(candles[len(candles)-1].OpenTime) > 4*time.Minute {
		t.Fatalf("%s: %d candles are stored", series, len(candles))
	}
	r.End = series.Interval.Next(candles[len(candles)-1].OpenTime)
	stored := make(map[time.Time]market.Candle, len(candles))
	for _, candle := range candles {
		stored[candle.OpenTime] = candle
	}
	for _, truth := range source.Candles(series, r, 1<<20) {
		candle, found := stored[truth.OpenTime]
		switch {
		case !found:
			missing++
		case candle != truth:
			different++
		}
		delete(stored, truth.OpenTime)
	}
	if len(stored) > 0 {
		t.Errorf("%s: %d candles are stored that the exchange does not have", series, len(stored))
	}
	return missing, different
}

// checkSamples fails unless each place of the sampling grid, from the beginning of
// a range to its end, is a tick or in a stream gap, and in one only. At speed, the
// way from the one to the first place, and from the last place to the other, takes
// most of a minute of the market's.
func checkSamples(t *testing.T, databaseURL string, series []market.Series, r market.TimeRange) {
	t.Helper()
	const slack = time.Minute
	connection, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	for _, s := range series {
		var ticks, missing, places, doubled int64
		var first, last time.Time
		err := connection.QueryRow(t.Context(), `
			WITH accounted AS (
				SELECT sampled_at AS place, 1 AS ticks, 0 AS missing FROM ticks WHERE symbol = $1
				UNION ALL
				SELECT generate_series(start_time, end_time - interval '1 microsecond', interval '5 seconds'), 0, 1
				FROM stream_gaps WHERE symbol = $1
			)
			SELECT sum(ticks), sum(missing),
			       (extract(epoch FROM max(place) - min(place)) / 5)::bigint + 1,
			       count(*) - count(DISTINCT place), min(place), max(place)
			FROM accounted`, s.Symbol).Scan(&ticks, &missing, &places, &doubled, &first, &last)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d places, %d sampled, %d missing, the first after %s, the last %s before the end",
			s.Symbol, places, ticks, missing, first.Sub(r.Start), r.End.Sub(last))
		if first.Before(r.Start) || first.Sub(r.Start) > slack || r.End.Sub(last).Abs() > slack {
			t.Errorf("%s: the places go from %s to %s, want them from %s to %s", s.Symbol, first, last, r.Start, r.End)
		}
		if ticks+missing != places || doubled != 0 {
			t.Errorf("%s: %d places, of which %d are sampled, %d accounted for as missing, %d twice", s.Symbol, places, ticks, missing, doubled)
		}
		if ticks < places/2 || missing == 0 {
			t.Errorf("%s: %d of %d places are sampled", s.Symbol, ticks, places)
		}
	}
}

const sampleEvery = 5 * time.Second

// always has series followed that do not change.
func always(series ...market.Series) <-chan followedSeries {
	changes := make(chan followedSeries, 1)
	changes <- followedSeries{series: series, every: sampleEvery}
	return changes
}
