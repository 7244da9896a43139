package live

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestClosedCandlesAreStoredAtOnceAndPublished(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(60 * time.Second)
		if len(r.store.closed[bitcoin]) > 1 {
			t.Fatal("stored before the end")
		}
		r.push(time.Second)
		synctest.Wait()
		open := r.clock.Now().Truncate(time.Minute).Add(-time.Minute)
		for _, series := range two {
			if r.store.closed[series][open] != 1 {
				t.Errorf("stored: %v", r.store.closed[series])
			}
			candles := r.news.candles[series.Symbol]
			if last := candles[len(candles)-1]; !last.Closed || last.Candle != closeOf(series, open, open).Candle {
				t.Errorf("published: %+v", last)
			}
		}
		if closed := r.Status().Symbols[0].Closed; closed != 2 { // that of before the start too
			t.Errorf("status says %d closed", closed)
		}
	})
}

func TestClosedCandlesWaitForTheDatabase(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(30 * time.Second)
		r.store.set(func() { r.store.candleAway = errAway })
		r.live(2 * time.Minute)
		if n := len(r.news.prices[bitcoin.Symbol]); n < 150 {
			t.Errorf("%d prices: the socket was blocked", n)
		}
		if n := len(r.news.candles[bitcoin.Symbol]); n != 1 {
			t.Errorf("%d candles were published that are not stored", n-1)
		}
		r.store.set(func() { r.store.candleAway = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(r.store.closed[bitcoin]); n != 3 {
			t.Errorf("%d candles are stored", n)
		}
	})
}

func TestWhatCannotBeStoredIsLeftToTheRepair(t *testing.T) {
	for name, failure := range map[string]error{
		"at once":       market.Errorf(market.Invalid, "high is below low"),
		"after a while": errors.New("syntax error"),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
				r.live(30 * time.Second)
				r.store.set(func() { r.store.candleAway = failure })
				r.live(31 * time.Second)
				before := len(r.store.repairsOf(bitcoin))
				r.exchange.set(func() {
					r.exchange.alter = func(*fakeConnection, Event) []Event { return nil }
				})
				if name == "at once" {
					before = 1 // that of the start
				}
				time.Sleep(15 * time.Minute)
				synctest.Wait()
				if after := len(r.store.repairsOf(bitcoin)); after <= before {
					t.Errorf("%d repairs, then %d", before, after)
				}
				if n := r.log.count("left to the repair"); n != 1 {
					t.Errorf("it was logged %d times", n)
				}
			})
		})
	}
}

func TestTooManyClosedCandlesAreLeftToTheRepair(t *testing.T) {
	inBubble(t, nil, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(30 * time.Second)
		r.store.set(func() { r.store.candleAway, r.store.repairAway = errAway, errAway })
		r.live(15 * time.Minute)
		if n := r.log.count("left to the repair"); n < 15-closeWorkers-closesPerSeries {
			t.Errorf("%d candles were left", n)
		}
		r.store.set(func() { r.store.candleAway, r.store.repairAway = nil, nil })
		r.live(2 * time.Minute)
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		for k := range 16 {
			if open := time.Date(2000, time.January, 1, 0, k, 0, 0, time.UTC); !r.store.has(bitcoin, open) {
				t.Errorf("the candle of %s is not stored", open.Format(time.TimeOnly))
			}
		}
	})
}

func TestWhatWaitsIsStoredAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil, bitcoin)
		r.store.candleAway = errAway
		r.start(t)
		r.live(3*time.Minute + time.Second)
		r.store.set(func() { r.store.candleAway = nil })
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if n := len(r.store.closed[bitcoin]); n != 4 { // with that of before the start
			t.Errorf("%d candles were stored at the end", n)
		}
		if n := r.store.repairing[bitcoin]; n != 0 {
			t.Errorf("%d repairs are still running", n)
		}
	})
}

// A database that does not even refuse must not keep the service from ending.
func TestAServiceStopsWhateverItsStoresDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(forecasting, two...)
		r.store.hang = true
		r.start(t)
		r.store.set(func() { r.store.candleAway, r.store.otherAway, r.store.repairAway = errAway, errAway, errAway })
		r.live(20 * time.Minute)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		for _, text := range []string{"samples are lost", "forecasts are lost", "left to the repair"} {
			if r.log.count(text) == 0 {
				t.Errorf("the log does not say that %s", text)
			}
		}
		if held := r.Status().Symbols[0].Held; held != 20*60/5 { // the first place was too early
			t.Errorf("%d samples were held", held)
		}
	})
}
