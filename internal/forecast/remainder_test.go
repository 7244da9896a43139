package forecast

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestTheRestOfAReturnAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := remainderAfter(rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "elapsed"))
		mean := rapid.Float64Range(-0.01, 0.01).Draw(t, "mean")
		whole := rapid.Float64Range(-0.2, 0.2).Draw(t, "return")
		rest := r.of(whole, mean)
		if !(math.Abs(rest) <= math.Abs(whole)+math.Abs(mean)) {
			t.Fatalf("%v of the whole is %v of the rest", whole, rest)
		}
		if back := r.whole(rest, mean); !(math.Abs(back-whole) < 1e-6) {
			t.Fatalf("%v came back as %v", whole, back)
		}
		if r.of(mean, mean) != 0 && math.Signbit(r.of(mean, mean)) != math.Signbit(mean) {
			t.Fatalf("the mean %v turned into %v", mean, r.of(mean, mean))
		}
	})
	if r := remainderAfter(0); r.of(0.0123, 0.001) != 0.0123 || r.whole(0.0123, 0.001) != 0.0123 {
		t.Errorf("at the open %+v", r)
	}
}

// What a forecast inside the candle has to be worth on real candles: its bands hold
// what they promise, and it knows as well as the analytic formula
// Φ(ln(last/open)/σ√(1−elapsed)), within half a percent of the Brier score, whether
// they will close above their open.
func TestForecastsWithinTheRealCandlesOf2024(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: two trainings on a year of candles take a minute under the race detector; the run without it does them")
	}
	year := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
		series := market.Series{Symbol: symbol, Interval: market.Minute15}
		other := market.Series{Symbol: companion(symbol), Interval: market.Minute15}
		s := newSamples(newTrack(market.Minute15, realCandles(t, series, "202[34]-*")),
			newTrack(market.Minute15, realCandles(t, other, "202[34]-*")),
			market.TimeRange{Start: year.AddDate(-1, 0, 0), End: year.AddDate(1, 0, 0)})
		closes := map[time.Time]float64{}
		for _, interval := range []market.Interval{market.Minute1, market.Minute5} {
			for _, c := range realCandles(t, market.Series{Symbol: symbol, Interval: interval}, "2024-*") {
				closes[interval.Next(c.OpenTime)] = c.Close
			}
		}
		m, err := fit(t.Context(), s.before(year), nil)
		if err != nil {
			t.Fatal(err)
		}
		openings := map[time.Time]*opening{}
		unseen := s.since(year)
		row := make([]float64, len(s.columns))
		for k, open := range unseen.opens {
			unseen.row(row, k)
			if openings[open], err = newOpening(Model{Series: series}, m, row, open, unseen.last[k]); err != nil {
				t.Fatal(err)
			}
		}
		for _, moment := range []struct {
			passed    time.Duration
			fewest    int     // candles, so that the data are really there
			tolerance float64 // of coverage
		}{
			{5 * time.Minute, 35000, 0.02},
			{10 * time.Minute, 35000, 0.02},
			{14 * time.Minute, 2800, 0.04}, // 1m candles are there for 30 days only
		} {
			var inside [2]float64
			var brier, analytic, n float64
			for k, open := range unseen.opens {
				at := open.Add(moment.passed)
				last, known := closes[at]
				if !known {
					continue
				}
				o := openings[open]
				closing := unseen.last[k] * math.Exp(unseen.returns[k])
				f := o.forecast(at, unseen.last[k], last)
				for b, band := range f.Bands {
					if band.Low <= closing && closing <= band.High {
						inside[b]++
					}
				}
				rose := 0.0
				if closing > f.Open {
					rose = 1
				}
				sigma := o.width * math.Sqrt(math.Pi/2) * math.Sqrt(1-f.Elapsed) // a normal variable of that mean size
				phi := math.Erfc(-math.Log(last/f.Open)/sigma/math.Sqrt2) / 2
				brier += (f.ProbabilityAboveOpen - rose) * (f.ProbabilityAboveOpen - rose)
				analytic += (phi - rose) * (phi - rose)
				n++
			}
			t.Logf("%s after %s: %.0f candles, bands hold %.2f and %.2f %%, Brier %.5f, analytic %.5f",
				series, moment.passed, n, 100*inside[0]/n, 100*inside[1]/n, brier/n, analytic/n)
			if int(n) < moment.fewest {
				t.Errorf("%s after %s: only %.0f candles", series, moment.passed, n)
			}
			for b, level := range bandLevels {
				if held := inside[b] / n; math.Abs(held-level) > moment.tolerance {
					t.Errorf("%s after %s: the %.0f %% band holds %.2f %%", series, moment.passed, 100*level, 100*held)
				}
			}
			if brier > analytic*1.005 {
				t.Errorf("%s after %s: Brier %.5f, the analytic formula has %.5f", series, moment.passed, brier/n, analytic/n)
			}
		}
	}
}
