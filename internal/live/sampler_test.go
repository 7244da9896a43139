package live

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestTicksAreTheNewestStatesOnTheGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(90*time.Second + 2700*time.Millisecond)
		r := newRig(nil, bitcoin)
		r.start(t)
		r.live(61 * time.Second)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		ticks := r.store.ticks[bitcoin.Symbol]
		if len(ticks) != 12 {
			t.Fatalf("%d ticks, want 12", len(ticks))
		}
		for k, tick := range ticks {
			// States come 0.7 s after each full second.
			place := time.Date(2000, time.January, 1, 0, 1, 35+5*k, 0, time.UTC)
			want := stateAt(bitcoin, place.Add(-300*time.Millisecond))
			if !tick.SampledAt.Equal(place) || tick.Candle != want.Candle || !tick.ExchangeTime.Equal(want.EventTime) ||
				!tick.ReceivedAt.Equal(want.ReceivedAt) || tick.Series != bitcoin {
				t.Errorf("tick %d is %+v, want %+v at %s", k, tick, want, place)
			}
		}
		status := r.Status().Symbols[0]
		if status.Samples != 12 || status.Held != 0 || status.Missing != 0 || status.Events != 62 || status.Closed != 1 {
			t.Errorf("status is %#v", status)
		}
	})
}

func TestMissingSamplesAreAccountedForWithTheirReasons(t *testing.T) {
	hasty := func(c *Config) { c.Timing.LongestBackoff = time.Second }
	inBubble(t, hasty, two, func(t *testing.T, r *rig) {
		r.live(21 * time.Second)
		r.exchange.set(func() { r.exchange.refuse = func() error { return errAway } })
		r.exchange.drop()
		r.live(30 * time.Second) // until 00:00:51
		r.exchange.set(func() { r.exchange.refuse = nil })
		time.Sleep(59 * time.Second) // without an event, until 00:01:50
		r.live(12 * time.Second)
		r.clock.forward(10 * time.Minute)
		time.Sleep(5 * time.Second) // until the sampler wakes
		r.live(20 * time.Second)
		want := []string{
			"disconnected 00:00:25 6", "silent 00:00:55 12", "not_running 00:02:05 120", "silent 00:12:05 1",
		}
		for _, series := range two {
			if got := r.store.reasons(series.Symbol); !slices.Equal(got, want) {
				t.Errorf("gaps of %s: %v, want %v", series, got, want)
			}
		}
		if status := r.Status().Symbols[0]; status.Missing != 6+12+120+1 {
			t.Errorf("status is %#v", status)
		}
	})
}

func TestAStateOfBeforeALossIsNotSampled(t *testing.T) {
	hasty := func(c *Config) { c.Timing.LongestBackoff = time.Millisecond }
	inBubble(t, hasty, two, func(t *testing.T, r *rig) {
		r.live(14 * time.Second) // until 00:00:14
		r.exchange.drop()
		time.Sleep(2 * time.Second)
		r.live(10 * time.Second)
		if got, want := r.store.reasons(bitcoin.Symbol), []string{"silent 00:00:15 1"}; !slices.Equal(got, want) {
			t.Errorf("gaps: %v, want %v", got, want)
		}
	})
}

func TestPlacesThatPassedWhenTheServiceStopsAreAccountedFor(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(10 * time.Second)
		r.clock.forward(time.Minute) // checked by the bubble
	})
}

func TestWhatWasMissedBeforeTheStartIsAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour + time.Second)
		r := newRig(nil, two...)
		r.store.accounted[bitcoin.Symbol] = time.Date(2000, time.January, 1, 0, 50, 0, 0, time.UTC)
		r.store.ticksAway = errAway
		r.start(t)
		r.live(time.Minute)
		r.store.set(func() { r.store.ticksAway = nil })
		r.live(time.Minute)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if got, want := r.store.reasons(bitcoin.Symbol), []string{"not_running 00:50:00 121"}; !slices.Equal(got, want) {
			t.Errorf("gaps: %v, want %v", got, want)
		}
		if got := r.store.reasons(ether.Symbol); len(got) != 0 {
			t.Errorf("gaps of what was never sampled before: %v", got)
		}
		for _, disorder := range r.store.disorder {
			t.Error(disorder)
		}
		if status := r.Status().Symbols[0]; status.Samples != 24 || status.Missing != 0 {
			t.Errorf("status is %#v", status)
		}
	})
}

func TestAGapIsStoredWhileItGrowsAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * time.Millisecond)
		r := newRig(nil, bitcoin)
		r.exchange.refuse = func() error { return errAway }
		r.start(t)
		stored := func(want int) {
			t.Helper()
			synctest.Wait()
			r.store.mu.Lock()
			defer r.store.mu.Unlock()
			if gaps := r.store.gaps[bitcoin.Symbol]; len(gaps) != min(want, 1) || want > 0 && gaps[0].Missing != want {
				t.Errorf("stored are %v, want %d places", gaps, want)
			}
		}
		time.Sleep(50 * time.Second)
		stored(0)
		time.Sleep(11 * time.Second)
		stored(12)
		time.Sleep(50 * time.Second)
		stored(12)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		stored(22) // until 00:01:50
	})
}

func TestConfigsThatCannotBeFollowed(t *testing.T) {
	for name, alter := range map[string]func(*Config){
		"no series":            func(c *Config) { c.Series = nil },
		"a symbol twice":       func(c *Config) { c.Series = append(c.Series, market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}) },
		"no such interval":     func(c *Config) { c.Series[0].Interval = "7m" },
		"7 s":                  func(c *Config) { c.SampleEvery = 7 * time.Second },
		"no time":              func(c *Config) { c.SampleEvery = 0 },
		"longer than it lasts": func(c *Config) { c.SampleEvery = time.Hour },
	} {
		r := newRig(alter, bitcoin)
		if err := r.Run(t.Context()); market.ErrorCode(err) != market.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
