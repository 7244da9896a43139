package main

import (
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/api"
	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

func workersOf(i *ingesting) workers {
	i.t.Helper()
	client, err := binance.NewClient(binance.Config{RESTURL: i.exchange.url})
	if err != nil {
		i.t.Fatal(err)
	}
	people, err := accounts.NewService(i.database, time.Now)
	if err != nil {
		i.t.Fatal(err)
	}
	return workers{
		database: i.database, exchange: client, accounts: people, hub: live.NewHub(api.EncodeUpdate),
		current: func() settings.Settings { return settings.Settings(i.settings) },
		now:     func() time.Time { return i.now }, log: i.config.Log,
	}
}

// Every chore can be done on a database with something in it, and again.
func TestChoresAreDone(t *testing.T) {
	i := newIngesting(t)
	w := workersOf(i)
	if _, err := jobs.NewIngest(i.config)(t.Context(), jobs.Task{Symbol: "BTCUSDT"}); err != nil {
		t.Fatal(err)
	}
	work := jobs.NewMaintain(chores(w, history.NewBackfiller(w.exchange, w.database, w.log)), w.log)
	for range 2 {
		report, err := work(t.Context(), jobs.Task{})
		if err != nil {
			t.Fatal(err)
		}
		for name, rows := range report {
			if rows != 0 {
				t.Errorf("%d %s of a database with nothing to tidy up", rows, name)
			}
		}
	}
}

// What an ingest brings that the stream did not reaches those who follow it.
func TestFollowersHearOfWhatAnIngestMends(t *testing.T) {
	i := newIngesting(t)
	w := workersOf(i)
	if _, err := w.exchange.Now(t.Context()); err != nil { // so that its clock is known
		t.Fatal(err)
	}
	i.settings.Ingestion.Start = marketNow.Add(-time.Hour)
	i.config.Mended = w.tellMended
	subscription := w.hub.Subscribe(0)
	defer subscription.Close()
	heard := func() (candles []market.Candle) {
		updates, _ := subscription.Take()
		for _, u := range updates {
			candles = append(candles, u.Candle.Candle)
		}
		return candles
	}
	work := jobs.NewIngest(i.config)
	i.expect(work, jobs.Task{Symbol: "BTCUSDT"}, jobs.Report{"coins_new": 2, "candles_new": 3})
	truth := i.exchange.truth(btc15m, market.TimeRange{Start: btc15m.Interval.Floor(marketNow).Add(-45 * time.Minute), End: btc15m.Interval.Floor(marketNow)})
	if got := heard(); !slices.Equal(got, truth) {
		t.Errorf("heard of %d candles, want %d", len(got), len(truth))
	}
	i.settings.StreamInterval = market.Minute1 // another series than is ingested
	i.write(btc15m, untrue(truth[2]))
	i.expect(work, jobs.Task{Symbol: "BTCUSDT"}, jobs.Report{"candles_corrected": 1})
	if got := heard(); len(got) > 0 {
		t.Errorf("heard of %d candles of a series that is not followed", len(got))
	}
}
