package main

import (
	"math"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// What the forecast has to be worth on real candles it has not seen, over the
// whole of 2024, month by month.
func TestForecastOfTheYear2024(t *testing.T) {
	if raceEnabled {
		t.Skip("24 trainings take minutes under the race detector; the run without it does them")
	}
	database := importReal(t, "BTCUSDT/15m", "ETHUSDT/15m")
	forecaster := forecast.NewForecaster(database, database)
	year := market.TimeRange{
		Start: time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC),
		End:   time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, symbol := range defaultSymbols {
		series := market.Series{Symbol: symbol, Interval: market.Minute15}
		m, err := forecaster.Evaluate(t.Context(), series, history.FirstListing, year, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d candles, skill %+.3f %%, pinball loss %.4f bp, bands hold %.2f and %.2f %%; baselines %+v",
			series, m.Rows, m.PointSkill*100, m.PinballLoss, m.Coverage80*100, m.Coverage90*100, m.Baselines)
		if m.Rows != 366*96 {
			t.Errorf("%s: %d candles of 2024 were forecast", series, m.Rows)
		}
		if m.PointSkill < -0.001 {
			t.Errorf("%s: point skill %.5f is below −0.1 %%", series, m.PointSkill)
		}
		for _, b := range m.Baselines {
			if m.PinballLoss > b.PinballLoss {
				t.Errorf("%s: pinball loss %.4f, %s has %.4f", series, m.PinballLoss, b.Name, b.PinballLoss)
			}
		}
		if math.Abs(m.Coverage80-0.8) > 0.02 || math.Abs(m.Coverage90-0.9) > 0.02 {
			t.Errorf("%s: the bands hold %.4f and %.4f", series, m.Coverage80, m.Coverage90)
		}
	}
}
