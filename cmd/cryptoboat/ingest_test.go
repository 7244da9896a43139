package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/coingecko"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// kept are settings that hold.
type kept settings.Settings

func (k *kept) Get(context.Context) (settings.Settings, error) { return settings.Settings(*k), nil }

// coinsOf asks a source of coins through a function.
type coinsOf func(ctx context.Context, ids []string) ([]market.Coin, history.Origin, error)

func (f coinsOf) Coins(ctx context.Context, ids []string) ([]market.Coin, history.Origin, error) {
	return f(ctx, ids)
}

// ingesting is what ingests work with: an offline exchange, a database, and what they
// tell of.
type ingesting struct {
	t        *testing.T
	exchange *offlineExchange
	database *timescale.Database
	config   jobs.IngestConfig
	settings kept
	now      time.Time
	asked    int   // for coins
	away     error // what becomes of that instead
	ingested []market.Series
	mended   []market.Candle
}

// newIngesting is of a market that has been ingested for three days.
func newIngesting(t *testing.T) *ingesting {
	t.Helper()
	i := &ingesting{
		t: t, exchange: openOfflineExchange(t, marketNow, simulator.RateLimit{Weight: 6000, Window: time.Minute}),
		database: timescaletest.Open(t), now: marketNow, settings: kept(settings.Defaults()),
	}
	i.settings.Ingestion.Start = marketNow.AddDate(0, 0, -3).Truncate(24 * time.Hour)
	client, err := binance.NewClient(binance.Config{RESTURL: i.exchange.url})
	if err != nil {
		t.Fatal(err)
	}
	coins, err := coingecko.NewClient(coingecko.Config{URL: i.exchange.url + "/api/v3"})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	i.config = jobs.IngestConfig{
		Settings:   &i.settings,
		Claim:      func(ctx context.Context) error { return claimDatabase(ctx, i.database, client) },
		Backfiller: history.NewBackfiller(client, i.database, log), Stored: i.database,
		Coins: coinsOf(func(ctx context.Context, ids []string) ([]market.Coin, history.Origin, error) {
			i.asked++
			if i.away != nil {
				return nil, "", i.away
			}
			return coins.Coins(ctx, ids)
		}),
		CoinStore: i.database,
		Mended:    func(_ market.Series, candles []market.Candle) { i.mended = append(i.mended, candles...) },
		Ingested: func(_ context.Context, series market.Series) error {
			i.ingested = append(i.ingested, series)
			return nil
		},
		Now: func() time.Time { return i.now }, Log: log,
	}
	return i
}

// expect does an ingest and compares what it came to.
func (i *ingesting) expect(work jobs.Work, task jobs.Task, want jobs.Report) {
	i.t.Helper()
	got, err := work(i.t.Context(), task)
	if err != nil {
		i.t.Fatal(err)
	}
	for _, name := range []string{"coins_new", "candles_new", "candles_corrected"} {
		if got[name] != want[name] {
			i.t.Errorf("%d %s, want %d", got[name], name, want[name])
		}
	}
	for name := range got {
		if !strings.HasSuffix(name, "_new") && !strings.HasSuffix(name, "_corrected") {
			i.t.Errorf("%s in the report are no rows that were written", name)
		}
	}
}

// expectTrue fails unless just what the exchange has of some ranges is stored.
func (i *ingesting) expectTrue(series market.Series, ranges ...market.TimeRange) {
	i.t.Helper()
	var want []market.Candle
	for _, r := range ranges {
		want = append(want, i.exchange.truth(series, r)...)
	}
	got, err := i.database.StoredCandles(i.t.Context(), series, market.TimeRange{End: marketNow.AddDate(1, 0, 0)}, 1<<20)
	if err != nil || !slices.Equal(got, want) {
		i.t.Errorf("%d candles of %s are stored, or other ones than the %d of the exchange, %v", len(got), series, len(want), err)
	}
}

func (i *ingesting) write(series market.Series, candles ...market.Candle) {
	i.t.Helper()
	for _, c := range candles {
		if err := i.database.StoreClosed(i.t.Context(), series, c); err != nil {
			i.t.Fatal(err)
		}
	}
}

