package forecast

import (
	"context"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var trainFineOnce = sync.OnceValues(func() (*memory, error) {
	stores := newFineMemory(14000)
	learnt := market.TimeRange{Start: start, End: stores.candles[btc][12000].OpenTime}
	_, _, err := NewForecaster(stores, stores).Train(context.Background(), btc, learnt, nil)
	return stores, err
})

// trainedFineStores holds 14,000 candles of both pairs with the finer ones they are
// made of, and a model that learnt from the first 12,000 of them.
func trainedFineStores(t testing.TB) *memory {
	t.Helper()
	stores, err := trainFineOnce()
	if err != nil {
		t.Fatal(err)
	}
	return stores
}

// agree compares a forecast with what a model makes of a row, to the last bit.
func agree(t testing.TB, m *model, l look, p progress, got Forecast) {
	t.Helper()
	o, err := m.predict(new(vision), l, p)
	if err != nil {
		t.Fatal(err)
	}
	if want := o.at(p.last); !reflect.DeepEqual(got.Prediction, want) ||
		got.ProbabilityAboveOpen != o.aboveOpen || got.ProbabilityAnalytic != o.analytic ||
		got.Last != p.last || got.Open != p.open || got.Elapsed != p.elapsed || !got.OpenTime.Equal(l.open) {
		t.Errorf("the candle from %s after %v of it: live %+v, in training %+v and %+v", l.open, p.elapsed, got, want, o)
	}
	for b, name := range baselineNames {
		if want := m.baseline(name, l, p).at(p.last); !reflect.DeepEqual(got.Baselines[b].Prediction, want) {
			t.Errorf("the candle from %s after %v of it: %s is %+v live and %+v in training",
				l.open, p.elapsed, name, got.Baselines[b].Prediction, want)
		}
	}
}

// stateAfter is the state of the candle that opens then, by the finer candles that
// have closed of it.
func stateAfter(parts []market.Candle, at time.Time) OpenCandle {
	first, end := position(parts, btc.Interval.Floor(at)), position(parts, at)
	c := soFar(parts[first:end])
	c.Source, c.Parts = btc.Interval, 1
	return OpenCandle{Series: btc, At: at, Candle: c}
}

// What is known live within a candle is what training knew: the same to the last bit,
// whether it comes from finer candles or from the state of the open one.
func TestLiveAndTrainingAgreeWithinTheCandle(t *testing.T) {
	stores := trainedFineStores(t)
	for _, finer := range []market.Interval{market.Minute1, market.Minute5} {
		only := stores.withoutCandles()
		for series, candles := range stores.candles {
			if series.Interval == finer || series.Interval == btc.Interval {
				only.candles[series] = candles
			}
		}
		f := NewForecaster(only, only)
		r := market.TimeRange{Start: stores.candles[btc][12000].OpenTime, End: stores.candles[btc][12300].OpenTime}
		s, err := f.samples(t.Context(), btc, r)
		if err != nil {
			t.Fatal(err)
		}
		parts := only.candles[market.Series{Symbol: btc.Symbol, Interval: finer}]
		opening := make([]float64, len(openingNames))
		inside := 0
		for k := range s.rows {
			p := s.rows[k].progress
			if p.atOpen() {
				continue
			}
			inside++
			at := instantOf(s, k)
			state := stateAfter(parts, at)
			if live := progressOf(btc.Interval, state.Candle, at); live != p {
				t.Fatalf("%s after %v: live %+v, in training %+v", finer, p.elapsed, live, p)
			}
			got, err := f.ForecastOpen(t.Context(), state)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, f.loaded[btc].model, s.look(opening, k), p, got)
		}
		if finer == market.Minute1 && inside != 300*quarters || inside < 300*2 {
			t.Errorf("%s: %d instants within 300 candles", finer, inside)
		}
	}
}

// sampledMemory remembers states of open candles, too.
type sampledMemory struct {
	*memory
	states []OpenCandle
	asked  int
}

func (m *sampledMemory) InsideStates(_ context.Context, series market.Series, r market.TimeRange) ([]OpenCandle, error) {
	m.asked++
	var states []OpenCandle
	for _, s := range m.states {
		if s.Series == series && r.Contains(s.Candle.OpenTime) {
			states = append(states, s)
		}
	}
	return states, nil
}

