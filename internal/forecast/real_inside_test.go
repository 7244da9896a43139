package forecast

import (
	"math"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// What a forecast inside the candle has to be worth on real candles, whether or not the
// training has seen the inside of any: its bands hold what they promise, it knows as
// well as the normal distribution whether they will close above their open, and its
// point is no worse than the newest price.
func TestForecastsWithinTheRealCandlesOf2024(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: trainings on a year of candles take a minute under the race detector; the run without it does them")
	}
	year := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	stores := &memory{candles: map[market.Series][]market.Candle{}}
	for _, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
		for _, interval := range []market.Interval{market.Minute15, market.Minute5} {
			series := market.Series{Symbol: symbol, Interval: interval}
			stores.candles[series] = realCandles(t, series, "202[34]-*")
		}
	}
	for _, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
		series := market.Series{Symbol: symbol, Interval: market.Minute15}
		s, err := NewForecaster(stores, nil).samples(t.Context(), series,
			market.TimeRange{Start: year.AddDate(-1, 0, 0), End: year.AddDate(1, 0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name      string
			lessons   *samples
			tolerance float64 // of coverage, a year after the newest lesson
			brier     float64 // at most, as a share of the normal distribution's
		}{
			{"inside seen", s.before(year), 0.02, 1},
			{"only opens seen", s.before(year).openings(), 0.035, 1.005},
		} {
			m, err := fit(t.Context(), test.lessons, nil)
			if err != nil {
				t.Fatal(err)
			}
			tally, trades, err := m.measure(t.Context(), s.since(year), UsualCosts)
			if err != nil {
				t.Fatal(err)
			}
			metrics := tally.metrics(market.TimeRange{}, trades)
			for stage, scores := range append([]Scores{metrics.Scores}, metrics.Quarters...) {
				if scores.Rows == 0 && (stage == 1 || stage == stages-1) { // no 5m candle ends there
					continue
				}
				t.Logf("%s, %s, stage %d: %d candles, bands hold %.3f %.3f %.3f %.3f, Brier %.5f (%.5f), skill %.5f [%.5f, %.5f]",
					symbol, test.name, stage, scores.Rows, scores.Coverage50, scores.Coverage80, scores.Coverage90, scores.Coverage95,
					scores.Brier, scores.BrierAnalytic, scores.PointSkill, scores.PointSkillLow, scores.PointSkillHigh)
				if scores.Rows < 35000 {
					t.Errorf("%s, %s, stage %d: only %d candles", symbol, test.name, stage, scores.Rows)
				}
				for k, held := range []float64{scores.Coverage50, scores.Coverage80, scores.Coverage90, scores.Coverage95} {
					if level := measuredLevels[k]; math.Abs(held-level) > test.tolerance {
						t.Errorf("%s, %s, stage %d: the %.0f %% band holds %.2f %%", symbol, test.name, stage, 100*level, 100*held)
					}
				}
				if scores.Brier > scores.BrierAnalytic*test.brier {
					t.Errorf("%s, %s, stage %d: Brier %.5f, the normal distribution has %.5f",
						symbol, test.name, stage, scores.Brier, scores.BrierAnalytic)
				}
				if scores.PointSkill < -0.001 {
					t.Errorf("%s, %s, stage %d: the point has the skill %.5f", symbol, test.name, stage, scores.PointSkill)
				}
			}
		}
	}
}
