package api

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func someScores(rows int) forecast.RecordScores {
	return forecast.RecordScores{
		Rows: rows, PointSkill: 0.0012, PointSkillInterval: market.Some(forecast.SkillInterval{Low: -0.001, High: 0.003}),
		HitRate: 0.61, Brier: 0.19, BrierAnalytic: market.Some(0.2), Coverage80: 0.79, Coverage90: 0.91, Width80BP: 50, Width90BP: 70,
		PinballLoss: 4.5, Baselines: []forecast.BaselineLoss{{Name: "HAR", PinballLoss: 4.6}},
	}
}

func TestScores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newService(3)
		daily := someScores(900)
		daily.PointSkillInterval, daily.BrierAnalytic = market.Optional[forecast.SkillInterval]{}, market.Optional[float64]{}
		f.record = forecast.Record{
			Pending: 4, Overall: someScores(1000),
			Days:   []forecast.RecordGroup[time.Time]{{Key: day1, RecordScores: daily}},
			Stages: []forecast.RecordGroup[forecast.Stage]{{Key: forecast.AtOpen, RecordScores: someScores(60)}, {Key: 3, RecordScores: someScores(200)}},
			Models: []forecast.RecordGroup[int64]{{Key: 8, RecordScores: someScores(600)}, {Key: 7, RecordScores: someScores(400)}},
			Calibration: forecast.Calibration{
				Places:      [5]int{40, 60, 800, 55, 45},
				Reliability: []forecast.ReliabilityBin{{Low: 0.4, High: 0.5, Forecast: 0.46, Observed: 0.44, Rows: 300}},
			},
		}
		s := serveFake(t, f)
		const target = "/v1/symbols/BTCUSDT/scores"
		got := decode[record](t, s.get(t, target), http.StatusOK)
		if got.Symbol != "BTCUSDT" || got.Interval != "15m" || got.Pending != 4 || got.Disclaimer != disclaimer {
			t.Errorf("got %+v", got)
		}
		o := got.Overall
		if o.Rows != 1000 || o.PointSkill != 0.0012 || *o.PointSkillLow != -0.001 || *o.PointSkillHigh != 0.003 || o.HitRate != 0.61 ||
			o.Brier != 0.19 || *o.BrierAnalytic != 0.2 || o.Coverage80 != 0.79 || o.Coverage90 != 0.91 || o.Width80 != 50 || o.Width90 != 70 ||
			o.PinballLoss != 4.5 || len(o.Baselines) != 1 || o.Baselines[0] != (baselineLoss{"HAR", 4.6}) {
			t.Errorf("overall is %+v", o)
		}
		if d := got.Days[0]; d.Day != "2024-03-01" || d.Rows != 900 || d.PointSkillLow != nil || d.PointSkillHigh != nil || d.BrierAnalytic != nil {
			t.Errorf("the day is %+v", d)
		}
		if s := got.Stages; s[0].Stage != "open" || s[1].Stage != "quarter 3" || s[1].Rows != 200 {
			t.Errorf("the stages are %+v", s)
		}
		if m := got.Models; m[0].ModelID != 8 || m[1].ModelID != 7 || m[1].Rows != 400 {
			t.Errorf("the models are %+v", m)
		}
		c := got.Calibration
		if len(c.Places) != 5 || c.Places[2] != (calibrationPlace{0.1, 0.9, 0.8, 0.8, 800}) || c.Places[4] != (calibrationPlace{0.95, 1, 0.05, 0.045, 45}) ||
			len(c.Reliability) != 1 || c.Reliability[0] != (reliabilityBin{0.4, 0.5, 0.46, 0.44, 300}) {
			t.Errorf("the calibration is %+v", c)
		}

		for query, want := range map[string]market.TimeRange{
			"":                          {Start: time.Now().Add(-30 * 24 * time.Hour), End: time.Now()},
			"?end=2024-03-02T00:00:00Z": {Start: day1.AddDate(0, 0, -29), End: day1.AddDate(0, 0, 1)},
			"?start=2024-03-01T00:00:00Z&end=2025-03-02T00:00:00Z": {Start: day1, End: day1.AddDate(0, 0, 366)},
		} {
			if got := decode[record](t, s.get(t, target+query), http.StatusOK); !f.window.Start.Equal(want.Start) || !f.window.End.Equal(want.End) ||
				!got.Range.Start.Equal(want.Start) || !got.Range.End.Equal(want.End) {
				t.Errorf("%q is of %v, want %v", query, f.window, want)
			}
		}
		for query, status := range map[string]int{
			"?start=2024-03-01T00:00:00Z&end=2025-03-02T00:00:01Z": 422,
			"?start=2024-03-01T00:00:00Z&end=2024-03-01T00:00:00Z": 422,
			"?start=2099-01-01T00:00:00Z":                          422,
			"?interval=7m":                                         422,
			"?interval=1m":                                         404,
		} {
			if a := s.get(t, target+query); a.status != status {
				t.Errorf("%q: status %d, want %d: %s", query, a.status, status, a.body)
			}
		}
	})
}

