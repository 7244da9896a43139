package live

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var two = []market.Series{bitcoin, ether}

func TestAConnectionThatIsLostIsReplacedAndWhatWasMissedRepaired(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(90 * time.Second)
		first := r.store.repairsOf(bitcoin)
		if len(first) != 1 || !first[0].since.IsZero() {
			t.Fatalf("at the start the repairs were %+v, want one of whatever is missing", first)
		}
		r.exchange.drop()
		r.live(30 * time.Second) // the candle from 00:01 to 00:02 is open
		repairs := r.store.repairsOf(bitcoin)
		if want := time.Now().UTC().Truncate(time.Minute).Add(-2 * time.Minute); len(repairs) != 2 || !repairs[1].since.Equal(want) {
			t.Errorf("after the loss the repairs were %+v, want another since %s, the last closed candle", repairs, want)
		}
		status := r.Status()
		if !status.Connected || status.Connections[0].Opened != 2 || status.Connections[0].Rotations != 0 {
			t.Errorf("status is %#v", status)
		}
	})
}

func TestARotationLosesNothing(t *testing.T) {
	rotating := func(c *Config) { c.Timing.RotateAfter = 2 * time.Minute }
	inBubble(t, rotating, two, func(t *testing.T, r *rig) {
		const lasts = 20 * time.Minute
		r.live(lasts)
		time.Sleep(time.Second)
		status := r.Status()
		if status.Connections[0].Rotations < 9 || status.Connections[0].Opened != status.Connections[0].Rotations+1 {
			t.Errorf("%d rotations, %d connections", status.Connections[0].Rotations, status.Connections[0].Opened)
		}
		for _, series := range two {
			// One state a second and one end a minute, but for the one of the candle
			// before the first: it came within the first second too.
			if got, want := len(r.news.prices[series.Symbol]), int(lasts/time.Second)+int(lasts/time.Minute); got != want {
				t.Errorf("%d prices of %s, want %d", got, series, want)
			}
			if got, want := len(r.news.candles[series.Symbol]), int(lasts/time.Minute); got != want {
				t.Errorf("%d candles of %s, want %d", got, series, want)
			}
			if repairs := r.store.repairsOf(series); len(repairs) != 1 {
				t.Errorf("%d repairs of %s, want that of the start", len(repairs), series)
			}
		}
		if reasons := r.store.reasons(bitcoin.Symbol); len(reasons) != 0 {
			t.Errorf("gaps: %v", reasons)
		}
		if open := r.exchange.open(); len(open) != 1 {
			t.Errorf("%d connections are open", len(open))
		}
	})
}

func TestTheOldConnectionIsHeardUntilTheNewOneDelivers(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(2 * time.Minute)
		r.exchange.set(func() { r.exchange.latency = func() time.Duration { return 4 * time.Second } })
		r.exchange.push(Event{Shutdown: true})
		for k := range 4 {
			r.live(time.Second)
			if open := r.exchange.open(); len(open) != 2 {
				t.Fatalf("%d connections are open after %d s", len(open), k+1)
			}
		}
		r.live(2 * time.Second)
		if open := r.exchange.open(); len(open) != 1 || open[0].latency == 0 {
			t.Errorf("%d connections are open after the new one delivered", len(open))
		}
		if got := r.Status().Connections[0].Rotations; got != 1 {
			t.Errorf("%d rotations", got)
		}
	})
}

func TestANewConnectionThatDeliversNothingTakesOverInTheEnd(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(2 * time.Minute)
		r.exchange.set(func() { r.exchange.latency = func() time.Duration { return time.Hour } })
		r.exchange.push(Event{Shutdown: true})
		r.live(9 * time.Second)
		if open := r.exchange.open(); len(open) != 2 {
			t.Errorf("%d connections are open within the overlap", len(open))
		}
		r.live(2 * time.Second)
		if open := r.exchange.open(); len(open) != 1 || open[0].latency == 0 {
			t.Errorf("%d connections are open after it", len(open))
		}
	})
}

