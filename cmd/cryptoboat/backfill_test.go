package main

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// offlineExchange is an exchange that a test looks into.
type offlineExchange struct {
	*simulator.Server
	source simulator.Source
	url    string
	// pages counts requests for klines, the refused ones too.
	pages atomic.Int64
	// onPage, where set, is called with that count after each of them.
	onPage atomic.Pointer[func(int64)]
}

// openOfflineExchange serves a generated market whose clock starts at an
// instant.
func openOfflineExchange(t testing.TB, clock time.Time, limit simulator.RateLimit) *offlineExchange {
	t.Helper()
	began := time.Now()
	return serveOffline(t, simulator.Config{
		Source: simulator.NewGenerated(simulator.GeneratedConfig{Seed: 7}), RateLimit: limit, BanLength: time.Second,
		Now: func() time.Time { return clock.Add(time.Since(began)) },
	})
}

func serveOffline(t testing.TB, config simulator.Config) *offlineExchange {
	t.Helper()
	x := &offlineExchange{Server: simulator.NewServer(config), source: config.Source}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/klines") {
			defer func() {
				count := x.pages.Add(1)
				if f := x.onPage.Load(); f != nil {
					(*f)(count)
				}
			}()
		}
		x.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(x.Close)
	x.url = server.URL
	return x
}

// truth returns the candles of a series that open in r.
func (x *offlineExchange) truth(series market.Series, r market.TimeRange) []market.Candle {
	return x.source.Candles(series, r, 1<<24)
}

// against is the environment of a command that works against the exchange.
func (x *offlineExchange) against(databaseURL string) []string {
	return []string{databaseVariable + "=" + databaseURL, exchangeVariable + "=" + x.url, coinsVariable + "=" + x.url + "/api/v3"}
}

// run runs a command in this process.
func (x *offlineExchange) run(t testing.TB, databaseURL string, arguments ...string) (code int, out, complaints string) {
	t.Helper()
	variables := x.against(databaseURL)
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), environment{out: &stdout, errors: &stderr, get: func(name string) string {
		for _, variable := range variables {
			if value, ok := strings.CutPrefix(variable, name+"="); ok {
				return value
			}
		}
		return ""
	}}, arguments)
	return code, stdout.String(), stderr.String()
}

// everyFault plays every fault of the REST side several times. Each rule begins
// at a place of its own, so that none waits for the others.
func everyFault() simulator.Script {
	script := simulator.Script{Seed: 3}
	add := func(rule simulator.Rule) {
		if rule.On == "" {
			rule.On = simulator.Klines
		}
		if rule.Nth == 0 {
			rule.Nth = 4 + 7*len(script.Rules)
		}
		if rule.Count == 0 {
			rule.Every, rule.Count = 151, 4
		}
		script.Rules = append(script.Rules, rule)
	}
	for _, fault := range []simulator.Fault{
		simulator.CutBody, simulator.CutChunkedBody, simulator.ConnectionReset, simulator.WrongJSON,
		simulator.ObjectForArray, simulator.EmptyNumber, simulator.NumberForString, simulator.StringForNumber,
		simulator.ShortRow, simulator.EmptyPage, simulator.DuplicatedCandle, simulator.DisorderedCandles,
		simulator.CandleOffRange, simulator.CandleOffGrid, simulator.RevisedCandle,
	} {
		add(simulator.Rule{Fault: fault})
	}
	add(simulator.Rule{Fault: simulator.ServerError, Status: 503})
	add(simulator.Rule{Fault: simulator.HTMLPage, Status: 502})
	add(simulator.Rule{Fault: simulator.SlowHeaders, Wait: 50 * time.Millisecond})
	add(simulator.Rule{Fault: simulator.SlowBody, Wait: 50 * time.Millisecond})
	add(simulator.Rule{Fault: simulator.TooManyRequests, Wait: time.Second})
	add(simulator.Rule{Fault: simulator.Banned, Wait: time.Second, Every: 199, Count: 2})
	add(simulator.Rule{Fault: simulator.Blocked, Every: 211, Count: 2})
	add(simulator.Rule{Fault: simulator.WrongJSON, On: simulator.ExchangeInfo, Nth: 5, Every: 20, Count: 3})
	add(simulator.Rule{Fault: simulator.ServerError, Status: 500, On: simulator.Time, Nth: 7, Every: 20, Count: 3})
	add(simulator.Rule{Fault: simulator.Blocked, On: simulator.Time, Nth: 13, Count: 1})
	add(simulator.Rule{Fault: simulator.ClockSkew, On: simulator.Time, Nth: 20, Count: 1, Shift: 11 * time.Minute})
	add(simulator.Rule{Fault: simulator.ClockSkew, On: simulator.Time, Nth: 60, Count: 1, Shift: 90 * time.Second})
	return script
}

