package live

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// without leaves out the ends of candles, until they are late by so much.
func without(late time.Duration) func(*fakeConnection, Event) []Event {
	return func(c *fakeConnection, e Event) []Event {
		if !e.Kline.Closed {
			return []Event{e}
		}
		if late > 0 {
			time.AfterFunc(late, func() { c.give(e) })
		}
		return nil
	}
}

func TestACandleOfWhichTheEndIsMissedIsRepaired(t *testing.T) {
	inBubble(t, nil, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(90 * time.Second)
		r.exchange.set(func() { r.exchange.alter = without(0) })
		r.live(time.Minute) // the candle from 00:01 ends
		repairs := r.store.repairsOf(bitcoin)
		if len(repairs) != 2 {
			t.Fatalf("repairs: %+v", repairs)
		}
		opened := time.Date(2000, time.January, 1, 0, 2, 0, 0, time.UTC)
		if !repairs[1].since.Equal(opened.Add(-2*time.Minute)) || repairs[1].began.Sub(opened) < graceForClose ||
			repairs[1].began.Sub(opened) > graceForClose+2*time.Second {
			t.Errorf("repair: %+v", repairs[1])
		}
		// Now that it is known, the next one goes on from there.
		r.live(time.Minute)
		if repairs = r.store.repairsOf(bitcoin); len(repairs) != 3 || !repairs[2].since.Equal(opened.Add(-time.Minute)) {
			t.Errorf("repairs: %+v", repairs)
		}
	})
}

func TestALateEndNeedsNoRepair(t *testing.T) {
	inBubble(t, nil, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(90 * time.Second)
		r.exchange.set(func() { r.exchange.alter = without(4 * time.Second) })
		r.live(10 * time.Minute)
		if repairs := r.store.repairsOf(bitcoin); len(repairs) != 1 {
			t.Errorf("repairs: %+v", repairs)
		}
		if n := len(r.store.closed[bitcoin]); n != 12 {
			t.Errorf("%d candles are stored", n)
		}
	})
}

func TestAStartWithinACandleHasTheOneBeforeRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// One second after a candle closed a repair does not yet see it as closed.
		time.Sleep(time.Minute + time.Second)
		r := newRig(nil, bitcoin).start(t)
		r.exchange.set(func() { r.exchange.alter = without(0) })
		r.live(20 * time.Second)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if !r.store.has(bitcoin, r.started.Add(-time.Minute-time.Second)) {
			t.Errorf("repairs: %+v", r.store.repairsOf(bitcoin))
		}
	})
}

func TestARepairIsTriedAgainAndAskedForOnceMoreOnly(t *testing.T) {
	for name, failure := range map[string]error{"away": errAway, "unknown": errors.New("broken pipe")} {
		t.Run(name, func(t *testing.T) { repairAgain(t, failure) })
	}
}

func repairAgain(t *testing.T, failure error) {
	inBubble(t, nil, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.store.set(func() { r.store.repairFor, r.store.repairAway = 20*time.Second, failure })
		r.live(5 * time.Second)
		for range 5 {
			r.exchange.drop()
			r.live(2 * time.Second)
		}
		r.live(3 * time.Minute)
		failed := len(r.store.repairsOf(bitcoin))
		if failed < 4 || failed > 12 {
			t.Errorf("%d repairs failed in three minutes", failed)
		}
		r.store.set(func() { r.store.repairAway = nil })
		r.live(10 * time.Minute)
		succeeded := 0
		for _, repair := range r.store.repairsOf(bitcoin) {
			if repair.err == nil {
				succeeded++
			}
		}
		if succeeded < 1 || succeeded > 2 {
			t.Errorf("%d repairs succeeded, want one, or one more that was asked for meanwhile", succeeded)
		}
	})
}

func TestARepairThatWillNotSucceedWaitsForTheNextCandle(t *testing.T) {
	patient := func(c *Config) { c.Timing.SilentAfter = time.Hour }
	inBubble(t, patient, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.exchange.drop()
		r.store.set(func() { r.store.repairAway = market.Errorf(market.Forbidden, "no") })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if repairs := r.store.repairsOf(bitcoin); len(repairs) != 2 {
			t.Errorf("repairs: %+v", repairs)
		}
		r.live(time.Minute)
		if repairs := r.store.repairsOf(bitcoin); len(repairs) <= 2 {
			t.Errorf("repairs after a candle closed: %+v", repairs)
		}
	})
}

func TestARepairThatFailedForGoodIsAskedForWhenACandleCloses(t *testing.T) {
	forbidden := func(c *Config) { c.Repairer.(*fakeStore).repairAway = market.Errorf(market.Forbidden, "no") }
	inBubble(t, forbidden, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(90 * time.Second)
		r.store.set(func() { r.store.repairAway = nil })
		r.live(time.Minute)
		repairs := r.store.repairsOf(bitcoin)
		if last := repairs[len(repairs)-1]; last.err != nil || !last.since.IsZero() {
			t.Errorf("repairs: %+v", repairs)
		}
		r.live(5 * time.Minute)
		if after := r.store.repairsOf(bitcoin); len(after) != len(repairs) {
			t.Errorf("%d more repairs where nothing is missing", len(after)-len(repairs))
		}
	})
}

func TestCandlesStoredBeforeAGapWasFilledCountAfterwards(t *testing.T) {
	f := &follower{series: bitcoin}
	minute := func(k int) time.Time { return midnight.Add(time.Duration(k) * time.Minute) }
	for k := 4; k < 8; k++ {
		if f.storedClosed(minute(k)) {
			t.Errorf("complete with minute %d", k)
		}
	}
	f.repaired(minute(4).Add(30 * time.Second))
	if !f.complete.Equal(minute(7)) {
		t.Errorf("complete until %s", f.complete)
	}
	f.repaired(minute(5)) // one that took longer
	if !f.complete.Equal(minute(7)) || !f.storedClosed(minute(8)) || f.storedClosed(minute(10)) {
		t.Errorf("complete until %s", f.complete)
	}
}

func TestSeriesAreRepairedAFewAtATime(t *testing.T) {
	var many []market.Series
	for k := range 40 {
		many = append(many, market.Series{Symbol: market.Symbol("COIN" + string(rune('A'+k)) + "USDT"), Interval: market.Hour1})
	}
	slow := func(c *Config) { c.Repairer.(*fakeStore).repairFor = time.Second }
	inBubble(t, slow, many, func(t *testing.T, r *rig) {
		time.Sleep(500 * time.Millisecond)
		for range 9 {
			time.Sleep(time.Second)
			r.store.mu.Lock()
			running := 0
			for _, n := range r.store.repairing {
				running += n
			}
			r.store.mu.Unlock()
			if running != parallelRepairs {
				t.Errorf("%d repairs are running", running)
			}
		}
	})
}
