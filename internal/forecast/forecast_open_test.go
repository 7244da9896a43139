package forecast

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// counted counts the looks into a memory: each asks for a model first.
type counted struct {
	*memory
	looks atomic.Int64
}

func (c *counted) CurrentModel(ctx context.Context, series market.Series, learntBy time.Time) (Model, error) {
	c.looks.Add(1)
	return c.memory.CurrentModel(ctx, series, learntBy)
}

var trainOnce = sync.OnceValues(func() (*memory, error) {
	stores := newMemory(14000)
	learnt := market.TimeRange{Start: start, End: stores.candles[btc][12000].OpenTime}
	for _, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
		series := market.Series{Symbol: symbol, Interval: market.Minute15}
		if _, _, err := NewForecaster(stores, stores).Train(context.Background(), series, learnt, nil); err != nil {
			return nil, err
		}
	}
	return stores, nil
})

// trainedStores holds 14,000 candles of both pairs, and models that learnt from
// the first 12,000 of them. A test may change it.
func trainedStores(t testing.TB) *counted {
	t.Helper()
	stores, err := trainOnce()
	if err != nil {
		t.Fatal(err)
	}
	own := stores.withoutCandles()
	own.models, own.contents, own.order = slices.Clone(own.models), slices.Clone(own.contents), slices.Clone(own.order)
	for series, candles := range stores.candles {
		own.candles[series] = slices.Clone(candles)
	}
	return &counted{memory: own}
}

// stateOf is the state of a candle at an instant within it, by its price then.
func stateOf(c market.Candle, at time.Time, price float64) OpenCandle {
	return OpenCandle{Series: btc, At: at, Candle: market.Candle{
		OpenTime: c.OpenTime, Open: c.Open, High: max(c.Open, price), Low: min(c.Open, price), Close: price,
		Volume: 1, TakerBuyVolume: market.Some(0.75), Source: btc.Interval, Parts: 1,
	}}
}

func TestForecastAtTheOpenIsThatOfTheCandle(t *testing.T) {
	stores := trainedStores(t)
	f := NewForecaster(stores, stores)
	for _, k := range []int{12000, 12345, 13999} {
		c := stores.candles[btc][k]
		want, err := f.Forecast(t.Context(), btc, c.OpenTime)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime, c.Open)) // which is the close before
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("candle %d: %+v, %v; want %+v", k, got, err, want)
		}
		if want.ProbabilityAboveOpen != want.ProbabilityUp || want.Open != want.Last || want.Elapsed != 0 {
			t.Errorf("candle %d opens at %v, %v elapsed, last price %v", k, want.Open, want.Elapsed, want.Last)
		}
	}
}

