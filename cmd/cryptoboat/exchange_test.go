package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// youngExchange has traded for less than a month, in which there was one outage
// of six hours.
func youngExchange(t *testing.T) (exchange *offlineExchange, databaseURL string) {
	t.Helper()
	clock := time.Date(2017, time.September, 10, 0, 5, 0, 0, time.UTC)
	exchange = openOfflineExchange(t, clock, simulator.RateLimit{})
	databaseURL = timescaletest.URL(t)
	if code, _, complaints := exchange.run(t, databaseURL, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}
	return exchange, databaseURL
}

func openTestDatabase(t *testing.T, url string) *timescale.Database {
	t.Helper()
	database, err := timescale.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	return database
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestABadFirstAnswerDoesNotEndACommand(t *testing.T) {
	exchange, url := youngExchange(t)
	for _, arguments := range []string{"backfill -dry-run", "backfill", "reconcile"} {
		err := exchange.SetScript(simulator.Script{Rules: []simulator.Rule{
			{On: simulator.REST, Fault: simulator.ServerError, Status: 503, Nth: 1, Count: 1},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if code, out, complaints := exchange.run(t, url, strings.Fields(arguments)...); code != 0 {
			t.Errorf("%s: exit code %d:\n%s%s", arguments, code, out, complaints)
		}
	}
}

func TestALongBanSaysWhenToTryAgain(t *testing.T) {
	for _, on := range []simulator.Endpoint{simulator.REST, simulator.Klines} { // at the first contact, and later
		exchange, url := youngExchange(t)
		err := exchange.SetScript(simulator.Script{Rules: []simulator.Rule{
			{On: on, Fault: simulator.Banned, Wait: time.Hour, Nth: 1, Count: 1},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"backfill", "reconcile"} {
			code, _, complaints := exchange.run(t, url, command)
			last := lastLine(complaints)
			if code != 1 || !strings.HasPrefix(last, "the exchange asked us to wait until 20") || !strings.HasSuffix(last, ": run it again then") {
				t.Errorf("%s: exit code %d:\n%s", command, code, complaints)
			}
		}
	}
}

func TestRepairMendsWhatIsPendingSinceTheListing(t *testing.T) {
	exchange, url := youngExchange(t)
	out := runHere(t, exchange, url, "backfill", "-from", "2017-09-01", "BTCUSDT")
	if !strings.Contains(out, "BTCUSDT 15m: 24 places stay pending: the exchange had none; run cryptoboat repair in ten minutes or more") {
		t.Errorf("the backfill says:\n%s", out)
	}
	out = runHere(t, exchange, url, "repair")
	if !strings.Contains(out, "BTCUSDT 15m: 1424 candles new") {
		t.Errorf("the repair says:\n%s", out)
	}
	out = runHere(t, exchange, url, "coverage", "-to", "2017-09-05")
	if columns := strings.Fields(lastLine(out)); columns[4] != "1808" || columns[5] != "0" { // rows, pending
		t.Errorf("the coverage is:\n%s", out)
	}
}

func TestADryRunRefusesTheOtherKindAndClaimsNothing(t *testing.T) {
	exchange, url := youngExchange(t)
	database := openTestDatabase(t, url)
	runHere(t, exchange, url, "backfill", "-dry-run")
	if origin, err := database.Origin(t.Context()); err != nil || origin != "" {
		t.Errorf("after a dry run the database is claimed for %q candles, %v", origin, err)
	}
	if err := database.ClaimOrigin(t.Context(), history.Real); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range []string{"backfill -dry-run", "backfill", "reconcile", "coins"} {
		code, out, complaints := exchange.run(t, url, strings.Fields(arguments)...)
		if code != 1 || !strings.Contains(complaints, "this database holds real candles") {
			t.Errorf("%s: exit code %d:\n%s%s", arguments, code, out, complaints)
		}
	}
	if coins, err := database.Coins(t.Context()); err != nil || len(coins) > 0 {
		t.Errorf("coins are stored: %v, %v", coins, err)
	}
}

func TestCoinsOfASimulatedMarketClaimTheDatabase(t *testing.T) {
	exchange, url := youngExchange(t)
	runHere(t, exchange, url, "coins")
	if origin, err := openTestDatabase(t, url).Origin(t.Context()); err != nil || origin != history.Simulated {
		t.Errorf("the database holds %q candles, %v", origin, err)
	}
}

func TestReconcileTakesEverySymbolOnceAndGoesOn(t *testing.T) {
	exchange, url := youngExchange(t)
	runHere(t, exchange, url, "backfill", "BTCUSDT")
	code, out, complaints := exchange.run(t, url, "reconcile", "-symbol", "NONEUSDT", "-symbol", "BTCUSDT", "BTCUSDT", "NONEUSDT")
	if code != 1 || strings.Count(complaints, "reconciling NONEUSDT 15m") != 1 {
		t.Errorf("exit code %d, complaints:\n%s", code, complaints)
	}
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, "BTCUSDT 15m from 2017-08-17T04:00:00Z to 2017-09-10T00:00:00Z: 2264 candles equal, 0 missing here") {
		t.Errorf("it says:\n%s", out)
	}
	out = runHere(t, exchange, url, "reconcile", "-from", "2017-09-10", "BTCUSDT")
	if !strings.HasPrefix(out, "BTCUSDT 15m: there is nothing to compare") || strings.Count(out, "\n") != 1 {
		t.Errorf("where nothing is to be compared, it says:\n%s", out)
	}
	out = runHere(t, exchange, url, "reconcile", "-differences", "1", "ETHUSDT")
	if !strings.Contains(out, "more differences are not shown, -differences -1 shows all") {
		t.Errorf("it says:\n%s", out)
	}
}

func TestAReportOfPagesThatWereSetAside(t *testing.T) {
	var out bytes.Buffer
	printBackfillReport(environment{out: &out}, market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}, history.BackfillReport{
		Pages: 7, Unfinished: 3, SetAside: 2, New: 7000, Retries: 14, Duration: 2500 * time.Millisecond,
	})
	want := "BTCUSDT 15m: 7000 candles new, 0 unchanged, 0 corrected, in 2.5s; 14 attempts were repeated; " +
		"2 pages set aside: the exchange gives no usable answer for them; 1 pages not finished: run it again\n"
	if out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
}

func TestFlagsAfterSymbolsAreExplained(t *testing.T) {
	for _, command := range []string{"backfill", "repair", "reconcile", "coverage"} {
		code, _, complaints := cryptoboat(t, "", command, "BTCUSDT", "-from", "2024-01-01")
		if code != 2 || !strings.Contains(complaints, "-from comes too late: flags go before symbols") {
			t.Errorf("%s: exit code %d: %s", command, code, complaints)
		}
	}
	code, _, complaints := cryptoboat(t, "", "coins", "bitcoin", "-stored")
	if code != 2 || !strings.Contains(complaints, "flags go before ids") {
		t.Errorf("coins: exit code %d: %s", code, complaints)
	}
}

func TestCoverageLooksAtWhatCanBe(t *testing.T) {
	now := time.Date(2024, time.May, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	for _, test := range []struct {
		from, to time.Time
		end      time.Time // zero where it is refused
	}{
		{day(-2), time.Time{}, now},
		{day(-2), day(-1), day(-1)},
		{day(-2), day(1), now},
		{day(-1), day(-2), time.Time{}},
		{day(-1), day(-1), time.Time{}},
		{day(1), day(2), time.Time{}},
		{day(1), time.Time{}, time.Time{}},
	} {
		window, err := coverageWindow(test.from, test.to, now)
		if test.end.IsZero() {
			if market.ErrorCode(err) != market.Invalid {
				t.Errorf("from %s to %s: %v, %v", test.from, test.to, window, err)
			}
		} else if want := (market.TimeRange{Start: test.from, End: test.end}); window != want || err != nil {
			t.Errorf("from %s to %s: %v, %v, want %v", test.from, test.to, window, err, want)
		}
	}
	if code, _, complaints := cryptoboat(t, "", "coverage", "-from", "2024-01-02", "-to", "2024-01-01"); code != 2 {
		t.Errorf("exit code %d: %s", code, complaints)
	}
}
