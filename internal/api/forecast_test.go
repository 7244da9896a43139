package api

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// someModel is a model with a value in every field.
func someModel(at time.Time) forecast.Model {
	widths := forecast.WidthMetrics{PinballLoss: 6.5, Coverage50: 0.49, Coverage80: 0.81, Coverage90: 0.905, Coverage95: 0.951, Width80: 60, Width90: 85}
	month := market.TimeRange{Start: at.AddDate(0, -1, 0), End: at}
	scores := forecast.Scores{
		Rows: 2880, PointSkill: -0.0004, PointSkillLow: -0.0011, PointSkillHigh: 0.0003, HitRate: 0.521, Brier: 0.2478, BrierAnalytic: 0.2493,
		WidthMetrics: widths, Baselines: []forecast.BaselineMetrics{{Name: "HAR", WidthMetrics: widths}},
	}
	quarter := scores
	quarter.Rows = 5760
	return forecast.Model{
		ID: 7, Series: btc15m, TrainedAt: at, Window: month, Rows: 87_000, Skipped: 12, DataHash: "00ff", Features: []string{"return 1", "hour"},
		Settings: `{"trees":100}`,
		Metrics: forecast.Metrics{
			Fold: month, Scores: scores, Quarters: []forecast.Scores{quarter, quarter, quarter, {}},
			Trading: forecast.Trading{Buys: 3, Sells: 4, Holds: 2873, Earned: -0.002, Drawdown: 0.011, EarnedByHolding: 0.07, HoldingsDrawdown: 0.15,
				Costs: &forecast.Costs{Fee: 0.002, Spread: 0.0003}},
		},
		Importance: []forecast.Importance{{Feature: "hour", PinballLoss: 0.12}, {Feature: "return 1", PinballLoss: -0.001}},
		Verdict:    forecast.Verdict{Promoted: true, Reason: "its pinball loss is below that of every baseline"},
		InUseSince: market.Some(at.Add(time.Minute)), InUseReason: "the newer one learnt from broken candles", Bytes: 3_141_592,
	}
}

// forecastAsOf is a forecast with a value in every field.
func forecastAsOf(asOf time.Time) forecast.Forecast {
	prediction := forecast.Prediction{
		Point: 50_025, ProbabilityUp: 0.52,
		Bands: []forecast.Band{{Level: 0.8, Low: 49_800, High: 50_200}, {Level: 0.9, Low: 49_700, High: 50_300}},
	}
	return forecast.Forecast{
		AsOf: asOf, OpenTime: asOf, CloseTime: asOf.Add(15 * time.Minute), Last: 50_000, Open: 49_990, Elapsed: 0.25,
		Prediction: prediction, ProbabilityAboveOpen: 0.53, ProbabilityAnalytic: 0.51,
		Decision:  forecast.Decision{Action: forecast.Hold, ExpectedGain: -0.0016, Costs: forecast.Costs{Fee: 0.001, Spread: 0.0001}},
		Baselines: []forecast.Baseline{{Name: "price stays", Prediction: prediction}, {Name: "HAR", Prediction: prediction}},
		Model:     someModel(asOf),
	}
}