func TestForecastNarrowsAsTheCandlePasses(t *testing.T) {
	stores := trainedStores(t)
	f := NewForecaster(stores, stores)
	c := stores.candles[btc][13000]
	last := c.Open * 1.001
	var before Forecast
	for k, passed := range []time.Duration{0, time.Second, 5 * time.Minute, 10 * time.Minute, 14 * time.Minute, 15*time.Minute - 1} {
		got, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime.Add(passed), last))
		if err != nil {
			t.Fatal(err)
		}
		if !got.AsOf.Equal(c.OpenTime.Add(passed)) || got.Last != last || got.Open != c.Open || !got.CloseTime.Equal(c.OpenTime.Add(15*time.Minute)) {
			t.Errorf("after %s the forecast is as of %s from %v, opened at %v", passed, got.AsOf, got.Last, got.Open)
		}
		if want := float64(passed) / float64(15*time.Minute); got.Elapsed != want || got.Elapsed >= 1 {
			t.Errorf("after %s %v has elapsed", passed, got.Elapsed)
		}
		for p, prediction := range predictions(got) {
			if !(prediction.ProbabilityUp > 0 && prediction.ProbabilityUp < 1) {
				t.Errorf("after %s the probability of a rise is %v", passed, prediction.ProbabilityUp)
			}
			for b, band := range prediction.Bands {
				if !(band.Low <= prediction.Point && prediction.Point <= band.High) {
					t.Errorf("after %s the band is %+v around %v", passed, band, prediction.Point)
				}
				if k > 0 && !(band.High-band.Low < width(predictions(before)[p].Bands[b])) {
					t.Errorf("after %s the band is %+v, was %+v", passed, band, predictions(before)[p].Bands[b])
				}
			}
		}
		if k > 0 && !(got.ProbabilityAboveOpen >= before.ProbabilityAboveOpen && got.ProbabilityAboveOpen <= 1) {
			t.Errorf("after %s the probability to stay above the open is %v, was %v", passed, got.ProbabilityAboveOpen, before.ProbabilityAboveOpen)
		}
		before = got
	}
	if relative := width(before.Bands[1]) / last; relative > 1e-6 || before.ProbabilityAboveOpen < 0.999 {
		t.Errorf("at the close the band is %v wide and the probability %v", relative, before.ProbabilityAboveOpen)
	}
	// At its open price, to rise from now on is to close above the open.
	if got, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime.Add(10*time.Minute), c.Open)); err != nil || got.ProbabilityUp != got.ProbabilityAboveOpen {
		t.Errorf("back at the open, a rise has the probability %v and a close above the open %v, %v", got.ProbabilityUp, got.ProbabilityAboveOpen, err)
	}
	// Below its open and at its very end, it has fallen.
	if got, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime.Add(15*time.Minute-1), c.Open*0.999)); err != nil || got.ProbabilityAboveOpen > 0.001 {
		t.Errorf("the probability of a rise from below is %v, %v", got.ProbabilityAboveOpen, err)
	}
}

func width(b Band) float64 { return b.High - b.Low }

// predictions are the forest's and the baselines'.
func predictions(f Forecast) []Prediction {
	all := []Prediction{f.Prediction}
	for _, b := range f.Baselines {
		all = append(all, b.Prediction)
	}
	return all
}

func TestForecastWaitsForTheNewestCandle(t *testing.T) {
	stores := trainedStores(t)
	f := NewForecaster(stores, stores)
	eth := market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}
	all, others := stores.candles[btc], stores.candles[eth]
	c := all[13000]
	steps := []struct {
		passed      time.Duration
		own, others int // candles stored
		code        market.Code
		alone       bool
		looks       int64 // since the first step
	}{
		{0, 12999, 12999, market.Unavailable, false, 1},
		{200 * time.Millisecond, 13000, 12999, market.Unavailable, false, 1},
		{999 * time.Millisecond, 13000, 12999, market.Unavailable, false, 1},
		{time.Second, 13000, 12999, "", true, 2},
		{1999 * time.Millisecond, 13000, 13000, "", true, 2},
		{5 * time.Second, 13000, 13000, "", false, 3},
		{10 * time.Second, 0, 0, "", false, 3},
		{14 * time.Minute, 0, 0, "", false, 3},
	}
	for _, step := range steps {
		stores.candles[btc], stores.candles[eth] = all[:step.own], others[:step.others]
		got, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime.Add(step.passed), c.Open))
		if market.ErrorCode(err) != step.code || got.CompanionMissing != step.alone || stores.looks.Load() != step.looks {
			t.Errorf("after %s: companion missing %t, %d looks, %v", step.passed, got.CompanionMissing, stores.looks.Load(), err)
		}
	}
}

func TestForecastDoesNotWaitForACompanionForEver(t *testing.T) {
	stores := trainedStores(t)
	eth := market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}
	stores.candles[eth] = nil
	f := NewForecaster(stores, stores)
	c := stores.candles[btc][13000]
	for passed := time.Duration(0); passed < 15*time.Minute; passed += 5 * time.Second {
		if passed == 20*time.Second { // a look that fails does not undo what is known
			stores.candles[btc] = stores.candles[btc][:100]
		}
		if got, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime.Add(passed), c.Open)); err != nil || !got.CompanionMissing {
			t.Fatalf("after %s: companion missing %t, %v", passed, got.CompanionMissing, err)
		}
	}
	if looks := stores.looks.Load(); looks != companionLooks {
		t.Errorf("%d looks at one candle", looks)
	}
}

