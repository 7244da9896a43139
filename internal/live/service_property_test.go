package live

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// step is how many seconds pass between pushes, which is how often the exchange
// tells of a candle.
const step = 2

// trouble is something that goes wrong for a while.
type trouble struct {
	kind   string
	at     int // seconds since the start
	lasts  int // seconds, those that last
	symbol market.Symbol
}

var troubles = []string{
	"lost", "lost", "refused", "silent symbol", "silent", "shutdown", "duplicates", "disorder",
	"late ends", "missed ends", "ticks away", "ticks hang", "candles away", "repairs away", "checks away", "forecasts away", "asleep",
}

func drawTroubles(t *rapid.T, within int, symbols []market.Series) []trouble {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) trouble {
		return trouble{
			kind:   rapid.SampledFrom(troubles).Draw(t, "kind"),
			at:     step * rapid.IntRange(0, within/step).Draw(t, "at"),
			lasts:  rapid.SampledFrom([]int{2, 4, 10, 30, 90, 400}).Draw(t, "lasts"),
			symbol: rapid.SampledFrom(symbols).Draw(t, "series").Symbol,
		}
	}), 0, 25).Draw(t, "troubles")
}

// at returns the troubles of a kind at a second.
func at(all []trouble, kind string, second int) (list []trouble) {
	for _, t := range all {
		if t.kind == kind && t.at <= second && second < t.at+t.lasts {
			list = append(list, t)
		}
	}
	return list
}

// trouble makes the exchange and the stores behave as the troubles of a second
// want it.
func (r *rig) trouble(all []trouble, second int) {
	going := func(kind string) bool { return len(at(all, kind, second)) > 0 }
	when := func(kind string, err error) error {
		if going(kind) {
			return err
		}
		return nil
	}
	r.store.set(func() {
		r.store.ticksAway, r.store.hang = when("ticks away", errAway), going("ticks hang")
		r.store.candleAway = when("candles away", errAway)
		r.store.repairAway = when("repairs away", errAway)
		r.store.checkAway = when("checks away", errAway)
		r.store.otherAway = when("forecasts away", errAway)
	})
	r.exchange.set(func() {
		r.exchange.refuse = func() error { return when("refused", errAway) }
		r.exchange.alter = func(c *fakeConnection, e Event) []Event {
			silenced := at(all, "silent symbol", second)
			if going("silent") || slices.ContainsFunc(silenced, func(t trouble) bool { return t.symbol == e.Kline.Symbol }) {
				return nil
			}
			events := []Event{e}
			switch {
			case e.Kline.Closed && going("missed ends"):
				return nil
			case e.Kline.Closed && going("late ends"), !e.Kline.Closed && second%6 == 0 && going("disorder"):
				late := time.Duration(1+second%9) * time.Second
				time.AfterFunc(late, func() { c.give(e) })
				return nil
			case going("duplicates"):
				events = append(events, e)
			}
			return events
		}
	})
	for _, t := range all {
		if t.at != second {
			continue
		}
		switch t.kind {
		case "lost":
			r.exchange.drop()
		case "shutdown":
			r.exchange.push(Event{Shutdown: true})
		case "asleep":
			r.clock.forward(time.Duration(t.lasts) * time.Second)
		}
	}
}

// An hour of a market in which everything goes wrong, and then some minutes in
// which nothing does.
func TestAnHourOfTroubleIsAccountedFor(t *testing.T) {
	series := []market.Series{bitcoin, ether, solana}
	const troubled, calm = 55 * 60, 8 * 60
	rapid.Check(t, func(rt *rapid.T) {
		all := drawTroubles(rt, troubled-400, series)
		rotate := rapid.SampledFrom([]time.Duration{3 * time.Minute, 20 * time.Minute, time.Hour}).Draw(rt, "rotation")
		ranBefore := rapid.Bool().Draw(rt, "ran before")
		var faults faultList
		synctest.Test(t, func(t *testing.T) {
			faults = liveThrough(t, series, all, rotate, ranBefore, troubled, calm)
		})
		if len(faults) > 0 {
			rt.Fatal(strings.Join(faults, "\n"))
		}
	})
}

