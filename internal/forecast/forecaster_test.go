package forecast

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var all = market.TimeRange{Start: start, End: start.AddDate(10, 0, 0)}

// pruning has the files of models pruned by somebody between two reads, so many times.
type pruning struct {
	*memory
	times int
}

func (p *pruning) ModelContent(ctx context.Context, id int64) ([]byte, error) {
	if p.times--; p.times >= 0 {
		return nil, market.Errorf(market.Conflict, "model %d was pruned", id)
	}
	return p.memory.ModelContent(ctx, id)
}

func TestForecastOfTheNextCandle(t *testing.T) {
	stores := newMemory(16000)
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
	if trained.Rows != 16000-window || trained.Skipped != window || trained.Metrics.Rows != 31*96 || len(trained.Metrics.Baselines) != 3 {
		t.Errorf("%d rows, %d skipped, %d measured", trained.Rows, trained.Skipped, trained.Metrics.Rows)
	}

	got, err := f.Forecast(t.Context(), btc, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	newest := stores.candles[btc][15999]
	if !got.OpenTime.Equal(market.Minute15.Next(newest.OpenTime)) || got.Last != newest.Close || !got.AsOf.Equal(got.OpenTime) || got.CompanionMissing {
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

	if again, err := NewForecaster(stores, &pruning{stores, 2}).Forecast(t.Context(), btc, time.Time{}); err != nil || again.Point != got.Point {
		t.Errorf("of models that were pruned meanwhile: %v, %v", again.Point, err)
	}
	if _, err := NewForecaster(stores, &pruning{stores, 100}).Forecast(t.Context(), btc, time.Time{}); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("of models that are pruned all the time: %v", err)
	}
	if costs := trained.Metrics.Trading.Costs; costs == nil || *costs != UsualCosts {
		t.Errorf("the decisions were reckoned with %v", costs)
	}

	if _, err := f.Forecast(t.Context(), btc, newest.OpenTime); market.ErrorCode(err) != market.NotFound {
		t.Errorf("of a candle that the model has learnt from: %v", err)
	}
	if _, err := f.Forecast(t.Context(), btc, newest.OpenTime.Add(5*time.Hour)); market.ErrorCode(err) != market.NotFound {
		t.Errorf("behind candles that are missing: %v", err)
	}
	eth := market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}
	stores.candles[eth] = stores.candles[eth][:15999]
	if alone, err := f.Forecast(t.Context(), btc, time.Time{}); err != nil || !alone.CompanionMissing {
		t.Errorf("without the companion's newest candle: missing %t, %v", alone.CompanionMissing, err)
	}
	stores.candles[btc] = stores.candles[btc][16000-window/2:]
	if _, err := f.Forecast(t.Context(), btc, time.Time{}); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("on half a window: %v", err)
	}
}

func TestTrainingAgain(t *testing.T) {
	stores := newMemory(14000)
	f := NewForecaster(stores, stores)
	train := func(r market.TimeRange) (Model, bool) {
		t.Helper()
		m, known, err := f.Train(t.Context(), btc, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m, known
	}
	first, _ := train(all)
	if again, known := train(all); !known || again.ID != first.ID {
		t.Errorf("on the same rows: model %d, known %t", again.ID, known)
	}
	// A model of the past is one more, and does not take the newest one's place.
	past := market.TimeRange{Start: start, End: stores.candles[btc][12500].OpenTime}
	earlier, known := train(past)
	if known || earlier.ID == first.ID {
		t.Errorf("on fewer rows: model %d, known %t", earlier.ID, known)
	}
	if again, known := train(all); !known || again.ID != first.ID {
		t.Errorf("on all rows once more: model %d, known %t", again.ID, known)
	}
	for at, want := range map[time.Time]int64{{}: first.ID, past.End: earlier.ID} {
		if got, err := f.Forecast(t.Context(), btc, at); err != nil || got.Model.ID != want {
			t.Errorf("forecast at %s by model %d, %v; want %d", at, got.Model.ID, err, want)
		}
	}
	// Of two that reach as far, the one trained last forecasts.
	shorter, _ := train(market.TimeRange{Start: start.AddDate(0, 0, 5), End: all.End})
	if got, err := f.Forecast(t.Context(), btc, time.Time{}); err != nil || got.Model.ID != shorter.ID {
		t.Errorf("after training on less of the past: model %d, %v", got.Model.ID, err)
	}
	train(all)
	if got, err := f.Forecast(t.Context(), btc, time.Time{}); err != nil || got.Model.ID != first.ID {
		t.Errorf("after training on all of it again: model %d, %v", got.Model.ID, err)
	}
	// A damaged one says to train again, and that helps.
	stores.contents[first.ID-1] = []byte("damaged")
	fresh := NewForecaster(stores, stores)
	if _, err := fresh.Forecast(t.Context(), btc, time.Time{}); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("by a damaged model: %v", err)
	}
	if _, known, err := fresh.Train(t.Context(), btc, all, nil); known || err != nil {
		t.Errorf("training in its place: known %t, %v", known, err)
	}
	if got, err := fresh.Forecast(t.Context(), btc, time.Time{}); err != nil || got.Model.ID != first.ID {
		t.Errorf("after that: model %d, %v", got.Model.ID, err)
	}
}

