package timescale

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// bands are the two bands that a stored prediction has.
type bands struct {
	Low80  float64 `json:"low_80"`
	High80 float64 `json:"high_80"`
	Low90  float64 `json:"low_90"`
	High90 float64 `json:"high_90"`
}

// bandsOf refuses what would not be stored whole.
func bandsOf(p forecast.Prediction) (bands, error) {
	if len(p.Bands) != 2 || p.Bands[0].Level != 0.8 || p.Bands[1].Level != 0.9 {
		return bands{}, market.Errorf(market.Invalid, "the bands are %v: those of 80 %% and 90 %% can be stored, in this order", p.Bands)
	}
	return bands{p.Bands[0].Low, p.Bands[0].High, p.Bands[1].Low, p.Bands[1].High}, nil
}

// storedBaseline is a baseline as the view forecast_baselines reads it.
type storedBaseline struct {
	Name          string  `json:"name"`
	Point         float64 `json:"point"`
	ProbabilityUp float64 `json:"probability_up"`
	bands
}

// storedBaselines returns baselines as a JSON array.
func storedBaselines(baselines []forecast.Baseline) ([]byte, error) {
	stored := make([]storedBaseline, len(baselines))
	for k, b := range baselines {
		ends, err := bandsOf(b.Prediction)
		if err != nil {
			return nil, fmt.Errorf("the baseline %s: %w", b.Name, err)
		}
		stored[k] = storedBaseline{Name: b.Name, Point: b.Point, ProbabilityUp: b.ProbabilityUp, bands: ends}
	}
	return json.Marshal(stored)
}

// WriteForecasts implements live.ForecastStore. A forecast of a model that is not
// stored is refused.
func (d *Database) WriteForecasts(ctx context.Context, forecasts []forecast.Forecast) error {
	batch := &pgx.Batch{} // outside of a transaction it is one
	for _, f := range forecasts {
		ends, err := bandsOf(f.Prediction)
		if err != nil {
			return fmt.Errorf("write a forecast of %s: %w", f.Series, err)
		}
		baselines, err := storedBaselines(f.Baselines)
		if err != nil {
			return fmt.Errorf("write a forecast of %s: %w", f.Series, err)
		}
		batch.Queue(`
			INSERT INTO forecasts (symbol, interval, open_time, as_of, model_id, close_time, elapsed, open, last, point,
				low_80, high_80, low_90, high_90, probability_up, probability_above_open, probability_analytic,
				decision, expected_gain, fee, spread, companion_missing, baselines)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
			ON CONFLICT (symbol, interval, open_time, as_of, model_id) DO NOTHING`,
			f.Symbol, f.Interval, f.OpenTime, f.AsOf, f.Model.ID, f.CloseTime, f.Elapsed, f.Open, f.Last, f.Point,
			ends.Low80, ends.High80, ends.Low90, ends.High90, f.ProbabilityUp, f.ProbabilityAboveOpen, f.ProbabilityAnalytic,
			f.Decision.Action, f.Decision.ExpectedGain, f.Decision.Costs.Fee, f.Decision.Costs.Spread,
			f.CompanionMissing, baselines)
	}
	if err := d.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write %d forecasts: %w", len(forecasts), err)
	}
	return nil
}

// ScoreForecasts implements live.ForecastStore. Forecasts that were scored by the
// same prices already are left as they are and not counted; those scored by
// others, of a candle that was corrected since, are scored anew.
func (d *Database) ScoreForecasts(
	ctx context.Context, series market.Series, openTime time.Time, open, close float64,
) (int64, error) {
	if !(min(open, close) > 0 && max(open, close) < math.Inf(1)) {
		return 0, market.Errorf(market.Invalid,
			"the candle to score forecasts of %s by opens at %v and closes at %v: prices must be positive and finite", series, open, close)
	}
	scored, err := d.pool.Exec(ctx, `
		UPDATE forecasts SET scored_at = now(), actual_open = $4, actual_close = $5
		WHERE symbol = $1 AND interval = $2 AND open_time = $3 AND (actual_open, actual_close) IS DISTINCT FROM ($4, $5)`,
		series.Symbol, series.Interval, openTime, open, close)
	if err != nil {
		return 0, fmt.Errorf("score the forecasts of %s from %s: %w", series, openTime.Format(time.RFC3339), err)
	}
	return scored.RowsAffected(), nil
}
