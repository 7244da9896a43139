package forecast

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// CandleReader reads stored candles.
type CandleReader interface {
	// Candles returns the candles that open in the range, oldest first, at most
	// limit of them, rolled up from finer ones where need be.
	Candles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error)
	// LatestCandle returns the candle of the series that opened last, or a
	// NotFound error.
	LatestCandle(ctx context.Context, series market.Series) (market.Candle, error)
}

// ModelStore keeps trained models.
type ModelStore interface {
	// SaveModel stores a model and returns it with its ID, which it keeps where a
	// model of the same series and data hash is replaced.
	SaveModel(ctx context.Context, m Model, content []byte) (Model, error)
	// NewestModel returns the model of a series that has learnt the newest
	// candles, the one saved last where several have, or a NotFound error. Unless
	// the instant is zero, it has learnt none that closed after it.
	NewestModel(ctx context.Context, series market.Series, learntBy time.Time) (Model, error)
	// ModelContent returns what was stored under an ID.
	ModelContent(ctx context.Context, id int64) ([]byte, error)
}

// Forecaster trains, evaluates and forecasts on stored candles. It is safe for
// concurrent use.
type Forecaster struct {
	candles CandleReader
	models  ModelStore

	mutex  sync.Mutex
	loaded map[market.Series]loadedModel // what was asked for last
	open   map[market.Series]*openSeries
}

type loadedModel struct {
	id    int64
	model *model
}

// NewForecaster returns a forecaster on those stores.
func NewForecaster(candles CandleReader, models ModelStore) *Forecaster {
	return &Forecaster{
		candles: candles, models: models,
		loaded: map[market.Series]loadedModel{}, open: map[market.Series]*openSeries{},
	}
}

// companion is the pair whose last candles are features of another's: they move
// together, and either may be the first to.
func companion(symbol market.Symbol) market.Symbol {
	if symbol == "BTCUSDT" {
		return "ETHUSDT"
	}
	return "BTCUSDT"
}

// Forecast says where the candle that holds the instant at will close, from
// what was known when it opened, which the model's training has not gone beyond
// either. With a zero instant it is the candle after the newest stored one. It
// returns a NotFound error where there is no such model or the candles before
// that instant are missing, and an Unavailable one where the newest candles do
// not suffice yet or the model was trained on other features.
func (f *Forecaster) Forecast(ctx context.Context, series market.Series, at time.Time) (Forecast, error) {
	open := series.Interval.Floor(at)
	if at.IsZero() {
		latest, err := f.candles.LatestCandle(ctx, series)
		if err != nil {
			return Forecast{}, err
		}
		open = series.Interval.Floor(latest.OpenTime)
		if latest.Complete(series.Interval) {
			open = series.Interval.Next(open)
		}
	}
	missing := market.NotFound
	if at.IsZero() {
		missing = market.Unavailable
	}
	o, err := f.opening(ctx, series, open, missing)
	if err != nil {
		return Forecast{}, err
	}
	return o.forecast(open, o.last, o.last), nil
}

// opening reads what is known of the candle that opens at an instant, and of
// nothing later. Where the candles before it do not suffice, the error has the
// code missing.
func (f *Forecaster) opening(
	ctx context.Context, series market.Series, open time.Time, missing market.Code,
) (*opening, error) {
	record, err := f.models.NewestModel(ctx, series, open)
	if err != nil {
		return nil, err
	}
	m, err := f.load(ctx, record)
	if err != nil {
		return nil, err
	}
	own, other, err := f.tracks(ctx, series, market.TimeRange{Start: open.Add(-reach(series.Interval)), End: open})
	if err != nil {
		return nil, err
	}
	known := own.closedBy(open)
	if !own.ready(known, open) {
		return nil, market.Errorf(missing,
			"the candle of %s that opens at %s cannot be forecast: it takes the %d candles before it, the last of them closed just then",
			series, open.Format(time.RFC3339), window)
	}
	row := make([]float64, len(featureNames))
	features(row, own, known, other, open)
	return newOpening(record, m, row, open, own.close[known-1])
}

// tracks reads the candles of a series and of its companion.
func (f *Forecaster) tracks(ctx context.Context, series market.Series, r market.TimeRange) (own, other *track, err error) {
	candles, err := f.candles.Candles(ctx, series, r, math.MaxInt32)
	if err != nil {
		return nil, nil, err
	}
	others, err := f.candles.Candles(ctx,
		market.Series{Symbol: companion(series.Symbol), Interval: series.Interval}, r, math.MaxInt32)
	if err != nil {
		return nil, nil, err
	}
	return newTrack(series.Interval, candles), newTrack(series.Interval, others), nil
}

