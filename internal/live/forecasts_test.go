package live

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
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

func TestAForecastThatIsRefusedIsSetAsideAlone(t *testing.T) {
	invalid, unknown := market.Errorf(market.Invalid, "no such model"), errors.New("new row violates a check constraint")
	for name, test := range map[string]struct {
		failure error
		bad     []int // minutes
		flushes int   // until all is stored
	}{
		"the first":                    {invalid, []int{0}, 1},
		"several":                      {invalid, []int{1, 4, 5, 9}, 1},
		"a reason unknown":             {unknown, []int{5}, 1},
		"a reason unknown, each":       {unknown, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10 * storeAttempts},
		"a reason unknown, from first": {unknown, []int{0, 1, 7}, 2*storeAttempts - 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(forecasting, bitcoin)
			isBad := func(at time.Time) error {
				if slices.Contains(test.bad, int(at.Sub(midnight)/time.Minute)) {
					return test.failure
				}
				return nil
			}
			r.store.refuseMade = func(made forecast.Forecast) error { return isBad(made.OpenTime) }
			r.store.refuseEnd = func(s score) error { return isBad(s.openTime) }
			w := r.forecasts.writer
			for minute := range 10 {
				open := midnight.Add(time.Duration(minute) * time.Minute)
				w.add(forecast.Forecast{Series: bitcoin, AsOf: open, OpenTime: open})
				w.score(score{series: bitcoin, openTime: open})
			}
			if held := r.Status().Symbols[0].Forecasts; held != (ForecastStatus{Held: 10, Unscored: 10}) {
				t.Errorf("before, status is %+v", held)
			}
			flushes := 1
			for w.flush(t.Context()) != nil {
				flushes++
			}
			bad := int64(len(test.bad))
			want := ForecastStatus{Stored: 10 - bad, Refused: bad, Scored: 10 - bad, ScoresRefused: bad}
			if got := r.Status().Symbols[0].Forecasts; got != want {
				t.Errorf("status is %+v, want %+v", got, want)
			}
			if n := int64(len(r.store.forecasts)); n != want.Stored {
				t.Errorf("%d forecasts are stored", n)
			}
			if n := int64(r.log.count("is set aside") + r.log.count("are set aside")); n != 2*bad {
				t.Errorf("it was logged %d times", n)
			}
			if flushes > 2*test.flushes {
				t.Errorf("%d flushes, want %d at most", flushes, 2*test.flushes)
			}
			for _, text := range r.store.misscored {
				t.Error(text)
			}
		})
	}
}

// What a candle's forecasts are as of is not before what is known of it.
func TestAForecastIsAsOfItsState(t *testing.T) {
	state := stateAt(bitcoin, midnight.Add(31*time.Second))
	end := midnight.Add(time.Minute)
	for _, test := range []struct {
		name                string
		place, event, taken time.Duration
		want                time.Duration
	}{
		{"a state of before its place", 30 * time.Second, 29 * time.Second, 30 * time.Second, 30 * time.Second},
		{"a newer state, sampled late", 30 * time.Second, 31 * time.Second, 32 * time.Second, 31 * time.Second},
		{"by a clock that is fast", 30 * time.Second, 50 * time.Second, 32 * time.Second, 32 * time.Second},
		{"by a clock that is ahead of the close", 30 * time.Second, 4 * time.Minute, 32 * time.Second, 32 * time.Second},
		{"sampled after the close", 55 * time.Second, 59 * time.Second, 61 * time.Second, 59 * time.Second},
	} {
		state.EventTime = midnight.Add(test.event)
		r := newRig(forecasting, bitcoin)
		r.forecasts.forecast(t.Context(), &sample{place: midnight.Add(test.place), taken: midnight.Add(test.taken), state: state})
		if len(r.news.made) != 1 {
			t.Errorf("%s: %d forecasts", test.name, len(r.news.made))
		} else if asOf := r.news.made[0].AsOf; !asOf.Equal(midnight.Add(test.want)) || !asOf.Before(end) {
			t.Errorf("%s: as of %s, want %s after the open", test.name, asOf, test.want)
		}
	}
}

// The fake forecaster complains of forecasts that are as of an earlier instant
// than their state.
func TestSamplesThatAreTakenLateAreForecastAsOfTheirState(t *testing.T) {
	inBubble(t, forecasting, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(10 * time.Second)
		r.clock.forward(2 * time.Second) // which the sampler's timer does not know
		r.live(10 * time.Second)
		if n := len(r.news.made); n < 2 {
			t.Errorf("%d forecasts", n)
		}
	})
}

func TestAnExchangeWhoseClockIsFastHasItsCandlesForecast(t *testing.T) {
	inBubble(t, forecasting, two, func(t *testing.T, r *rig) {
		r.exchange.set(func() {
			r.exchange.alter = func(_ *fakeConnection, e Event) []Event {
				e.Kline.EventTime = e.Kline.EventTime.Add(4 * time.Minute)
				return []Event{e}
			}
		})
		r.live(time.Minute)
		r.exchange.set(func() { r.exchange.alter = nil }) // that of another machine is right
		r.live(2*time.Minute - time.Second)
		want := 2 * (3*60/5 - 3) // where a candle opens, there is nothing to say
		if n := len(r.news.made); n != want {
			t.Errorf("%d forecasts, want %d", n, want)
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