// The same with the states that were sampled live, at instants that no finer candle
// ends at.
func TestLiveAndTrainingAgreeOnSampledStates(t *testing.T) {
	fine := trainedFineStores(t)
	stores := &sampledMemory{memory: fine.withoutCandles()}
	eth, fives := btc, btc
	eth.Symbol, fives.Interval = "ETHUSDT", market.Minute5
	stores.candles[btc], stores.candles[eth] = fine.candles[btc], fine.candles[eth]
	minutes := fine.candles[market.Series{Symbol: btc.Symbol, Interval: market.Minute1}]
	const first, count = 12000, 300
	r := market.TimeRange{Start: fine.candles[btc][first].OpenTime, End: fine.candles[btc][first+count].OpenTime}
	want := map[time.Time]OpenCandle{}
	for k := range count {
		for q, passed := range []time.Duration{63 * time.Second, 421 * time.Second, 14 * time.Minute} {
			if k%10 != q { // some are missing
				at := r.Start.Add(time.Duration(k)*15*time.Minute + passed)
				state := stateAfter(minutes, at)
				state.At = at
				stores.states = append(stores.states, state)
				want[at] = state
			}
		}
	}
	f := NewForecaster(stores, stores)
	s, err := f.samples(t.Context(), btc, r)
	if err != nil {
		t.Fatal(err)
	}
	if s.len() != count+len(want) {
		t.Errorf("%d rows of %d candles and %d states", s.len(), count, len(want))
	}
	opening := make([]float64, len(openingNames))
	for k := range s.rows {
		p := s.rows[k].progress
		if p.atOpen() {
			continue
		}
		state, ok := want[instantOf(s, k)]
		if !ok {
			t.Fatalf("a row as of %s, of which there is no state", instantOf(s, k))
		}
		got, err := f.ForecastOpen(t.Context(), state)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f.loaded[btc].model, s.look(opening, k), p, got)
	}

	// Finer candles tell of all that lies between, and are preferred.
	told := fine.candles[fives]
	stores.candles[fives] = told[position(told, r.Start):position(told, r.Start.Add(100*15*time.Minute))]
	if s, err = f.samples(t.Context(), btc, r); err != nil {
		t.Fatal(err)
	}
	for k := range s.rows {
		_, sampled := want[instantOf(s, k)]
		if byFives := s.open(k).Before(r.Start.Add(100 * 15 * time.Minute)); !s.rows[k].atOpen() && sampled == byFives {
			t.Fatalf("the row as of %s: sampled %t", instantOf(s, k), sampled)
		}
	}
	stores.candles[fives], stores.asked = told, 0
	if _, err = f.samples(t.Context(), btc, r); err != nil || stores.asked != 0 {
		t.Errorf("asked %d times for what finer candles tell, %v", stores.asked, err)
	}
}

// instantOf is when what a row knows was known.
func instantOf(s *samples, row int) time.Time {
	return s.open(row).Add(time.Duration(math.Round(s.rows[row].elapsed * float64(btc.Interval.Length()))))
}

// scrambled is another future: everything that closes after an instant is changed,
// and some of the end of it missing.
func scrambled(t *rapid.T, series market.Series, candles []market.Candle, at time.Time) []market.Candle {
	changed := slices.Clone(candles)
	n := 0
	for n < len(changed) && !series.Interval.Next(changed[n].OpenTime).After(at) {
		n++
	}
	factor := rapid.Float64Range(0.01, 100).Draw(t, "factor of "+series.String())
	for k := range changed[n:] {
		c := &changed[n+k]
		c.Open, c.High, c.Low, c.Close = c.Open*factor, c.High*factor*2, c.Low*factor/2, c.Close/factor
		c.Volume *= factor
		c.TakerBuyVolume = market.Optional[float64]{}
	}
	return changed[:rapid.IntRange(n, len(changed)).Draw(t, "length of "+series.String())]
}