func TestEachCandleIsLookedUpOnceAndByTheNewestModel(t *testing.T) {
	stores := trainedStores(t)
	f := NewForecaster(stores, stores)
	forecast := func(k int, passed time.Duration) Model {
		t.Helper()
		c := stores.candles[btc][k]
		got, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime.Add(passed), c.Open))
		if err != nil {
			t.Fatal(err)
		}
		return got.Model
	}
	first := forecast(13000, 0)
	learnt := market.TimeRange{Start: start, End: stores.candles[btc][13000].OpenTime}
	newer, _, err := f.Train(t.Context(), btc, learnt, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Promote(t.Context(), newer.ID, "there is too little history to measure it"); err != nil {
		t.Fatal(err)
	}
	stores.looks.Store(0)
	for k := range 180 {
		if m := forecast(13000, time.Duration(k)*5*time.Second); m.ID != first.ID {
			t.Fatalf("sample %d by model %d", k, m.ID)
		}
	}
	if looks := stores.looks.Load(); looks != 0 {
		t.Errorf("%d more looks at a candle that was known", looks)
	}
	if m := forecast(13001, 0); m.ID != newer.ID || stores.looks.Load() != 1 {
		t.Errorf("the next candle by model %d after %d looks, want model %d", m.ID, stores.looks.Load(), newer.ID)
	}
	// That model has learnt from the candle before.
	if m := forecast(12999, 0); m.ID != first.ID {
		t.Errorf("an earlier candle by model %d", m.ID)
	}
}

func TestStatesThatCannotBeForecast(t *testing.T) {
	stores := trainedStores(t)
	c := stores.candles[btc][13000]
	for name, test := range map[string]struct {
		change func(*OpenCandle)
		code   market.Code
	}{
		"no price":         {func(s *OpenCandle) { s.Candle.Close = 0 }, market.Invalid},
		"not a number":     {func(s *OpenCandle) { s.Candle.Open = math.NaN() }, market.Invalid},
		"off the grid":     {func(s *OpenCandle) { s.Candle.OpenTime = c.OpenTime.Add(time.Second) }, market.Invalid},
		"before the open":  {func(s *OpenCandle) { s.At = c.OpenTime.Add(-1) }, market.Unavailable},
		"at the close":     {func(s *OpenCandle) { s.At = c.OpenTime.Add(15 * time.Minute) }, market.Unavailable},
		"no model":         {func(s *OpenCandle) { s.Symbol = "SOLUSDT" }, market.NotFound},
		"none so early on": {func(s *OpenCandle) { s.At, s.Candle.OpenTime = start, start }, market.NotFound},
	} {
		state := stateOf(c, c.OpenTime, c.Open)
		test.change(&state)
		if _, err := NewForecaster(stores, stores).ForecastOpen(t.Context(), state); market.ErrorCode(err) != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// gated holds up whoever reads candles of one series.
type gated struct {
	*counted
	series  market.Series
	waiting chan struct{} // gets a token from everyone held up
	open    chan struct{}
}

func (g *gated) Candles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error) {
	if series == g.series {
		g.waiting <- struct{}{}
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return g.counted.Candles(ctx, series, r, limit)
}

func TestASlowReadHoldsUpItsOwnSeriesOnlyAndIsNotRepeated(t *testing.T) {
	sol := market.Series{Symbol: "SOLUSDT", Interval: market.Minute15}
	stores := trainedStores(t)
	stores.candles[sol] = stores.candles[btc]
	solModel := stores.models[0]
	solModel.Series = sol
	if _, err := stores.SaveModel(t.Context(), solModel, stores.contents[0], market.Some(int64(0))); err != nil {
		t.Fatal(err)
	}
	gate := &gated{counted: stores, series: sol, waiting: make(chan struct{}, 100), open: make(chan struct{})}
	f := NewForecaster(gate, gate)
	c := stores.candles[btc][13000]
	slow := stateOf(c, c.OpenTime, c.Open)
	slow.Series = sol

	// One gives up while it reads: that is no news of the candle.
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	ask := func(ctx context.Context) {
		_, err := f.ForecastOpen(ctx, slow)
		result <- err
	}
	go ask(ctx)
	<-gate.waiting
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}

	go ask(t.Context())
	<-gate.waiting
	if _, err := f.ForecastOpen(t.Context(), stateOf(c, c.OpenTime, c.Open)); err != nil {
		t.Errorf("another series: %v", err)
	}
	// One gives up while it waits for its turn.
	if _, err := f.ForecastOpen(ctx, slow); !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up waiting got %v", err)
	}
	stores.looks.Store(0)
	for range 20 {
		go ask(t.Context())
	}
	close(gate.open)
	for range 21 {
		if err := <-result; err != nil {
			t.Errorf("after the wait: %v", err)
		}
	}
	if looks := stores.looks.Load(); looks != 0 {
		t.Errorf("%d more looks by those who waited", looks)
	}
}