// What is known live is what training knew: the row of a candle is the same
// whether computed on the whole history or on the little that a forecast reads,
// and the instant within the candle makes no difference.
func TestLiveAndTrainingAgree(t *testing.T) {
	stores := newMemory(14000)
	f := NewForecaster(stores, stores)
	learnt := market.TimeRange{Start: start, End: stores.candles[btc][12000].OpenTime}
	if _, _, err := f.Train(t.Context(), btc, learnt, nil); err != nil {
		t.Fatal(err)
	}
	s, err := f.samples(t.Context(), btc, all)
	if err != nil {
		t.Fatal(err)
	}
	opening := make([]float64, len(openingNames))
	for _, k := range []int{12000 - window, 12500, s.len() - 1} {
		live, err := f.Forecast(t.Context(), btc, s.open(k).Add(7*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f.loaded[btc].model, s.look(opening, k), s.rows[k].progress, live)
	}
}

func TestTrainingNeedsEnoughCandlesAndCanBeStopped(t *testing.T) {
	stores := newMemory(11000)
	f := NewForecaster(stores, stores)
	if _, _, err := f.Train(t.Context(), btc, all, nil); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("on too few candles: %v", err)
	}
	elsewhere := market.TimeRange{Start: start.AddDate(1, 0, 0), End: start.AddDate(2, 0, 0)}
	if _, _, err := f.Train(t.Context(), btc, elsewhere, nil); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("on no candles: %v", err)
	}
	if _, err := f.WalkForward(t.Context(), btc, start, elsewhere, nil); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("evaluated where no candles are: %v", err)
	}
	stores = newMemory(14000)
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := NewForecaster(stores, stores).Train(ctx, btc, all, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) || len(stores.models) != 0 {
		t.Errorf("stopped: %v, %d models stored", err, len(stores.models))
	}
}

func TestAMonthWithoutMovesCanBeMeasured(t *testing.T) {
	stores := newMemory(16000)
	for k := range stores.candles[btc] {
		if c := &stores.candles[btc][k]; k > 12500 {
			c.Open, c.High, c.Low, c.Close = 40000, 40000, 40000, 40000
		}
	}
	m, _, err := NewForecaster(stores, stores).Train(t.Context(), btc, all, nil)
	if err != nil || m.Metrics.PointSkill != 0 {
		t.Errorf("skill %v, %v", m.Metrics.PointSkill, err)
	}
	if _, err := json.Marshal(m.Metrics); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeForecastIsSaidAtOnce(t *testing.T) {
	stores := newMemory(100)
	f := NewForecaster(stores, stores)
	for _, interval := range []market.Interval{market.Day3, market.Week1, market.Month1} {
		series := market.Series{Symbol: "BTCUSDT", Interval: interval}
		_, _, trainErr := f.Train(t.Context(), series, all, nil)
		_, walkErr := f.WalkForward(t.Context(), series, all.Start, all, nil)
		_, forecastErr := f.Forecast(t.Context(), series, start)
		for what, test := range map[string]struct {
			err  error
			code market.Code
		}{
			"training": {trainErr, market.Invalid}, "evaluating": {walkErr, market.Invalid}, "forecasting": {forecastErr, market.NotFound},
		} {
			if market.ErrorCode(test.err) != test.code || !strings.Contains(market.ErrorMessage(test.err), "a day or less") {
				t.Errorf("%s %s: %v", what, series, test.err)
			}
		}
	}
	backwards := market.TimeRange{Start: all.End, End: all.Start}
	if _, _, err := f.Train(t.Context(), btc, backwards, nil); market.ErrorCode(err) != market.Invalid {
		t.Errorf("training on a range that ends before it starts: %v", err)
	}
}
