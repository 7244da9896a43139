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

// forecastAsOf is a forecast with a value in every field.
func forecastAsOf(asOf time.Time) forecast.Forecast {
	prediction := forecast.Prediction{
		Point: 50_025, ProbabilityUp: 0.52,
		Bands: []forecast.Band{{Level: 0.8, Low: 49_800, High: 50_200}, {Level: 0.9, Low: 49_700, High: 50_300}},
	}
	widths := forecast.WidthMetrics{PinballLoss: 6.5, Coverage80: 0.81, Coverage90: 0.905, Width80: 60, Width90: 85}
	month := market.TimeRange{Start: asOf.AddDate(0, -1, 0), End: asOf}
	return forecast.Forecast{
		AsOf: asOf, OpenTime: asOf, CloseTime: asOf.Add(15 * time.Minute), Last: 50_000, Open: 49_990, Elapsed: 0.25, Prediction: prediction, ProbabilityAboveOpen: 0.53,
		Baselines: []forecast.Baseline{{Name: "price stays", Prediction: prediction}, {Name: "HAR", Prediction: prediction}},
		Model: forecast.Model{
			ID: 7, TrainedAt: asOf, Window: month, Rows: 87_000, Skipped: 12, DataHash: "00ff", Features: []string{"return 1", "hour"},
			Metrics: forecast.Metrics{
				Fold: month, Rows: 2880, PointSkill: -0.0004, HitRate: 0.521, Brier: 0.2478, WidthMetrics: widths,
				Baselines: []forecast.BaselineMetrics{{Name: "HAR", WidthMetrics: widths}},
			},
		},
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