// faultList collects what is wrong, which is told outside of the bubble so that
// it is shrunk.
type faultList []string

func (f *faultList) Errorf(format string, arguments ...any) {
	*f = append(*f, fmt.Sprintf(format, arguments...))
}

// liveThrough runs a service through troubles, for so many seconds with and then
// without them, and returns what is wrong then.
func liveThrough(
	t *testing.T, series []market.Series, all []trouble, rotate time.Duration, ranBefore bool, troubled, calm int,
) faultList {
	var faults faultList
	time.Sleep(100 * time.Millisecond)
	r := newRig(func(c *Config) {
		forecasting(c)
		c.Timing.RotateAfter = rotate
	}, series...)
	if ranBefore {
		for _, s := range series {
			r.store.accounted[s.Symbol] = r.clock.Now().Truncate(sampled).Add(-time.Hour)
		}
	}
	r.start(t)
	for second := 0; second < troubled+calm; second += step {
		r.trouble(all, second)
		r.push(step * time.Second)
		time.Sleep(step * time.Second)
	}
	synctest.Wait()
	end := r.clock.Now()
	if err := r.stop(); err != nil {
		faults.Errorf("%v", err)
	}
	for _, text := range append(r.store.disorder, r.store.misscored...) {
		faults.Errorf("%s", text)
	}
	for _, s := range series {
		begin := r.started
		if ranBefore {
			begin = r.started.Truncate(sampled).Add(-time.Hour)
		}
		r.checkPlaces(&faults, s.Symbol, ceil(begin, sampled), end.Truncate(sampled).Add(sampled))
		r.store.mu.Lock()
		for open := s.Interval.Floor(r.started); s.Interval.Next(open).Before(end.Add(-10 * time.Second)); open = s.Interval.Next(open) {
			if !r.store.has(s, open) {
				faults.Errorf("the candle of %s from %s is neither stored nor repaired", s, open.Format(time.TimeOnly))
			}
			if n := r.store.closed[s][open]; n > 1 {
				faults.Errorf("the candle of %s from %s was stored %d times", s, open.Format(time.TimeOnly), n)
			}
			// Some candle closed while it was calm, and had all before its period checked.
			lastPeriod := end.Add(-time.Duration(calm) * time.Second).Truncate(checkEvery)
			if s.Interval.Next(open).Before(lastPeriod) && r.store.closed[s][open] > 0 && !r.store.isChecked(s, open) {
				faults.Errorf("the candle of %s from %s was never checked: %+v", s, open.Format(time.TimeOnly), r.store.checks[s])
			}
		}
		r.store.mu.Unlock()
		prices := r.news.prices[s.Symbol]
		for k := 1; k < len(prices); k++ {
			was, is := prices[k-1], prices[k]
			later := is.Candle.OpenTime.After(was.Candle.OpenTime)
			if same := is.Candle.OpenTime.Equal(was.Candle.OpenTime); !later && !(same && !was.Closed && (is.Closed || is.EventTime.After(was.EventTime))) {
				faults.Errorf("%+v was published after %+v", is, was)
			}
		}
		status := r.Status().Symbols[slices.Index(series, s)]
		if want := int64(len(r.store.ticks[s.Symbol])); status.Samples != want || status.Held != 0 {
			faults.Errorf("status is %#v, want %d samples", status, want)
		}
		if int(status.Closed) != len(r.store.closed[s]) || len(r.news.candles[s.Symbol]) != len(r.store.closed[s]) {
			faults.Errorf("%d candles are stored, %d counted, %d published",
				len(r.store.closed[s]), status.Closed, len(r.news.candles[s.Symbol]))
		}
	}
	return faults
}