// Without a forecast every list is empty, and none is null.
func TestScoresOfNothing(t *testing.T) {
	s := serveFake(t, newService(3))
	got := decode[record](t, s.get(t, "/v1/symbols/BTCUSDT/scores"), http.StatusOK)
	if got.Days == nil || got.Stages == nil || got.Models == nil || got.Overall.Baselines == nil || got.Calibration.Reliability == nil ||
		len(got.Calibration.Places) != 5 || got.Calibration.Places[0].Observed != 0 {
		t.Errorf("got %+v", got)
	}
	if list := decode[pastForecasts](t, s.get(t, "/v1/symbols/BTCUSDT/forecasts"), http.StatusOK); list.Forecasts == nil {
		t.Errorf("got %+v", list)
	}
}

func TestPastForecasts(t *testing.T) {
	f := newService(3)
	made := forecastAsOf(day1)
	row := forecast.RecordRow{
		Series: btc15m, OpenTime: made.OpenTime, CloseTime: made.CloseTime, AsOf: made.AsOf.Add(time.Minute), ModelID: 7,
		Elapsed: made.Elapsed, Open: made.Open, Last: made.Last, Prediction: made.Prediction, ProbabilityAboveOpen: made.ProbabilityAboveOpen,
	}
	scored := row
	scored.AsOf, scored.ProbabilityAnalytic, scored.Decision = made.AsOf, market.Some(0.51), market.Some(made.Decision)
	scored.Outcome = market.Some(forecast.Outcome{Open: 49_990, Close: 50_250, Hit: true, InBand90: true})
	f.recent = []forecast.RecordRow{row, scored}
	s := serveFake(t, f)
	const target = "/v1/symbols/BTCUSDT/forecasts"
	got := decode[pastForecasts](t, s.get(t, target), http.StatusOK)
	if len(got.Forecasts) != 2 || got.Disclaimer != disclaimer {
		t.Fatalf("got %+v", got)
	}
	if p := got.Forecasts[0]; p.Analytic != nil || p.Decision != nil || p.Outcome != nil || p.ModelID != 7 || !p.AsOf.Equal(day1.Add(time.Minute)) ||
		p.AboveOpen != 0.53 || p.ProbabilityUp != 0.52 || len(p.Bands) != 2 || p.Point != 50_025 || p.Last != 50_000 || p.Open != 49_990 {
		t.Errorf("the one that was not scored is %+v", p)
	}
	if p := got.Forecasts[1]; *p.Analytic != 0.51 || *p.Decision != decisionOf(made.Decision) || *p.Outcome != (outcome{49_990, 50_250, true, false, true}) {
		t.Errorf("the scored one is %+v", p)
	}
	if got := decode[pastForecasts](t, s.get(t, target+"?limit=1"), http.StatusOK); len(got.Forecasts) != 1 {
		t.Errorf("one is asked for, %d come", len(got.Forecasts))
	}
	for _, query := range []string{"?limit=0", "?limit=1001"} {
		if a := s.get(t, target+query); a.status != 422 {
			t.Errorf("%q: status %d", query, a.status)
		}
	}
}
