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
	"github.com/cryptoboat/cryptoboat/internal/history"
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
// it has been away, and what it missed since, or left out before, is the repair's.
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
			if newest := before.stored[btc15m].Last; !newest.Equal(truth[last].OpenTime) {
				t.Fatalf("the newest candle is of %s", newest)
			}
			m := mender{database: database, exchange: client, stored: before.stored, clock: marketClock(), log: slog.New(slog.DiscardHandler)}
			var told []live.Mended
			tell := func(mended []live.Mended) { told = append(told, mended...) }
			if err := m.Repair(t.Context(), btc15m, time.Time{}, tell); err != nil {
				t.Fatal(err)
			}
			pages := exchange.pages.Load()
			check := func() error { return m.Check(t.Context(), btc15m, time.Time{}, tell) }
			if err := check(); err != nil {
				t.Fatal(err)
			}
			// The repair corrects those that lie between what it fills.
			slices.SortFunc(told, func(a, b live.Mended) int { return a.OpenTime.Compare(b.OpenTime) })
			want := []live.Mended{{Candle: truth[missing]}, {Candle: truth[last-1], Corrected: true}, {Candle: truth[last], Corrected: true}}
			since := market.TimeRange{Start: truth[last].OpenTime.Add(time.Minute), End: btc15m.Interval.Floor(marketNow)}
			for _, c := range exchange.truth(btc15m, since) {
				want = append(want, live.Mended{Candle: c})
			}
			if !slices.Equal(told, want) {
				t.Errorf("%d candles are mended, want %d: %+v", len(told), len(want), told)
			}
			if asked := exchange.pages.Load() - pages; asked > 3 { // with the listing
				t.Errorf("%d requests for a check", asked)
			}
			told = nil
			if err := check(); err != nil || len(told) > 0 {
				t.Errorf("once more: mended are %+v, error %v", told, err)
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
			stream: "ws" + exchange.url[len("http"):], clock: marketClock(), log: slog.New(slog.DiscardHandler),
		}, always(btc15m))
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

// A hole that a process left behind when it was killed lies near its newest candle;
// what lies before its oldest is the backfill's.
func TestTheFirstRepairGoesBackAWeek(t *testing.T) {
	newest := marketNow.Add(-time.Hour)
	for _, test := range []struct {
		stored *history.StoredSeries
		want   time.Time
	}{
		{nil, marketNow.Add(-repairedAtFirst)},
		{&history.StoredSeries{First: history.FirstListing, Last: newest}, newest.Add(-repairedAtFirst)},
		{&history.StoredSeries{First: newest.Add(-time.Hour), Last: newest}, newest.Add(-time.Hour)},
	} {
		m := mender{clock: fastClock{base: marketNow, began: time.Now(), speed: 0}}
		if test.stored != nil {
			m.stored = map[market.Series]history.StoredSeries{btc15m: *test.stored}
		}
		if since := m.repairedSince(btc15m); !since.Equal(test.want) {
			t.Errorf("of %+v: since %s, want %s", test.stored, since, test.want)
		}
	}
}

// An exchange that keeps a page back has the repair come again, as one that has no
// candles does until it is believed.
func TestARepairThatGetsAnEmptyPageIsNotComplete(t *testing.T) {
	exchange, database, client, truth := followed(t, time.Hour)
	store(t, database, truth...)
	err := exchange.SetScript(simulator.Script{Rules: []simulator.Rule{
		{On: simulator.Klines, Fault: simulator.EmptyPage, Nth: 2, Count: 1}, // after the listing
	}})
	if err != nil {
		t.Fatal(err)
	}
	m := mender{database: database, exchange: client, clock: marketClock(), log: slog.New(slog.DiscardHandler)}
	var filled []live.Mended
	repair := func() error {
		return m.Repair(t.Context(), btc15m, truth[last].OpenTime, func(mended []live.Mended) { filled = append(filled, mended...) })
	}
	if err := repair(); market.ErrorCode(err) != market.Unavailable || len(filled) > 0 {
		t.Errorf("%d candles of an empty page, error %v", len(filled), err)
	}
	if err := repair(); err != nil || len(filled) != 4 {
		t.Errorf("%d candles at last, error %v", len(filled), err)
	}
}

// A market that cannot be reached, or that refuses to be, is waited for, until told
// to stop; one of the other kind is not followed.
func TestFollowWaitsForTheExchange(t *testing.T) {
	database := timescaletest.Open(t)
	options := liveOptions{log: slog.New(slog.DiscardHandler), clock: fastClock{base: marketNow, began: time.Now(), speed: 10_000}}
	for _, code := range []market.Code{market.Unavailable, market.Forbidden, market.Internal, market.NotFound} {
		ctx, stop := context.WithCancel(t.Context())
		asked := 0
		away := func() (*binance.Client, error) {
			if asked++; asked == 3 {
				stop()
			}
			return nil, market.Errorf(code, "not now")
		}
		if err := follow(ctx, database, away, nil, nil, options, always(btc15m)); err != nil || asked != 3 {
			t.Errorf("%s: asked %d times, error %v", code, asked, err)
		}
		stop()
	}
	for _, code := range []market.Code{market.Conflict, market.Invalid} {
		other := func() (*binance.Client, error) { return nil, market.Errorf(code, "never") }
		if err := follow(t.Context(), database, other, nil, nil, options, always(btc15m)); market.ErrorCode(err) != code {
			t.Errorf("error %v", err)
		}
	}
}

// A machine that has slept looks at what the market's clock shows, not at how long
// it was awake.
func TestTheExchangesClockHasNoMonotonicReading(t *testing.T) {
	exchange := openOfflineExchange(t, time.Now(), simulator.RateLimit{Weight: 6000, Window: time.Minute})
	client, err := binance.NewClient(binance.Config{RESTURL: exchange.url})
	if err != nil {
		t.Fatal(err)
	}
	clock := exchangeClock{client}
	for _, measured := range []bool{false, true} {
		if now := clock.Now(); now != now.Round(0) || now.Location() != time.UTC {
			t.Errorf("measured %t: %s", measured, now)
		}
		if _, err := client.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
