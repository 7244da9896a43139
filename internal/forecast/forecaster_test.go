package forecast

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var all = market.TimeRange{Start: start, End: start.AddDate(10, 0, 0)}

func TestForecastOfTheNextCandle(t *testing.T) {
	stores := newMemory(8000)
	f := NewForecaster(stores, stores)
	if _, err := f.Forecast(t.Context(), btc, time.Time{}); market.ErrorCode(err) != market.NotFound {
		t.Errorf("without a model: %v", err)
	}
	calls := 0
	trained, known, err := f.Train(t.Context(), btc, all, func(done, total int) {
		calls++
		if done < 1 || done > total {
			t.Errorf("progress %d of %d", done, total)
		}
	})
	if err != nil || known || calls == 0 {
		t.Fatalf("training: known %t, %d calls, %v", known, calls, err)
	}
	if trained.Rows != 8000-window || trained.Metrics.Rows != 29*96 || len(trained.Metrics.Baselines) != 3 {
		t.Errorf("the record is %+v", trained)
	}
	if again, known, err := f.Train(t.Context(), btc, all, nil); err != nil || !known || again.ID != trained.ID {
		t.Errorf("training on the same rows again: model %d, known %t, %v", again.ID, known, err)
	}

	got, err := f.Forecast(t.Context(), btc, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	newest := stores.candles[btc][7999]
	if !got.OpenTime.Equal(market.Minute15.Next(newest.OpenTime)) || got.Last != newest.Close || !got.AsOf.Equal(got.OpenTime) {
		t.Errorf("the forecast is of %s from %v", got.OpenTime, got.Last)
	}
	for _, p := range append([]Prediction{got.Prediction}, got.Baselines[0].Prediction, got.Baselines[1].Prediction, got.Baselines[2].Prediction) {
		if len(p.Bands) != 2 || !(p.Bands[1].Low < p.Bands[0].Low && p.Bands[0].Low < p.Point && p.Point < p.Bands[0].High && p.Bands[0].High < p.Bands[1].High) {
			t.Errorf("the bands are %+v around %v", p.Bands, p.Point)
		}
		if p.ProbabilityUp < 0 || p.ProbabilityUp > 1 || math.Abs(p.Point/got.Last-1) > 0.05 {
			t.Errorf("the prediction is %+v", p)
		}
	}
	if _, err := f.Forecast(t.Context(), btc, start.Add(time.Hour)); market.ErrorCode(err) != market.NotFound {
		t.Errorf("within the first window: %v", err)
	}
	stores.candles[btc] = stores.candles[btc][len(stores.candles[btc])-window/2:]
	if _, err := f.Forecast(t.Context(), btc, time.Time{}); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("on half a window: %v", err)
	}
}

// What is known live is what training knew: the row of a past candle is the same
// whether computed on the whole history or on the little that a forecast reads,
// and the instant within the candle makes no difference.
func TestLiveAndTrainingAgree(t *testing.T) {
	stores := newMemory(4000)
	f := NewForecaster(stores, stores)
	if _, _, err := f.Train(t.Context(), btc, all, nil); err != nil {
		t.Fatal(err)
	}
	s, err := f.samples(t.Context(), btc, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []int{0, 1, 1500, s.len() - 1} {
		live, err := f.Forecast(t.Context(), btc, s.opens[k].Add(7*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float64, len(featureNames))
		s.row(row, k)
		for b, name := range baselineNames {
			want := f.loaded[btc].model.baseline(name, row, btc.Interval, s.opens[k]).at(s.last[k])
			if got := live.Baselines[b].Prediction; !slices.Equal(got.Bands, want.Bands) {
				t.Errorf("sample %d: %s is %v live and %v in training", k, name, got.Bands, want.Bands)
			}
		}
	}
}

func TestTrainingNeedsEnoughCandlesAndCanBeStopped(t *testing.T) {
	stores := newMemory(1500)
	if _, _, err := NewForecaster(stores, stores).Train(t.Context(), btc, all, nil); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("on too few candles: %v", err)
	}
	elsewhere := market.TimeRange{Start: start.AddDate(1, 0, 0), End: start.AddDate(2, 0, 0)}
	if _, err := NewForecaster(stores, stores).Evaluate(t.Context(), btc, start, elsewhere, nil); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("evaluated where no candles are: %v", err)
	}
	stores = newMemory(6000)
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := NewForecaster(stores, stores).Train(ctx, btc, all, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) || len(stores.models) != 0 {
		t.Errorf("stopped: %v, %d models stored", err, len(stores.models))
	}
}