func TestASuccessorThatIsLostLeavesTheOldConnection(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(2 * time.Minute)
		old := r.exchange.open()[0]
		r.exchange.set(func() { r.exchange.latency = func() time.Duration { return time.Hour } })
		r.exchange.push(Event{Shutdown: true})
		r.live(time.Second)
		r.exchange.set(func() { r.exchange.latency = nil })
		for _, c := range r.exchange.open() {
			if c != old {
				c.drop()
			}
		}
		r.live(10 * time.Second)
		if status := r.Status(); status.Connections[0].Opened != 3 || status.Connections[0].Rotations != 1 || !status.Connected {
			t.Errorf("status is %#v", status)
		}
		if reasons := r.store.reasons(bitcoin.Symbol); len(reasons) != 0 {
			t.Errorf("gaps: %v", reasons)
		}
	})
}

func TestSuccessorsThatAreLostAtOnceAreNotDialledAllTheTime(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(2 * time.Minute)
		r.exchange.set(func() { r.exchange.stillborn = true })
		r.exchange.push(Event{Shutdown: true})
		r.live(10 * time.Minute)
		if dials := len(r.exchange.dials()); dials < 10 || dials > 60 {
			t.Errorf("%d dials in ten minutes", dials)
		}
		if status := r.Status(); !status.Connected || status.Connections[0].Rotations != 0 {
			t.Errorf("status is %#v", status)
		}
	})
}

func TestAnExchangeThatAlwaysShutsDownIsNotDialledAllTheTime(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		for range 10 * 60 {
			r.exchange.push(Event{Shutdown: true})
			r.live(time.Second)
		}
		if dials := len(r.exchange.dials()); dials < 8 || dials > 60 {
			t.Errorf("%d dials in ten minutes", dials)
		}
	})
}

func TestASilentSymbolHasTheConnectionReplacedLessAndLessOften(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(time.Minute)
		r.exchange.set(func() {
			r.exchange.alter = func(_ *fakeConnection, e Event) []Event {
				if e.Kline.Symbol == ether.Symbol {
					return nil
				}
				return []Event{e}
			}
		})
		r.live(63 * time.Minute)
		// After 1, 2, 4, 8, 15, 15 and 15 minutes of silence.
		if status := r.Status(); status.Connections[0].Opened != 1+7 || status.Connections[0].Rotations != 0 {
			t.Errorf("%d connections, %d rotations", status.Connections[0].Opened, status.Connections[0].Rotations)
		}
		if reasons := r.store.reasons(bitcoin.Symbol); len(reasons) != 0 {
			t.Errorf("gaps of the other one: %v", reasons)
		}
		// Once at the start, and then whenever a connection was replaced; the candles
		// that are missed meanwhile are asked for when the next state comes.
		if of, ofOther := len(r.store.repairsOf(ether)), len(r.store.repairsOf(bitcoin)); of != 1+7 || ofOther != 1 {
			t.Errorf("%d repairs, and %d of the other one", of, ofOther)
		}
		r.exchange.set(func() { r.exchange.alter = nil })
		r.live(time.Minute)
		if reasons := r.store.reasons(ether.Symbol); len(reasons) != 1 || reasons[0] != "silent 00:01:10 755" {
			t.Errorf("gaps: %v", reasons)
		}
		before := r.Status().Connections[0].Opened
		r.exchange.set(func() {
			r.exchange.alter = func(*fakeConnection, Event) []Event { return nil }
		})
		r.live(61 * time.Second)
		if after := r.Status().Connections[0].Opened; after != before+1 {
			t.Errorf("a minute after it spoke again and fell silent there were %d new connections", after-before)
		}
	})
}

// hush has the exchange tell of ether so often only.
func (r *rig) hush(every time.Duration) {
	var last time.Time
	r.exchange.set(func() {
		r.exchange.alter = func(_ *fakeConnection, e Event) []Event {
			at := e.Kline.EventTime
			switch {
			case e.Kline.Symbol != ether.Symbol, at.Equal(last): // on another connection
				return []Event{e}
			case at.Sub(last) < every:
				return nil
			}
			last = at
			return []Event{e}
		}
	})
}