func TestForecast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const target = "/v1/symbols/BTCUSDT/forecast"
		f := newService(3)
		f.forecast = forecastAsOf(time.Now())
		s := serveFake(t, f)
		got := decode[forecastAnswer](t, s.get(t, target), http.StatusOK)
		if got.Symbol != "BTCUSDT" || got.Interval != "15m" || got.Point != 50_025 || got.ExpectedChangeBP != 5 ||
			len(got.Bands) != 2 || got.Bands[1].High != 50_300 || got.ProbabilityUp != 0.52 || got.Open != 49_990 || got.Elapsed != 0.25 || got.AboveOpen != 0.53 || got.Disclaimer != disclaimer {
			t.Errorf("got %+v", got)
		}
		if len(got.Baselines) != 2 || got.Baselines[1].Name != "HAR" || len(got.Baselines[1].Bands) != 2 {
			t.Errorf("baselines are %+v", got.Baselines)
		}
		if m := got.Model; m.ID != 7 || m.Rows != 87_000 || m.Skipped != 12 || len(m.Features) != 2 || m.Metrics.PointSkill != -0.0004 ||
			m.Metrics.Widths.Coverage90 != 0.905 || len(m.Metrics.Baselines) != 1 || m.Metrics.Baselines[0].Widths.PinballLoss != 6.5 {
			t.Errorf("the model is %+v", m)
		}
		if m := got.Model.Metrics; len(m.Quarters) != 4 || m.Quarters[1].Rows != 5760 || m.PointSkillLow != -0.0011 || m.PointSkillHigh != 0.0003 ||
			m.BrierAnalytic != 0.2493 || m.Trading.Holds != 2873 || m.Trading.HoldingsDrawdown != 0.15 {
			t.Errorf("the metrics are %+v", m)
		}
		if got.Analytic != 0.51 || got.Decision != (forecastDecision{"hold", -0.0016, decisionCosts{0.001, 0.0001}}) {
			t.Errorf("the analytic probability is %v, the decision %+v", got.Analytic, got.Decision)
		}
		if got.CompanionMissing {
			t.Error("the other pair is said to be missing")
		}
		if !f.at.IsZero() {
			t.Errorf("without at the forecaster is asked for %s, want the zero time", f.at)
		}

		f.forecast.CompanionMissing = true
		if got := decode[forecastAnswer](t, s.get(t, target), http.StatusOK); !got.CompanionMissing {
			t.Error("the other pair is missing and the answer does not say so")
		}

		for _, test := range []struct {
			age   time.Duration
			query string
			stale bool
		}{
			{0, "", false},
			{15 * time.Minute, "", false},
			{15*time.Minute + time.Second, "", true},
			{100 * 24 * time.Hour, "", true},
			{100 * 24 * time.Hour, "?at=1999-12-31T00:00:00Z", false}, // asked for the past
		} {
			f.forecast = forecastAsOf(time.Now().Add(-test.age))
			got := decode[forecastAnswer](t, s.get(t, target+test.query), http.StatusOK)
			if got.Stale != test.stale || got.AgeSeconds != int64(test.age/time.Second) {
				t.Errorf("%s old, %q: stale %t, age %d", test.age, test.query, got.Stale, got.AgeSeconds)
			}
		}
		if want := time.Date(1999, time.December, 31, 0, 0, 0, 0, time.UTC); !f.at.Equal(want) {
			t.Errorf("the forecaster was asked as of %s, want %s", f.at, want)
		}
	})
}

// A number that JSON cannot hold is a fault of ours, and no half answer.
func TestForecastThatIsNotFinite(t *testing.T) {
	f := newService(3)
	f.forecast = forecastAsOf(day1)
	f.forecast.Model.Metrics.HitRate = math.NaN()
	s := serveFake(t, f)
	got := decode[problem](t, s.get(t, "/v1/symbols/BTCUSDT/forecast"), http.StatusInternalServerError)
	if strings.Contains(got.Detail, "NaN") || !strings.Contains(s.log.String(), "NaN") {
		t.Errorf("the client gets %q, the log %s", got.Detail, s.log)
	}
}

func TestForecastWithoutAModel(t *testing.T) {
	for code, status := range map[market.Code]int{market.NotFound: 404, market.Unavailable: 503} {
		const message = "no model of BTCUSDT 15m is trained: run cryptoboat train"
		f := newService(3)
		f.forecastErr = fmt.Errorf("model 3: %w", market.Errorf(code, message))
		got := decode[problem](t, serveFake(t, f).get(t, "/v1/symbols/BTCUSDT/forecast"), status)
		if got.Detail != message {
			t.Errorf("%s: got %q", code, got.Detail)
		}
	}
}
