package forecast

import (
	"context"
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

// Forecaster trains, evaluates and forecasts on stored candles. It is safe for
// concurrent use.
type Forecaster struct {
	candles CandleReader
	models  ModelStore
	costs   Costs // under mutex

	mutex  sync.Mutex
	loaded map[market.Series]loadedModel // what was asked for last
	open   map[market.Series]*openSeries
}

type loadedModel struct {
	id    int64
	model *model
}

// NewForecaster returns a forecaster on those stores, whose decisions reckon with
// UsualCosts. models may be nil for one that only evaluates.
func NewForecaster(candles CandleReader, models ModelStore) *Forecaster {
	return &Forecaster{
		candles: candles, models: models, costs: UsualCosts,
		loaded: map[market.Series]loadedModel{}, open: map[market.Series]*openSeries{},
	}
}

// ReckonWith makes decisions reckon with those costs, of candles that open from now on.
func (f *Forecaster) ReckonWith(costs Costs) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.costs = costs
}

func (f *Forecaster) costsNow() Costs {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.costs
}

// companion is the pair whose last candles are features of another's: they move
// together, and either may be the first to.
func companion(symbol market.Symbol) market.Symbol {
	if symbol == "BTCUSDT" {
		return "ETHUSDT"
	}
	return "BTCUSDT"
}

// longestInterval is that of the longest candles that can be forecast: of longer ones
// no market has seen as many as a training takes.
const longestInterval = market.Day1

// tooLong returns an error with that code for a series of candles that are too long.
func tooLong(series market.Series, code market.Code) error {
	if series.Interval.Length() <= longestInterval.Length() {
		return nil
	}
	return market.Errorf(code, "candles of %s cannot be forecast, for a training takes %d of them: ask for an interval of a day or less",
		series.Interval, FewestCandles(series.Interval))
}

// Forecast says where the candle that holds the instant at will close, from
// what was known when it opened, which the model's training has not gone beyond
// either. With a zero instant it is the candle after the newest stored one. It
// returns a NotFound error where there is no such model, the candles before that
// instant are missing or candles of that length are never forecast, and an Unavailable one where the
// newest candles do not suffice yet, the model was trained on other features, or its
// file is pruned while it is asked for.
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
	return o.forecast(open, untraded(o.last))
}

// opening reads what is known of the candle that opens at an instant, and of
// nothing later. Where the candles before it do not suffice, the error has the
// code missing.
func (f *Forecaster) opening(
	ctx context.Context, series market.Series, open time.Time, missing market.Code,
) (*opening, error) {
	if err := tooLong(series, market.NotFound); err != nil {
		return nil, err
	}
	record, m, err := f.current(ctx, series, open)
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
	return newOpening(record, m, own, known, other, open, f.costsNow()), nil
}

// currentReads is how often it is asked which model makes the forecasts where its file
// is pruned before it is read: each time by another training, or never again.
const currentReads = 3

// current returns the model that makes the forecasts of candles that open at an instant.
func (f *Forecaster) current(ctx context.Context, series market.Series, open time.Time) (Model, *model, error) {
	for range currentReads {
		record, err := f.models.CurrentModel(ctx, series, open)
		if err != nil {
			return Model{}, nil, err
		}
		m, err := f.load(ctx, record)
		if market.ErrorCode(err) != market.Conflict {
			return record, m, err
		}
	}
	return Model{}, nil, market.Errorf(market.Unavailable, "the models of %s are being pruned: ask again", series)
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

// samples reads every candle that opens in the range and what was known of it. It
// returns an Invalid error where there cannot be any, whatever is stored.
func (f *Forecaster) samples(ctx context.Context, series market.Series, r market.TimeRange) (*samples, error) {
	if err := tooLong(series, market.Invalid); err != nil {
		return nil, err
	}
	if r.Empty() {
		return nil, market.Errorf(market.Invalid, "no candle opens from %s up to %s: the start must lie before the end",
			r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339))
	}
	before := market.TimeRange{Start: r.Start.Add(-reach(series.Interval)), End: r.End}
	own, other, err := f.tracks(ctx, series, before)
	if err != nil {
		return nil, err
	}
	if err := f.lookInside(ctx, own, series, r); err != nil {
		return nil, err
	}
	return newSamples(own, other, r), nil
}