func TestAnIngestCatchesUpAllThatWasMissed(t *testing.T) {
	i := newIngesting(t)
	start, end := i.settings.Ingestion.Start, btc15m.Interval.Floor(marketNow)
	whole := market.TimeRange{Start: start, End: end}
	truth := i.exchange.truth(btc15m, whole)
	n := len(truth)
	// A hole, one that was stored otherwise within the last day, and one before it.
	const wrong, missing, older = 4, 20, 120
	for k, c := range truth[:n-2] {
		switch n - k {
		case missing, missing + 1:
		case wrong, older:
			i.write(btc15m, untrue(c))
		default:
			i.write(btc15m, c)
		}
	}
	// Hours of a past that nobody has asked to go on with, and candles from before what
	// is ingested.
	hours := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	past := market.TimeRange{Start: start.AddDate(0, 0, -20), End: start.AddDate(0, 0, -18)}
	for k, c := range i.exchange.truth(hours, past) {
		if k != 7 {
			i.write(hours, c)
		}
	}
	before := market.TimeRange{Start: start.Add(-24 * time.Hour), End: start}
	for k, c := range i.exchange.truth(btc15m, before) {
		if k != 7 {
			i.write(btc15m, c)
		}
	}
	ether := market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}
	i.write(ether, i.exchange.truth(ether, past)[0], i.exchange.truth(ether, past)[2])

	work := jobs.NewIngest(i.config)
	i.expect(work, jobs.Task{Symbol: "BTCUSDT"}, jobs.Report{"coins_new": 2, "candles_new": 2 + 2 + 1 + 1, "candles_corrected": 1})
	i.write(btc15m, truth[n-older]) // that old ones are compared by hand
	i.expectTrue(btc15m, market.TimeRange{Start: before.Start, End: end})
	i.expectTrue(hours, past)
	if got, err := i.database.StoredCandles(t.Context(), ether, past, 10); err != nil || len(got) != 2 {
		t.Errorf("another symbol has %d candles, %v", len(got), err)
	}
	if !slices.Equal(i.ingested, []market.Series{btc15m}) {
		t.Errorf("told of %v", i.ingested)
	}
	want := []market.Candle{truth[n-missing-1], truth[n-missing], truth[n-wrong], truth[n-2], truth[n-1]}
	if !slices.Equal(i.mended, want) {
		t.Errorf("told of %d mended candles, want %d: %+v", len(i.mended), len(want), i.mended)
	}
	i.mended = nil
	i.expect(work, jobs.Task{Symbol: "BTCUSDT"}, jobs.Report{})
	if len(i.mended) > 0 {
		t.Errorf("told of %d candles that nobody has touched", len(i.mended))
	}

	i.settings.Ingestion.End = end.Add(-time.Hour) // what is there stays
	i.expect(work, jobs.Task{Symbol: "BTCUSDT"}, jobs.Report{})
}

// Whatever moment an ingest is killed at, the next one does just what is left.
func TestAKilledIngestIsGoneOnWith(t *testing.T) {
	i := newIngesting(t)
	i.settings.Ingestion.Start = marketNow.AddDate(0, -3, 0)
	work := jobs.NewIngest(i.config)
	var total int64
	kills := 0
	for pages := int64(0); ; pages++ {
		ctx, kill := context.WithCancel(t.Context())
		began := i.exchange.pages.Load()
		onPage := func(count int64) {
			if count-began > pages {
				kill()
			}
		}
		i.exchange.onPage.Store(&onPage)
		report, err := work(ctx, jobs.Task{Symbol: "BTCUSDT"})
		kill()
		total += report["candles_new"]
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if kills++; kills > 100 {
			t.Fatal("no run comes to its end")
		}
	}
	whole := market.TimeRange{Start: i.settings.Ingestion.Start, End: btc15m.Interval.Floor(marketNow)}
	whole.Start = btc15m.Interval.Next(btc15m.Interval.Floor(whole.Start)) // it begins within a candle
	i.expectTrue(btc15m, whole)
	if want := int64(len(i.exchange.truth(btc15m, whole))); total > want || kills < 3 {
		t.Errorf("%d runs that were killed and one that was not say that they stored %d candles of %d", kills, total, want)
	}
	if len(i.ingested) != 1 {
		t.Errorf("told %d times that all is there", len(i.ingested))
	}
}

func TestAnIngestOfASymbolThatNobodyKnowsSaysWhatToDo(t *testing.T) {
	i := newIngesting(t)
	_, err := jobs.NewIngest(i.config)(t.Context(), jobs.Task{Symbol: "NOSUCHUSDT"})
	if market.ErrorCode(err) != market.NotFound || !strings.Contains(err.Error(), "NOSUCHUSDT: take it out of the setting symbols") {
		t.Errorf("the error is %v", err)
	}
	if len(i.ingested) > 0 {
		t.Error("told that all is there")
	}
}