// future is a store whose candles that close after an instant are others.
func future(t *rapid.T, stores *memory, r market.TimeRange, at time.Time) *memory {
	other := stores.withoutCandles()
	for _, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
		for _, interval := range []market.Interval{market.Minute15, market.Minute5, market.Minute1} {
			series := market.Series{Symbol: symbol, Interval: interval}
			candles := stores.candles[series]
			other.candles[series] = scrambled(t, series, candles[position(candles, r.Start):position(candles, r.End)], at)
		}
	}
	return other
}

// Rows of training may know nothing later than their own instants: neither what comes
// after their candle nor the rest of its inside.
func TestNothingLaterChangesARowOfTraining(t *testing.T) {
	stores := newFineMemory(900)
	r := market.TimeRange{Start: start, End: start.AddDate(1, 0, 0)}
	rows := func(t interface{ Fatal(...any) }, m *memory) *samples {
		s, err := NewForecaster(m, nil).samples(context.Background(), btc, r)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := rows(t, stores)
	same := func(a, b *samples, k, j int) bool {
		x, y := make([]float64, len(openingNames)), make([]float64, len(openingNames))
		l, m := a.look(x, k), b.look(y, j)
		p, q := a.rows[k].progress, b.rows[j].progress
		return sameRow(x, y) && l.usual == m.usual && l.open.Equal(m.open) && sameRow(
			[]float64{p.elapsed, p.open, p.high, p.low, p.last, p.volume, p.taker},
			[]float64{q.elapsed, q.open, q.high, q.low, q.last, q.volume, q.taker})
	}
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		at := start.Add(time.Duration(rapid.IntRange(window*15+1, 900*15).Draw(t, "minutes")) * time.Minute)
		after := rows(t, future(t, stores, r, at))
		known := map[time.Time]int{}
		for j := range after.rows {
			known[instantOf(after, j)] = j
		}
		for k := range before.rows {
			if instantOf(before, k).After(at) {
				break
			}
			// A candle of which the close is missing has no rows at all.
			j, ok := known[instantOf(before, k)]
			if !ok && !btc.Interval.Next(before.open(k)).After(at) {
				t.Fatalf("the row of %s is not there any more", instantOf(before, k))
			}
			// The inside of a candle is known where all of it is: of the newest one it may
			// be missing, but not another.
			if ok {
				if !same(before, after, k, j) {
					t.Fatalf("what comes after %s changed the row of %s:\n%+v\n%+v",
						at, instantOf(before, k), before.rows[k], after.rows[j])
				}
				compared++
			}
		}
	})
	if compared < 10000 {
		t.Errorf("only %d rows were compared", compared)
	}
}

func TestNothingLaterChangesTheForecastOfAnOpenCandle(t *testing.T) {
	stores := trainedFineStores(t)
	minutes := stores.candles[market.Series{Symbol: btc.Symbol, Interval: market.Minute1}]
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(12000, 13998).Draw(t, "candle")
		c := stores.candles[btc][k]
		at := c.OpenTime.Add(time.Duration(rapid.IntRange(1, 14).Draw(t, "minutes")) * time.Minute)
		state := stateAfter(minutes, at)
		state.At = at.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)-1).Draw(t, "passed")))
		want, err := NewForecaster(stores, stores).ForecastOpen(t.Context(), state)
		if err != nil {
			t.Fatal(err)
		}

		near := market.TimeRange{Start: c.OpenTime.Add(-reach(btc.Interval)), End: c.OpenTime.AddDate(0, 0, 1)}
		other := future(t, stores, near, at)
		f := NewForecaster(other, other)
		// Later states have been seen, of this candle and of others.
		for range rapid.IntRange(0, 3).Draw(t, "states seen") {
			open := c.OpenTime.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "candles later")) * 15 * time.Minute)
			later := open.Add(time.Duration(rapid.Int64Range(0, int64(15*time.Minute)-1).Draw(t, "later")))
			then := c
			then.OpenTime = open
			_, err := f.ForecastOpen(t.Context(), stateOf(then, later, c.Open*rapid.Float64Range(0.5, 2).Draw(t, "later move")))
			if err != nil && market.ErrorCode(err) != market.Unavailable {
				t.Fatal(err)
			}
		}
		if got, err := f.ForecastOpen(t.Context(), state); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("with another future %+v, %v; want %+v", got, err, want)
		}
	})
}
