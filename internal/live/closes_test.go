package live

import (
	"errors"
	"fmt"
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

func TestClosedCandlesArePublishedOldestFirst(t *testing.T) {
	for range 10 { // waits are drawn by lot
		inBubble(t, nil, two, func(t *testing.T, r *rig) {
			r.live(30 * time.Second)
			r.store.set(func() { r.store.candleAway = errAway })
			r.live(95 * time.Second)
			// Of two more, the newer is told of first.
			first := midnightOf(r).Add(2 * time.Minute)
			for _, open := range []time.Time{first.Add(time.Minute), first} {
				r.exchange.push(Event{Kline: closeOf(bitcoin, open, open.Add(2*time.Minute))})
			}
			synctest.Wait()
			r.store.set(func() { r.store.candleAway = nil })
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			for symbol, want := range map[market.Symbol]int{bitcoin.Symbol: 1 + 4, ether.Symbol: 1 + 2} {
				candles := r.news.candles[symbol]
				if len(candles) != want {
					t.Errorf("%d candles of %s are published, want %d", len(candles), symbol, want)
				}
				for k := 1; k < len(candles); k++ {
					if was, is := candles[k-1].Candle.OpenTime, candles[k].Candle.OpenTime; !is.After(was) {
						t.Errorf("%s of %s is published after %s", is.Format(time.TimeOnly), symbol, was.Format(time.TimeOnly))
					}
				}
			}
		})
	}
}

// Of more series than candles are stored at once, each waits because of its own
// candles only.
func TestACandleThatIsRefusedKeepsNoOtherSeriesWaiting(t *testing.T) {
	series := []market.Series{bitcoin}
	for k := range 2 * parallelCloses {
		series = append(series, market.Series{Symbol: market.Symbol(fmt.Sprintf("BAD%dUSDT", k)), Interval: market.Minute1})
	}
	inBubble(t, nil, series, func(t *testing.T, r *rig) {
		r.store.set(func() {
			r.store.refuseOne = func(of market.Series, _ market.Candle) error {
				if of != bitcoin {
					return errors.New("syntax error")
				}
				return nil
			}
		})
		for minute := range 3 {
			r.live(time.Minute)
			r.push(time.Second)
			synctest.Wait()
			open := midnightOf(r).Add(time.Duration(minute) * time.Minute)
			if r.store.closed[bitcoin][open] != 1 {
				t.Errorf("the candle of %s is not stored as it closes", open.Format(time.TimeOnly))
			}
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
				if n, counted := r.log.count("left to the repair"), r.Status().Symbols[0].Left; n != 1 || counted != 1 {
					t.Errorf("it was logged %d times and counted %d times", n, counted)
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
		if n := r.log.count("left to the repair"); n < 15-closesPerSeries || n != int(r.Status().Symbols[0].Left) {
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