// samples reads every candle that opens in the range and what was known of it.
func (f *Forecaster) samples(ctx context.Context, series market.Series, r market.TimeRange) (*samples, error) {
	before := market.TimeRange{Start: r.Start.Add(-reach(series.Interval)), End: r.End}
	own, other, err := f.tracks(ctx, series, before)
	if err != nil {
		return nil, err
	}
	return newSamples(own, other, r), nil
}

// load returns the model of a record, from memory where it was used before.
func (f *Forecaster) load(ctx context.Context, record Model) (*model, error) {
	f.mutex.Lock()
	known := f.loaded[record.Series]
	f.mutex.Unlock()
	if known.id == record.ID {
		return known.model, nil
	}
	content, err := f.models.ModelContent(ctx, record.ID)
	if err != nil {
		return nil, err
	}
	m, err := decodeModel(content)
	if err != nil {
		return nil, fmt.Errorf("load model %d: %w", record.ID, err)
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.loaded[record.Series] = loadedModel{record.ID, m}
	return m, nil
}

// Train learns from every closed candle of the series that opens in the range,
// measures the same training on the newest month where it can do without, and
// stores the model. Nothing is trained where the newest model has learnt from the very
// same rows: that one is returned. progress may be nil.
func (f *Forecaster) Train(
	ctx context.Context, series market.Series, r market.TimeRange, progress func(done, total int),
) (trained Model, known bool, err error) {
	s, err := f.samples(ctx, series, r)
	if err != nil {
		return Model{}, false, fmt.Errorf("train %s: %w", series, err)
	}
	if err := enough(s); err != nil {
		return Model{}, false, fmt.Errorf("train %s: %w", series, err)
	}
	hash := s.hash()
	end := series.Interval.Next(s.opens[s.len()-1])
	newest, err := f.models.NewestModel(ctx, series, end)
	switch {
	case err == nil && newest.DataHash == hash:
		// One that cannot be read is trained anew.
		if _, err := f.load(ctx, newest); err == nil {
			return newest, true, nil
		}
	case err != nil && market.ErrorCode(err) != market.NotFound:
		return Model{}, false, fmt.Errorf("train %s: %w", series, err)
	}
	fold := market.TimeRange{Start: end.AddDate(0, -1, 0), End: end}
	var metrics Metrics
	if past := s.before(fold.Start); enough(past) == nil {
		m, err := fit(ctx, past, step(progress, 0, 2))
		if err != nil {
			return Model{}, false, fmt.Errorf("train %s: %w", series, err)
		}
		measured, err := m.measure(s.since(fold.Start))
		if err != nil {
			return Model{}, false, fmt.Errorf("train %s: %w", series, err)
		}
		metrics = measured.metrics(fold)
	}
	m, err := fit(ctx, s, step(progress, 1, 2))
	if err != nil {
		return Model{}, false, fmt.Errorf("train %s: %w", series, err)
	}
	content, err := m.encode()
	if err != nil {
		return Model{}, false, fmt.Errorf("train %s: %w", series, err)
	}
	trained, err = f.models.SaveModel(ctx, Model{
		Series: series, Window: market.TimeRange{Start: s.opens[0], End: end}, Rows: s.len(), Skipped: s.skipped,
		DataHash: hash, Features: modelFeatures(), Metrics: metrics,
	}, content)
	if err != nil {
		return Model{}, false, fmt.Errorf("train %s: %w", series, err)
	}
	return trained, false, nil
}

// Evaluate forecasts every candle of the series that opens in the range, walking
// forward a calendar month at a time: each month by a model that was trained on
// nothing but candles closed before it, back to history. month is called with
// the metrics of each; those of the whole range are returned.
func (f *Forecaster) Evaluate(
	ctx context.Context, series market.Series, history time.Time, r market.TimeRange, month func(Metrics),
) (Metrics, error) {
	s, err := f.samples(ctx, series, market.TimeRange{Start: history, End: r.End})
	if err != nil {
		return Metrics{}, fmt.Errorf("evaluate %s: %w", series, err)
	}
	metrics, err := walkForward(ctx, s, r, month)
	if err != nil {
		return Metrics{}, fmt.Errorf("evaluate %s: %w", series, err)
	}
	return metrics, nil
}
