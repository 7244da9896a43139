package forecast

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/forest"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestTheNormalDistribution(t *testing.T) {
	for z, want := range map[float64]float64{
		0: 0.5, 1: 0.8413447460685429, -1: 0.15865525393145707, 1.959963984540054: 0.975, -8: 6.22096057427178e-16,
	} {
		if got := normal(z); math.Abs(got/want-1) > 1e-12 {
			t.Errorf("Φ(%v) is %v, want %v", z, got, want)
		}
	}
}

// alwaysForest predicts the same for every row.
func alwaysForest(t testing.TB, value float64) *forest.Forest {
	t.Helper()
	const rows = 1000
	columns, target := make([][]float64, len(featureNames)), make([]float64, rows)
	for j := range columns {
		columns[j] = make([]float64, rows)
	}
	for k := range target {
		columns[0][k], target[k] = float64(k), value
	}
	f, err := forest.Train(t.Context(), featureNames, columns, target, directionSettings, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheForestCorrectsTheAnalyticProbability(t *testing.T) {
	row := make([]float64, len(featureNames))
	for _, test := range []struct {
		analytic, elapsed, residual float64
		inside                      bool
		want                        float64
	}{
		{0.5, 0, 0.02, true, 0.52},
		{0.5, 0.5, 0.02, true, 0.515}, // the later, the less
		{0.5, 0, 0.02, false, 0.52},
		{0.5, 0.75, 0.02, false, 0.505}, // what is known of the open fades
		{0.3, 0.5, -0.04, true, 0.27},
		{0.3, 0.5, -0.9, true, 0.09}, // never beyond the square
		{0.99, 0.5, 0.5, true, 0.9999},
		{0, 0.9, 0.3, true, 0},
		{1, 0.9, 0.3, true, 1},
	} {
		d := direction{Deviation: 1, forest: alwaysForest(t, test.residual), Inside: test.inside}
		got, err := d.probability(test.analytic, progress{elapsed: test.elapsed}, row, new(forest.Distribution))
		if err != nil || math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%+v: %v, %v", test, got, err)
		}
	}
	residuals := []*forest.Forest{alwaysForest(t, -0.6), alwaysForest(t, -0.01), alwaysForest(t, 0), alwaysForest(t, 0.9)}
	rapid.Check(t, func(t *rapid.T) {
		d := direction{Deviation: 1, forest: rapid.SampledFrom(residuals).Draw(t, "forest"), Inside: rapid.Bool().Draw(t, "inside")}
		analytic := rapid.Float64Range(0, 1).Draw(t, "analytic")
		p := progress{elapsed: rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "elapsed")}
		got, err := d.probability(analytic, p, row, new(forest.Distribution))
		if err != nil || !(got >= 0 && got <= 1) {
			t.Fatalf("the probability is %v, %v", got, err)
		}
	})
}

