package main

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/api"
	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var (
	marketNow = time.Date(2024, time.May, 6, 12, 1, 0, 0, time.UTC)
	btc15m    = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
)

// Candles that open from a day before another to that one, which is the last.
const (
	dayOfCandles = 97
	last         = dayOfCandles - 1
)

// marketClock is a clock that agrees with an offline exchange of the same start.
func marketClock() fastClock { return fastClock{base: marketNow, began: time.Now(), speed: 1} }

// followed is a database that a process left behind which followed the market
// until some days ago, and whose mender has just begun.
func followed(t *testing.T, ago time.Duration) (*offlineExchange, *timescale.Database, func() (*binance.Client, error), []market.Candle) {
	t.Helper()
	exchange := openOfflineExchange(t, marketNow, simulator.RateLimit{Weight: 6000, Window: time.Minute})
	client, err := binance.NewClient(binance.Config{RESTURL: exchange.url})
	if err != nil {
		t.Fatal(err)
	}
	database := timescaletest.Open(t)
	end := btc15m.Interval.Floor(marketNow.Add(-ago))
	truth := exchange.truth(btc15m, market.TimeRange{Start: end.Add(-dayOfCandles * 15 * time.Minute), End: end})
	if len(truth) != dayOfCandles {
		t.Fatalf("%d candles", len(truth))
	}
	return exchange, database, func() (*binance.Client, error) { return client, nil }, truth
}

func store(t *testing.T, database *timescale.Database, candles ...market.Candle) {
	t.Helper()
	for _, c := range candles {
		if err := database.StoreClosed(t.Context(), btc15m, c); err != nil {
			t.Fatal(err)
		}
	}
}

// untrue returns the candle as a stream might have ended it too early.
func untrue(c market.Candle) market.Candle {
	c.Volume /= 2
	return c
}

// What the process before stored last is compared with the exchange however long
// it has been away, and what it missed since is the repair's.
func TestWhatAnotherProcessStoredIsChecked(t *testing.T) {
	for _, ago := range []time.Duration{0, time.Hour, 3 * 24 * time.Hour, 40 * 24 * time.Hour} {
		t.Run(ago.String(), func(t *testing.T) {
			exchange, database, client, truth := followed(t, ago)
			wrong, missing := []int{last - 1, last}, 50
			for k, c := range truth {
				switch {
				case slices.Contains(wrong, k):
					store(t, database, untrue(c))
				case k != missing:
					store(t, database, c)
				}
			}
			before, err := begin(t.Context(), database, client)
			if err != nil {
				t.Fatal(err)
			}
			if newest := before.newest[btc15m]; !newest.Equal(truth[last].OpenTime) {
				t.Fatalf("the newest candle is of %s", newest)
			}
			m := mender{database: database, exchange: client, newest: before.newest, clock: marketClock(), log: slog.New(slog.DiscardHandler)}
			var filled []market.Candle
			err = m.Repair(t.Context(), btc15m, time.Time{}, func(mended []live.Mended) {
				for _, c := range mended {
					filled = append(filled, c.Candle)
				}
			})
			since := market.TimeRange{Start: truth[last].OpenTime.Add(time.Minute), End: btc15m.Interval.Floor(marketNow)}
			if want := exchange.truth(btc15m, since); err != nil || !slices.Equal(filled, want) {
				t.Errorf("%d candles are repaired, want %d, error %v", len(filled), len(want), err)
			}
			var checked []live.Mended
			check := func() error {
				checked = nil
				return m.Check(t.Context(), btc15m, time.Time{}, func(mended []live.Mended) { checked = append(checked, mended...) })
			}
			pages := exchange.pages.Load()
			want := []live.Mended{{Candle: truth[missing]}, {Candle: truth[last-1], Corrected: true}, {Candle: truth[last], Corrected: true}}
			if err := check(); err != nil || !slices.Equal(checked, want) {
				t.Errorf("mended are %+v, want %+v, error %v", checked, want, err)
			}
			if asked := exchange.pages.Load() - pages; asked > 3 { // with the listing
				t.Errorf("%d requests for a check", asked)
			}
			if err := check(); err != nil || len(checked) > 0 {
				t.Errorf("once more: mended are %+v, error %v", checked, err)
			}
			everything := market.TimeRange{Start: truth[0].OpenTime, End: marketNow}
			stored, err := database.StoredCandles(t.Context(), btc15m, everything, 1<<20)
			if want := exchange.truth(btc15m, everything); err != nil || !slices.Equal(stored, want[:len(want)-1]) { // but the open one
				t.Errorf("%d candles are stored, the truth has %d, error %v", len(stored), len(want)-1, err)
			}
		})
	}
}

func TestACheckOfASeriesWithoutCandlesGoesBackADay(t *testing.T) {
	_, database, client, truth := followed(t, 0)
	m := mender{database: database, exchange: client, clock: marketClock(), log: slog.New(slog.DiscardHandler)}
	var filled []live.Mended
	err := m.Check(t.Context(), btc15m, time.Time{}, func(mended []live.Mended) { filled = append(filled, mended...) })
	if err != nil || len(filled) != 95 || filled[94].Candle != truth[last] { // the first opened before
		t.Errorf("%d candles are mended, error %v", len(filled), err)
	}
}

// A candle that was stored otherwise is mended, and told of, soon after a service
// has begun.
func TestFollowMendsWhatIsUntrue(t *testing.T) {
	exchange, database, client, truth := followed(t, 0)
	store(t, database, truth[:last]...)
	store(t, database, untrue(truth[last]))
	hub := live.NewHub(api.EncodeUpdate)
	news := hub.Subscribe(0)
	defer news.Close()
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- follow(ctx, database, client, forecast.NewForecaster(database, database), hub, liveOptions{
			series: []market.Series{btc15m}, stream: "ws" + exchange.url[len("http"):], clock: marketClock(),
			every: sampleEvery, log: slog.New(slog.DiscardHandler),
		})
	}()
	defer func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	for deadline := time.After(30 * time.Second); ; {
		select {
		case <-news.Ready():
		case <-deadline:
			t.Fatal("nothing was mended within half a minute")
		}
		updates, _ := news.Take()
		for _, u := range updates {
			if u.Candle == nil {
				continue
			}
			if u.Candle.Candle != truth[last] || !u.Candle.Closed {
				t.Errorf("told is %+v, want %+v", u.Candle.Candle, truth[last])
			}
			return
		}
	}
}

// A market that cannot be reached is waited for, until told to stop; one of the
// other kind is not followed.
func TestFollowWaitsForTheExchange(t *testing.T) {
	database := timescaletest.Open(t)
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	away := func() (*binance.Client, error) {
		if asked++; asked == 3 {
			stop()
		}
		return nil, market.Errorf(market.Unavailable, "nobody answers")
	}
	options := liveOptions{log: slog.New(slog.DiscardHandler)}
	if err := follow(ctx, database, away, nil, nil, options); err != nil || asked != 3 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
	barred := func() (*binance.Client, error) { return nil, market.Errorf(market.Forbidden, "not from here") }
	if err := follow(t.Context(), database, barred, nil, nil, options); market.ErrorCode(err) != market.Forbidden {
		t.Errorf("error %v", err)
	}
}
