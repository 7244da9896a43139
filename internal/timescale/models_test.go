package timescale_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestModels(t *testing.T) {
	d := timescaletest.Open(t)
	if _, err := d.NewestModel(t.Context(), btc15m, time.Time{}); market.ErrorCode(err) != market.NotFound {
		t.Errorf("the newest of none: %v", err)
	}
	save := func(hash string, end time.Time, content string) forecast.Model {
		t.Helper()
		m, err := d.SaveModel(t.Context(), forecast.Model{
			Series: btc15m, Window: market.TimeRange{Start: newYear, End: end}, Rows: 10, Skipped: 2, DataHash: hash,
			Features: []string{"a", "b"},
			Metrics: forecast.Metrics{
				Fold: market.TimeRange{Start: newYear, End: end}, Rows: 5, PointSkill: -0.25,
				WidthMetrics: forecast.WidthMetrics{PinballLoss: 1.5, Coverage80: 0.8},
				Baselines:    []forecast.BaselineMetrics{{Name: "HAR", WidthMetrics: forecast.WidthMetrics{PinballLoss: 2}}},
			},
		}, []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	june, march := newYear.AddDate(0, 5, 0), newYear.AddDate(0, 2, 0)
	all := save("all", june, "one")
	past := save("past", march, "two")
	if all.ID == past.ID || all.TrainedAt.IsZero() {
		t.Errorf("saved as %d and %d", all.ID, past.ID)
	}
	for _, test := range []struct {
		learntBy time.Time
		want     forecast.Model
	}{{time.Time{}, all}, {june, all}, {june.Add(-1), past}, {march, past}} {
		if got, err := d.NewestModel(t.Context(), btc15m, test.learntBy); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("learnt by %s: %+v, %v; want %+v", test.learntBy, got, err, test.want)
		}
	}
	if _, err := d.NewestModel(t.Context(), btc15m, march.Add(-1)); market.ErrorCode(err) != market.NotFound {
		t.Errorf("learnt before any: %v", err)
	}
	if again := save("all", june, "mended"); again.ID != all.ID {
		t.Errorf("the same model again is %d, was %d", again.ID, all.ID)
	}
	other := save("other rows, as far", june, "three")
	if got, err := d.NewestModel(t.Context(), btc15m, time.Time{}); err != nil || got.ID != other.ID {
		t.Errorf("of two that reach as far: model %d, %v; want the later, %d", got.ID, err, other.ID)
	}
	save("all", june, "mended")
	if got, err := d.NewestModel(t.Context(), btc15m, time.Time{}); err != nil || got.ID != all.ID {
		t.Errorf("after saving the first anew: model %d, %v; want %d", got.ID, err, all.ID)
	}
	if content, err := d.ModelContent(t.Context(), all.ID); err != nil || string(content) != "mended" {
		t.Errorf("its content is %q, %v", content, err)
	}
	if _, err := d.ModelContent(t.Context(), 999); market.ErrorCode(err) != market.NotFound {
		t.Errorf("the content of no model: %v", err)
	}
}