// A query that hangs may not keep forecasts of others waiting for ever, nor those of
// its own candle once it does not hang any more.
func TestAReadThatHangsIsGivenUp(t *testing.T) {
	stores := trainedStores(t)
	c := stores.candles[btc][13000]
	synctest.Test(t, func(t *testing.T) {
		gate := &gated{counted: stores, series: btc, waiting: make(chan struct{}, 100), open: make(chan struct{})}
		f := NewForecaster(gate, gate)
		first := time.Now()
		now := func() time.Time { return c.OpenTime.Add(time.Since(first)) }
		for range 3 {
			began := time.Now()
			_, err := f.ForecastOpen(t.Context(), stateOf(c, now(), c.Open))
			if took := time.Since(began); market.ErrorCode(err) != market.Unavailable || errors.Is(err, context.DeadlineExceeded) || took != longestLook {
				t.Fatalf("after %s: %v", took, err)
			}
		}
		if n := len(gate.waiting); n != 3 {
			t.Errorf("%d reads that hang", n)
		}
		close(gate.open)
		if _, err := f.ForecastOpen(t.Context(), stateOf(c, now(), c.Open)); err != nil {
			t.Errorf("once it does not hang any more: %v", err)
		}
		// What is known of a candle stays known while the companion's newest is looked for.
		stores.candles[market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}] = nil
		f = NewForecaster(gate, gate)
		if _, err := f.ForecastOpen(t.Context(), stateOf(c, now(), c.Open)); err != nil {
			t.Fatal(err)
		}
		gate.open = make(chan struct{})
		if got, err := f.ForecastOpen(t.Context(), stateOf(c, now().Add(lookPeriod), c.Open)); err != nil || !got.CompanionMissing {
			t.Errorf("while the next look hangs: companion missing %t, %v", got.CompanionMissing, err)
		}
	})
}

func BenchmarkForecastOpen(b *testing.B) {
	stores := trainedStores(b)
	f := NewForecaster(stores, stores)
	candles := stores.candles[btc]
	b.Run("within the candle", func(b *testing.B) {
		c := candles[13000]
		b.ReportAllocs()
		for k := 0; b.Loop(); k++ {
			passed := time.Duration(k%180) * 5 * time.Second
			if _, err := f.ForecastOpen(b.Context(), stateOf(c, c.OpenTime.Add(passed), c.Open*1.001)); err != nil {
				b.Fatal(err)
			}
		}
	})
	// Without what the database takes to read the candles.
	b.Run("at its open", func(b *testing.B) {
		b.ReportAllocs()
		for k := 0; b.Loop(); k++ {
			c := candles[13000+k%2]
			if _, err := f.ForecastOpen(b.Context(), stateOf(c, c.OpenTime, c.Open)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