const backfillKills = 100

// Seven years of both pairs, fetched from an exchange that fails in every way it
// can by a process that is killed a hundred times, are the exchange's own to the
// last bit, and the exchange was never asked for more than half of what it
// allows, nor at all while it had forbidden it.
func TestAKilledBackfillFromAFailingExchangeIsTheTruth(t *testing.T) {
	listed := history.FirstListing
	clock := listed.AddDate(7, 0, 0).Add(7*time.Minute + 20*time.Second)
	limit := simulator.RateLimit{Weight: 8000, Window: time.Minute}
	exchange := openOfflineExchange(t, clock, limit)
	if err := exchange.SetScript(everyFault()); err != nil {
		t.Fatal(err)
	}
	url := timescaletest.URL(t)
	if code, _, complaints := exchange.run(t, url, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}

	random := rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))
	killed, refusals := 0, 0
	deadline := time.Now().Add(8 * time.Minute)
	for done := false; !done || killed < backfillKills; {
		if time.Now().After(deadline) {
			t.Fatalf("not done after %d kills, %d pages", killed, exchange.pages.Load())
		}
		arguments := []string{"backfill"}
		if done {
			arguments = []string{"repair", "-recheck"} // there is no other page left to be killed in
		}
		var kill <-chan time.Time
		if killed < backfillKills {
			kill = exchange.afterPages(t, random.Int64N(16), time.Duration(random.Int64N(int64(20*time.Millisecond))))
		}
		code, complaints := runUntil(t, kill, exchange.against(url), arguments...)
		switch {
		case code == killedCode:
			killed++
		case code == 0:
			done = true
		case strings.Contains(complaints, "BINANCE_REST_URL"): // the 451 says what to do
			refusals++
		default:
			t.Logf("exit code %d: %s", code, lastLines(complaints))
		}
	}
	if refusals == 0 {
		t.Error("no run ended with a word on what to do about a 451")
	}

	// Where the exchange kept a page back, it is asked for again.
	if err := exchange.SetScript(simulator.Script{}); err != nil {
		t.Fatal(err)
	}
	runHere(t, exchange, url, "repair")
	database, err := timescale.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	// All that may differ now is what the exchange itself said otherwise at the
	// time; and a reconciliation finds just that.
	different := 0
	for _, symbol := range defaultSymbols {
		different += compareWithTruth(t, database, exchange, market.Series{Symbol: symbol, Interval: market.Minute15}, clock)
	}
	if revised := exchange.Meter().Faults[simulator.RevisedCandle]; int64(different) > revised {
		t.Errorf("%d candles differ, the exchange gave %d with other values", different, revised)
	}
	if out := runHere(t, exchange, url, "reconcile", "-mend"); strings.Count(out, "the exchange has") < different ||
		strings.Count(out, " 0 missing here") != len(defaultSymbols) || strings.Count(out, " 0 unknown to the exchange") != len(defaultSymbols) {
		t.Errorf("%d candles differ, the reconciliation says\n%s", different, out)
	}
	for _, symbol := range defaultSymbols {
		if n := compareWithTruth(t, database, exchange, market.Series{Symbol: symbol, Interval: market.Minute15}, clock); n > 0 {
			t.Errorf("%d candles of %s still differ", n, symbol)
		}
	}
	meter := exchange.Meter()
	for _, rule := range everyFault().Rules {
		if meter.Faults[rule.Fault] == 0 {
			t.Errorf("%s was never played", rule.Fault)
		}
	}
	t.Logf("%d kills, %d requests, fullest window %d of %d, %d answered 429, %d answered 418, %d violations",
		killed, meter.Exchange.Requests, meter.Exchange.FullestWindow.Weight, limit.Weight,
		meter.Exchange.TooManyRequests, meter.Exchange.Banned, meter.Exchange.Violations)
	if meter.Exchange.Violations > 0 || meter.Exchange.FullestWindow.Weight > limit.Weight/2 {
		t.Error("the exchange's limits were passed")
	}
}