func TestASymbolThatSeldomTradesCostsFewConnections(t *testing.T) {
	for every, want := range map[time.Duration]int64{
		30 * time.Second: 1, 90 * time.Second: 2, 3 * time.Minute: 3, 10 * time.Minute: 5,
	} {
		inBubble(t, nil, two, func(t *testing.T, r *rig) {
			r.live(time.Minute)
			r.hush(every)
			r.live(4 * time.Hour)
			if got := r.Status().Connections[0].Opened; got > want {
				t.Errorf("an event every %s had %d connections opened, want %d", every, got, want)
			}
		})
	}
}

func TestASymbolThatIsLivelyAgainIsMissedSoon(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(time.Minute)
		r.hush(10 * time.Minute)
		r.live(time.Hour)
		r.hush(0)
		r.live(longestPatience + time.Minute)
		before := r.Status().Connections[0].Opened
		r.hush(time.Hour)
		r.live(61 * time.Second)
		if after := r.Status().Connections[0].Opened; after != before+1 {
			t.Errorf("after a minute of silence there were %d new connections", after-before)
		}
	})
}

func TestRefusedDialsAreTriedAgainLater(t *testing.T) {
	away := errAway
	refusing := func(c *Config) {
		c.Dialer.(*fakeExchange).refuse = func() error { return away }
	}
	inBubble(t, refusing, two, func(t *testing.T, r *rig) {
		r.live(30 * time.Minute)
		dials := r.exchange.dials()
		if len(dials) < 30 || len(dials) > 120 {
			t.Errorf("%d dials in 30 minutes", len(dials))
		}
		for k := range len(dials) - 1 {
			if bound := min(500*time.Millisecond<<min(k, 20), time.Minute); dials[k+1].Sub(dials[k]) > bound+time.Millisecond {
				t.Errorf("wait %d was %s, above %s", k, dials[k+1].Sub(dials[k]), bound)
			}
		}
		if status := r.Status(); status.Connected || !status.Connections[0].Since.Equal(r.started) {
			t.Errorf("status is %#v", status)
		}
		r.exchange.set(func() { r.exchange.refuse = nil })
		r.live(2 * time.Minute)
		if !r.Status().Connected {
			t.Error("not connected")
		}
		if gaps := r.store.gaps[bitcoin.Symbol]; len(gaps) == 0 || gaps[0].Reason != Disconnected || gaps[0].Missing < 30*60/5 {
			t.Errorf("gaps: %v", r.store.reasons(bitcoin.Symbol))
		}
	})
}

func TestADialThatWillNotSucceedIsTriedOnceAMinute(t *testing.T) {
	refusing := func(c *Config) {
		c.Dialer.(*fakeExchange).refuse = func() error { return market.Errorf(market.Forbidden, "not from here") }
	}
	inBubble(t, refusing, two, func(t *testing.T, r *rig) {
		time.Sleep(10*time.Minute + time.Second)
		if dials := len(r.exchange.dials()); dials != 11 {
			t.Errorf("%d dials in ten minutes", dials)
		}
	})
}

func TestTheBackoffBeginsAnewAfterAStableConnection(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		for range 12 {
			r.exchange.drop()
			time.Sleep(time.Minute)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		r.exchange.drop()
		lost := time.Now()
		time.Sleep(time.Minute)
		dials := r.exchange.dials()
		if wait := dials[len(dials)-1].Sub(lost); wait > 500*time.Millisecond {
			t.Errorf("the wait after a stable connection was %s", wait)
		}
	})
}

func TestManySeriesAreSpreadOverConnections(t *testing.T) {
	var many []market.Series
	for k := range 2*seriesOnConnection + 1 {
		many = append(many, market.Series{Symbol: market.Symbol(fmt.Sprintf("COIN%dUSDT", k)), Interval: market.Minute1})
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil, many...).start(t)
		var sizes []int
		for _, c := range r.exchange.open() {
			sizes = append(sizes, len(c.series))
		}
		slices.Sort(sizes)
		if !slices.Equal(sizes, []int{1, seriesOnConnection, seriesOnConnection}) {
			t.Errorf("series on connections: %v", sizes)
		}
		if !r.Status().Connected {
			t.Error("not connected")
		}
		r.exchange.open()[0].drop()
		synctest.Wait()
		if r.Status().Connected {
			t.Error("connected without one of the connections")
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}