func TestRisesAgreeWithTheProbabilityAboveTheOpen(t *testing.T) {
	probability := rapid.Float64Range(0, 1)
	rapid.Check(t, func(t *rapid.T) {
		above, aboveOpen, aboveLast := probability.Draw(t, "probability"), probability.Draw(t, "above open"), probability.Draw(t, "above last")
		got := risesGiven(above, aboveOpen, aboveLast)
		if !(got >= 0 && got <= 1) {
			t.Fatalf("a probability of %v", got)
		}
		// The higher the price it is to exceed, the less probable.
		if aboveLast < aboveOpen && got > above || aboveLast > aboveOpen && got < above {
			t.Fatalf("%v, with %v above the open", got, above)
		}
		if got := risesGiven(above, aboveOpen, aboveOpen); got != above {
			t.Fatalf("at the open itself %v, want %v", got, above)
		}
		if further := risesGiven(above, aboveOpen, aboveLast/2); further > got {
			t.Fatalf("%v of a close above a higher price, %v above a lower one", further, got)
		}
	})
	for _, test := range []struct{ probability, aboveOpen, aboveLast, want float64 }{
		{0.6, 0.5, 0.25, 0.3},
		{0.6, 0.5, 0.75, 0.8},
		{0.6, 0.5, 0, 0},
		{0.6, 0.5, 1, 1},
		{0.6, 0, 0.5, 0.8},
		{0.6, 1, 0.5, 0.3},
		{0.6, 0, 0, 0.6},
		{0.6, 1, 1, 0.6},
	} {
		if got := risesGiven(test.probability, test.aboveOpen, test.aboveLast); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// walked are samples of candles of independent normal returns, looked into at three
// instants, and the width of what is left of each.
func walked(candles int, sigma float64) (*samples, []float64) {
	random := rand.New(rand.NewPCG(1, 2))
	s := &samples{candles: &outcomes{interval: market.Minute15}}
	var widths []float64
	for k := range candles {
		candle, returned, at := int32(k), 0.0, 0.0
		s.candles.opens = append(s.candles.opens, start.Add(time.Duration(k)*15*time.Minute))
		for _, elapsed := range []float64{0, 0.25, 0.5, 0.75} {
			returned += sigma * math.Sqrt(elapsed-at) * random.NormFloat64()
			at = elapsed
			last := 100 * math.Exp(returned)
			s.rows = append(s.rows, sample{candle, progress{
				elapsed: elapsed, open: 100, high: max(100, last), low: min(100, last), last: last,
			}})
			widths = append(widths, sigma*math.Sqrt(1-elapsed)/normalDeviation)
		}
		s.candles.close = append(s.candles.close, 100*math.Exp(returned+sigma*math.Sqrt(1-at)*random.NormFloat64()))
	}
	return s, widths
}

func TestTheDeviationOfNormalReturnsIsFound(t *testing.T) {
	s, widths := walked(40000, 0.002)
	if got := fitDeviation(s, widths); math.Abs(got-normalDeviation) > 0.1 {
		t.Errorf("the deviation is %v, want that of a normal distribution, %v", got, normalDeviation)
	}
	for k := range widths {
		widths[k] *= normalDeviation
	}
	if got := fitDeviation(s, widths); math.Abs(got-1) > 0.1 {
		t.Errorf("the deviation is %v, want 1", got)
	}
	few := s.slice(0, fewestInside)
	if got := fitDeviation(few, widths); got != normalDeviation {
		t.Errorf("of too few instants within candles came the deviation %v", got)
	}
}

func TestLessonsOfTheDirectionByHand(t *testing.T) {
	at := func(candle int32, elapsed, last float64) sample {
		return sample{candle, progress{elapsed: elapsed, open: 100, high: max(100, last), low: min(100, last), last: last}}
	}
	s := &samples{
		candles: &outcomes{interval: market.Minute15, close: []float64{101, 98, 100}, opens: []time.Time{start, start, start}},
		rows:    []sample{at(0, 0, 100), at(0, 0.5, 100.5), at(1, 0, 100), at(2, 0, 100)},
	}
	widths := []float64{0.01, 0.005, 0.01, 0.01}
	d := direction{Deviation: 1.25}
	got := make([]float64, len(s.rows))
	d.lessons(got, s, widths)

	up, down := math.Log(1.01)/0.01, -largestLean // ln 0.98 is twice the width
	scale := (up*0.5 + down*-0.5 + 0*-0.5) / (up*up + down*down)
	want := []float64{
		(0.5 + scale*up) / 2,
		1 - normal(math.Log(1.005)/(1.25*0.005)), // within the candle just what was wrong
		(-0.5 + scale*down) / 2,
		-0.5 / 2, // no move counts as below
	}
	if !closeTo(got, want, 1e-12) {
		t.Errorf("got %v, want %v", got, want)
	}
	// Where nothing ever moved, there is only the outcome.
	s.candles.close = []float64{100, 100, 100}
	d.lessons(got, s, widths)
	if !closeTo(got[2:], []float64{-0.5, -0.5}, 1e-12) {
		t.Errorf("without any move: %v", got)
	}
}

// What a whole model promises of the probability: as the candle ends it is certain,
// and before that the higher the price the more probable, as far as the forest does
// not see it otherwise.
func TestTheProbabilityFollowsThePrice(t *testing.T) {
	for name, stores := range map[string]*memory{"inside seen": trainedFineStores(t), "only opens seen": trainedStores(t).memory} {
		f := NewForecaster(stores, stores)
		c := stores.candles[btc][13000]
		at := func(elapsed time.Duration, move float64) Forecast {
			t.Helper()
			last := c.Open * (1 + move)
			got, err := f.ForecastOpen(t.Context(), OpenCandle{Series: btc, At: c.OpenTime.Add(elapsed), Candle: market.Candle{
				OpenTime: c.OpenTime, Open: c.Open, High: c.Open * 1.01, Low: c.Open * 0.99, Close: last,
				Volume: c.Volume / 2, TakerBuyVolume: market.Some(c.Volume / 4), Source: btc.Interval, Parts: 1,
			}})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		for _, move := range []float64{0.0005, 0.002, 0.01} {
			up, down := at(15*time.Minute-1, move), at(15*time.Minute-1, -move)
			if up.ProbabilityAboveOpen < 1-1e-6 || down.ProbabilityAboveOpen > 1e-6 {
				t.Errorf("%s: at the close, %v above and below the open, the probabilities are %v and %v",
					name, move, up.ProbabilityAboveOpen, down.ProbabilityAboveOpen)
			}
		}
		for _, elapsed := range []time.Duration{1, time.Minute, 7 * time.Minute, 14 * time.Minute, 15*time.Minute - 1} {
			var before Forecast
			for k := -20; k <= 20; k++ {
				got := at(elapsed, float64(k)*0.0005)
				if k == 0 && got.ProbabilityUp != got.ProbabilityAboveOpen {
					t.Errorf("%s: back at the open after %s, a rise has the probability %v and a close above the open %v",
						name, elapsed, got.ProbabilityUp, got.ProbabilityAboveOpen)
				}
				if k > -20 && !(got.ProbabilityAnalytic >= before.ProbabilityAnalytic && got.ProbabilityAboveOpen > before.ProbabilityAboveOpen-0.03) {
					t.Errorf("%s: after %s at %v the probability is %v (%v), at the lower %v it was %v (%v)", name, elapsed,
						got.Last, got.ProbabilityAboveOpen, got.ProbabilityAnalytic, before.Last, before.ProbabilityAboveOpen, before.ProbabilityAnalytic)
				}
				if (got.Last > got.Open) != (got.ProbabilityUp < got.ProbabilityAboveOpen) && got.ProbabilityUp != got.ProbabilityAboveOpen {
					t.Errorf("%s: after %s at %v, opened at %v, a rise has the probability %v and a close above the open %v",
						name, elapsed, got.Last, got.Open, got.ProbabilityUp, got.ProbabilityAboveOpen)
				}
				before = got
			}
		}
	}
}