func TestABackfillFetchesJustItsRange(t *testing.T) {
	i := newIngesting(t)
	wanted := market.TimeRange{Start: i.settings.Ingestion.Start.AddDate(0, 0, -9), End: i.settings.Ingestion.Start.AddDate(0, 0, -8)}
	work := jobs.NewIngest(i.config)
	i.expect(work, jobs.Task{Symbol: "BTCUSDT", Wanted: wanted}, jobs.Report{"coins_new": 2, "candles_new": 96})
	i.expectTrue(btc15m, wanted)
	if len(i.ingested) > 0 {
		t.Error("told that all is there")
	}

	// What the exchange was confirmed not to have is asked for again.
	earlier := market.TimeRange{Start: wanted.Start.Add(-2 * time.Hour), End: wanted.Start}
	for k := range 3 {
		page := history.Page{Asked: earlier, Asking: marketNow.Add(time.Duration(k) * time.Hour)}
		if _, err := i.database.WritePage(t.Context(), btc15m, page); err != nil {
			t.Fatal(err)
		}
	}
	wanted.Start = earlier.Start
	i.expect(work, jobs.Task{Symbol: "BTCUSDT", Wanted: wanted}, jobs.Report{"candles_new": 8})
	i.expectTrue(btc15m, wanted)
}

// Coins are asked for once for all symbols, by whichever process comes first, and
// those that cannot be had keep no candles away.
func TestCoinsAreAskedForOnce(t *testing.T) {
	i := newIngesting(t)
	i.settings.Ingestion.Start = marketNow.Add(-2 * time.Hour)
	work := jobs.NewIngest(i.config)
	expectFailure := func(symbol market.Symbol, asked int, says string, candles int64) {
		t.Helper()
		report, err := work(t.Context(), jobs.Task{Symbol: symbol})
		if got := market.ErrorCode(err); got != market.Internal || !strings.Contains(err.Error(), says) || i.asked != asked || report["candles_new"] != candles {
			t.Errorf("%s: %d times asked, %v, %v; want %d times, %q and %d candles", symbol, i.asked, report, err, asked, says, candles)
		}
	}
	i.away = market.Errorf(market.Unavailable, "the source of coins is away")
	expectFailure("BTCUSDT", 1, "coins: the source of coins is away", 7)
	expectFailure("ETHUSDT", 1, "coins: the source of coins is away", 7)
	i.now = i.now.Add(time.Minute)
	i.away = nil
	i.expect(work, jobs.Task{Symbol: "BTCUSDT"}, jobs.Report{"coins_new": 2})
	i.expect(work, jobs.Task{Symbol: "ETHUSDT"}, jobs.Report{})
	i.expect(jobs.NewIngest(i.config), jobs.Task{Symbol: "ETHUSDT"}, jobs.Report{}) // of another process
	if i.asked != 2 {
		t.Errorf("asked for coins %d times, want twice", i.asked)
	}
	// Of a coin that has just been added nothing is stored.
	i.settings.CoinIDs = append(i.settings.CoinIDs, "nosuchcoin")
	expectFailure("BTCUSDT", 3, "coins: the source of coins does not know nosuchcoin", 0)
	i.expect(work, jobs.Task{Symbol: "ETHUSDT"}, jobs.Report{})
	i.settings.CoinIDs = nil
	i.now = i.now.Add(time.Hour)
	i.expect(work, jobs.Task{Symbol: "BTCUSDT"}, jobs.Report{})
	if i.asked != 3 {
		t.Errorf("asked for coins %d times, want three times", i.asked)
	}
}

func TestWhatTheExchangeHadNotIsAskedForAgain(t *testing.T) {
	i := newIngesting(t)
	start := i.settings.Ingestion.Start
	had, hadNot := market.TimeRange{Start: start, End: start.Add(time.Hour)}, market.TimeRange{Start: start.Add(2 * time.Hour), End: start.Add(4 * time.Hour)}
	for _, r := range []market.TimeRange{had, hadNot} {
		for k := range 3 {
			page := history.Page{Asked: r, Asking: marketNow.AddDate(0, 0, k-40)}
			if _, err := i.database.WritePage(t.Context(), btc15m, page); err != nil {
				t.Fatal(err)
			}
		}
	}
	recheck := jobs.Recheck(jobs.RecheckConfig{Ranges: i.database, Claim: i.config.Claim, Backfiller: i.config.Backfiller, Now: i.config.Now})
	i.now = marketNow.AddDate(0, 0, -9) // not a month ago yet
	if found, err := recheck(t.Context()); err != nil || found != 0 || i.exchange.pages.Load() > 0 {
		t.Errorf("too early: %d candles found, %v", found, err)
	}
	i.now = marketNow
	if found, err := recheck(t.Context()); err != nil || found != 4+8 {
		t.Errorf("%d candles found, %v", found, err)
	}
	i.expectTrue(btc15m, had, hadNot)
}
