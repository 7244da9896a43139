package live

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func forecasting(c *Config) {
	store := c.Ticks.(*fakeStore)
	c.Forecaster, c.Forecasts = store, store
}

func TestForecastsArePublishedAtSamplesAndStoredByTheMinute(t *testing.T) {
	inBubble(t, forecasting, []market.Series{solana}, func(t *testing.T, r *rig) {
		r.live(10*time.Minute + 2*time.Second)
		var made, want []string
		for _, f := range r.news.made {
			made = append(made, f.AsOf.Format("04:05 ")+f.OpenTime.Format("04:05"))
		}
		for place := range 10 * 60 / 5 {
			at := midnightOf(r).Add(time.Duration(place+1) * sampled)
			// When a candle opens, the newest state is the one before's.
			if open := solana.Interval.Floor(at); !open.Equal(at) {
				want = append(want, at.Format("04:05 ")+open.Format("04:05"))
			}
		}
		if !slices.Equal(made, want) {
			t.Errorf("published are forecasts as of %v, want %v", made, want)
		}
		var stored []string
		for _, made := range r.store.forecasts {
			stored = append(stored, made.AsOf.Format("04:05"))
		}
		want = []string{"00:05", "01:00", "02:00", "03:00", "04:00", "05:05", "06:00", "07:00", "08:00", "09:00"}
		if !slices.Equal(stored, want) {
			t.Errorf("stored are the forecasts as of %v, want %v", stored, want)
		}
		if got := r.store.scored; len(got) != 3 || !got[1].openTime.Equal(midnightOf(r)) || got[1].open != 100 || got[1].close != 400 {
			t.Errorf("scored: %+v", got)
		}
	})
}

func midnightOf(r *rig) time.Time { return r.started.Truncate(time.Hour) }

func TestAMissingModelIsLoggedOnce(t *testing.T) {
	inBubble(t, forecasting, two, func(t *testing.T, r *rig) {
		r.store.set(func() { r.store.noForecast = market.Errorf(market.NotFound, "there is no model yet") })
		r.live(2 * time.Minute)
		r.store.set(func() { r.store.noForecast = market.Errorf(market.Unavailable, "the model is too old") })
		r.live(2 * time.Minute)
		r.store.set(func() { r.store.noForecast = nil })
		r.live(2 * time.Minute)
		for text, want := range map[string]int{"no model yet": 2, "is too old": 2, "is forecast again": 2} {
			if got := r.log.count(text); got != want {
				t.Errorf("%q was logged %d times, want %d", text, got, want)
			}
		}
		if len(r.store.forecasts) == 0 {
			t.Error("no forecasts are stored")
		}
	})
}

func TestForecastsWaitForTheDatabaseAndAreScoredAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(forecasting, two...)
		r.store.otherAway = errAway
		r.start(t)
		r.live(10*time.Minute + time.Second)
		if n := len(r.news.made); n < 200 {
			t.Errorf("%d forecasts were published", n)
		}
		r.store.set(func() { r.store.otherAway = nil })
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if n := len(r.store.forecasts); n < 20 || n > 22 {
			t.Errorf("%d forecasts are stored", n)
		}
		if n := len(r.store.scored); n != 22 {
			t.Errorf("%d candles are scored", n)
		}
		for _, text := range r.store.misscored {
			t.Error(text)
		}
	})
}

func TestARefusedForecastDoesNotHoldUpTheOthers(t *testing.T) {
	inBubble(t, forecasting, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.store.set(func() { r.store.otherAway = market.Errorf(market.Invalid, "no such model") })
		r.live(20 * time.Minute)
		r.store.set(func() { r.store.otherAway = nil })
		r.live(5 * time.Minute)
		if r.log.count("given up") == 0 {
			t.Error("nothing was given up")
		}
		if n := len(r.store.forecasts); n < 4 {
			t.Errorf("%d forecasts are stored", n)
		}
	})
}

func TestForecastsThatTakeTooLongAreLeftOut(t *testing.T) {
	f := &forecasts{due: make(chan []sample, 1), log: newRig(nil, bitcoin).config.Log}
	for k := range 3 {
		f.take(t.Context(), []sample{{place: midnight.Add(time.Duration(k) * sampled)}})
	}
	if newest := <-f.due; !newest[0].place.Equal(midnight.Add(2 * sampled)) {
		t.Errorf("the samples of %s wait", newest[0].place)
	}
}
