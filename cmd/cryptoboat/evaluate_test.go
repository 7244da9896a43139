package main

import (
	"encoding/json"
	"math"
	"syscall"
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
		evaluation, err := forecaster.WalkForward(t.Context(), series, history.FirstListing, year, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := evaluation.Whole
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

// One month straight from the archive's files, as somebody would measure a month that
// nobody has seen yet.
func TestEvaluateAMonthOfTheRealArchive(t *testing.T) {
	if raceEnabled {
		t.Skip("its arithmetic takes minutes under -race; TestTheDocumentEqualsTheTables runs the same code there")
	}
	realCandles(t, "BTCUSDT/15m")
	folder := "../../../shared/data"
	spent := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	began := spent()
	code, out, complaints := cryptoboat(t, "", "evaluate", "--archive", folder,
		"--symbol", "BTCUSDT", "--interval", "15m", "--from", "2025-06", "--to", "2025-06", "--json")
	took := spent() - began
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, complaints)
	}
	var document evaluations
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatal(err)
	}
	v := document.Evaluations[0]
	if v.Candles != 30*96 || v.Whole.Rows != v.Candles || v.WithoutCompanion != 0 || len(v.Months) != 1 {
		t.Errorf("%d of %d candles of %d months were forecast, %d without the other pair",
			v.Whole.Rows, v.Candles, len(v.Months), v.WithoutCompanion)
	}
	for k, s := range append([]forecast.Scores{v.Whole.Scores}, v.Whole.Quarters...) {
		t.Logf("stage %d: %d rows, skill %+.3f %%, pinball loss %.4f bp, %.2f %% within 80 %%; baselines %+v",
			k, s.Rows, s.PointSkill*100, s.PinballLoss, s.Coverage80*100, s.Baselines)
		if s.Rows < 2000 {
			t.Errorf("stage %d: only %d rows", k, s.Rows)
		}
		for _, b := range s.Baselines {
			if s.PinballLoss >= b.PinballLoss {
				t.Errorf("stage %d: pinball loss %.4f, %s has %.4f", k, s.PinballLoss, b.Name, b.PinballLoss)
			}
		}
		// A month is short: over a year it is within ±1.5 points.
		for _, covered := range []struct{ share, level float64 }{
			{s.Coverage50, 0.5}, {s.Coverage80, 0.8}, {s.Coverage90, 0.9}, {s.Coverage95, 0.95},
		} {
			if math.Abs(covered.share-covered.level) > 0.06 {
				t.Errorf("stage %d: the %.0f %% interval holds %.2f %%", k, covered.level*100, covered.share*100)
			}
		}
	}
	// The processors' time, because that of the clock depends on who else is at work.
	if took > time.Minute {
		t.Errorf("it took %s of the processors' time", took)
	}
	t.Logf("evaluated in %s of the processors' time", took)
}