// runHere runs a command that has to succeed, and returns what it printed.
func runHere(t *testing.T, exchange *offlineExchange, url string, arguments ...string) string {
	t.Helper()
	code, out, complaints := exchange.run(t, url, arguments...)
	if code != 0 {
		t.Fatalf("%s: exit code %d:\n%s%s", arguments, code, out, lastLines(complaints))
	}
	t.Logf("%s:\n%s", arguments, out)
	return out
}

// compareWithTruth fails unless exactly the candles are stored that the exchange
// has, up to a clock at least, and returns how many of them have other values.
func compareWithTruth(
	t *testing.T, database *timescale.Database, exchange *offlineExchange, series market.Series, clock time.Time,
) (different int) {
	t.Helper()
	all := market.TimeRange{Start: history.FirstListing.AddDate(-1, 0, 0), End: clock.AddDate(1, 0, 0)}
	stored, err := database.StoredCandles(t.Context(), series, all, 1<<24)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) == 0 {
		t.Fatalf("%s: nothing is stored", series)
	}
	last := stored[len(stored)-1].OpenTime
	if last.Before(series.Interval.Floor(clock).Add(-series.Interval.Length())) {
		t.Errorf("%s: the last candle opens at %s", series, last)
	}
	truth := exchange.truth(series, market.TimeRange{Start: all.Start, End: series.Interval.Next(last)})
	if len(stored) != len(truth) {
		t.Fatalf("%s: %d candles are stored, the truth has %d", series, len(stored), len(truth))
	}
	for k := range stored {
		if !stored[k].OpenTime.Equal(truth[k].OpenTime) {
			t.Fatalf("%s: a candle opens at %s, in truth at %s", series, stored[k].OpenTime, truth[k].OpenTime)
		}
		if stored[k] != truth[k] {
			different++
		}
	}
	return different
}

// afterPages returns a channel that fires a while after so many more pages were
// asked for.
func (x *offlineExchange) afterPages(t testing.TB, pages int64, while time.Duration) <-chan time.Time {
	t.Helper()
	fired := make(chan time.Time, 1)
	target := x.pages.Load() + pages + 1
	f := func(count int64) {
		if count == target {
			time.AfterFunc(while, func() { fired <- time.Now() })
		}
	}
	x.onPage.Store(&f)
	return fired
}

const killedCode = -1

// runUntil runs a command as a process and kills it once the channel fires.
func runUntil(t testing.TB, kill <-chan time.Time, variables []string, arguments ...string) (code int, complaints string) {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	command.Env = append(append(os.Environ(), asCommand+"=1"), variables...)
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	select {
	case <-kill:
		if err := command.Process.Kill(); err == nil {
			<-exited
			return killedCode, ""
		}
		<-exited
	case <-exited:
	}
	return command.ProcessState.ExitCode(), stderr.String()
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}
