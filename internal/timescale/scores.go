package timescale

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// mostRecords is how many records are read at once, as others wait, which leaves
// connections to those whose question takes a moment.
const mostRecords = 2

// Record implements forecast.RecordStore.
func (d *Database) Record(ctx context.Context, series market.Series, r market.TimeRange) (forecast.Record, error) {
	select {
	case d.records <- struct{}{}:
		defer func() { <-d.records }()
	case <-ctx.Done():
		return forecast.Record{}, fmt.Errorf("wait to read the record of %s: %w", series, ctx.Err())
	}
	rows, err := d.pool.Query(ctx, `
		SELECT (open_time AT TIME ZONE 'UTC')::date, forecast_stage(open_time, as_of, elapsed) AS stage, model_id,
			least(9, floor(10 * probability_above_open))::integer AS tenth,
			count(*) FILTER (WHERE scored_at IS NULL), count(scored_at),
			coalesce(sum(squared_error), 0), coalesce(sum(squared_error_if_stays), 0),
			count(*) FILTER (WHERE hit_above_open),
			coalesce(sum(brier_above_open), 0), count(brier_analytic), coalesce(sum(brier_analytic), 0),
			coalesce(sum((high_80 - low_80) / last) FILTER (WHERE scored_at IS NOT NULL), 0),
			coalesce(sum((high_90 - low_90) / last) FILTER (WHERE scored_at IS NOT NULL), 0),
			coalesce(sum(pinball_loss), 0),
			count(pinball_loss_stays), coalesce(sum(pinball_loss_stays), 0),
			count(pinball_loss_ewma), coalesce(sum(pinball_loss_ewma), 0),
			count(pinball_loss_har), coalesce(sum(pinball_loss_har), 0),
			count(*) FILTER (WHERE actual_close < low_90),
			count(*) FILTER (WHERE actual_close >= low_90 AND actual_close < low_80),
			count(*) FILTER (WHERE in_band_80),
			count(*) FILTER (WHERE actual_close > high_80 AND actual_close <= high_90),
			count(*) FILTER (WHERE actual_close > high_90),
			coalesce(sum(probability_above_open) FILTER (WHERE scored_at IS NOT NULL), 0),
			count(*) FILTER (WHERE actual_close > actual_open)
		FROM forecasts
		WHERE symbol = $1 AND interval = $2 AND open_time >= $3 AND open_time < $4
		GROUP BY 1, 2, 3, 4`, series.Symbol, series.Interval, r.Start, r.End)
	if err != nil {
		return forecast.Record{}, fmt.Errorf("read the record of %s: %w", series, err)
	}
	sums, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (forecast.RecordSums, error) {
		var s forecast.RecordSums
		err := row.Scan(&s.Day, &s.Stage, &s.ModelID, &s.Tenth, &s.Pending, &s.Rows, &s.Squares, &s.SquaresStay,
			&s.Hits, &s.Brier, &s.Analytic.Rows, &s.Analytic.Sum, &s.Width80, &s.Width90, &s.PinballLoss,
			&s.Stays.Rows, &s.Stays.Sum, &s.EWMA.Rows, &s.EWMA.Sum, &s.HAR.Rows, &s.HAR.Sum,
			&s.Places[0], &s.Places[1], &s.Places[2], &s.Places[3], &s.Places[4], &s.AboveOpen, &s.Rose)
		return s, err
	})
	if err != nil {
		return forecast.Record{}, fmt.Errorf("read the record of %s: %w", series, err)
	}
	return forecast.NewRecord(series, r, sums), nil
}

// RecentForecasts returns the newest forecasts of a series, newest first, at most limit
// of them.
func (d *Database) RecentForecasts(ctx context.Context, series market.Series, limit int) ([]forecast.RecordRow, error) {
	return d.ForecastsBehind(ctx, series, nil, limit)
}

// ForecastsBehind implements forecast.RecordStore.
func (d *Database) ForecastsBehind(
	ctx context.Context, series market.Series, behind *forecast.RecordPlace, limit int,
) ([]forecast.RecordRow, error) {
	condition, arguments := "", []any{series.Symbol, series.Interval, limit}
	if behind != nil {
		// The open time by itself lets the planner leave out chunks.
		condition = " AND open_time <= $4 AND (open_time, as_of, model_id) < ($4, $5, $6)"
		arguments = append(arguments, behind.OpenTime, behind.AsOf, behind.ModelID)
	}
	return d.recordRows(ctx, series, "SELECT "+recordColumns+`
		FROM forecasts WHERE symbol = $1 AND interval = $2`+condition+`
		ORDER BY open_time DESC, as_of DESC, model_id DESC LIMIT $3`, arguments...)
}

// FirstForecasts returns the first forecast of each candle of a series that opens in
// the range, oldest first.
func (d *Database) FirstForecasts(ctx context.Context, series market.Series, r market.TimeRange) ([]forecast.RecordRow, error) {
	return d.recordRows(ctx, series, "SELECT DISTINCT ON (open_time) "+recordColumns+`
		FROM forecasts WHERE symbol = $1 AND interval = $2 AND open_time >= $3 AND open_time < $4
		ORDER BY open_time, as_of, model_id`, series.Symbol, series.Interval, r.Start, r.End)
}

// recordColumns are what recordRows reads.
const recordColumns = `open_time, close_time, as_of, model_id, elapsed, open, last, point, low_80, high_80, low_90, high_90,
			probability_up, probability_above_open, probability_analytic,
			decision IS NOT NULL, coalesce(decision, ''), coalesce(expected_gain, 0), coalesce(fee, 0), coalesce(spread, 0),
			scored_at IS NOT NULL, coalesce(actual_open, 0), coalesce(actual_close, 0),
			coalesce(hit_above_open, false), coalesce(in_band_80, false), coalesce(in_band_90, false)`

func (d *Database) recordRows(ctx context.Context, series market.Series, query string, arguments ...any) ([]forecast.RecordRow, error) {
	rows, err := d.pool.Query(ctx, query, arguments...)
	if err != nil {
		return nil, fmt.Errorf("read forecasts of %s: %w", series, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (forecast.RecordRow, error) {
		f := forecast.RecordRow{Series: series}
		f.Bands = []forecast.Band{{Level: 0.8}, {Level: 0.9}}
		decision, outcome := &f.Decision, &f.Outcome
		err := row.Scan(&f.OpenTime, &f.CloseTime, &f.AsOf, &f.ModelID, &f.Elapsed, &f.Open, &f.Last, &f.Point,
			&f.Bands[0].Low, &f.Bands[0].High, &f.Bands[1].Low, &f.Bands[1].High,
			&f.ProbabilityUp, &f.ProbabilityAboveOpen, nullable[float64]{&f.ProbabilityAnalytic},
			&decision.Valid, &decision.Value.Action, &decision.Value.ExpectedGain, &decision.Value.Costs.Fee, &decision.Value.Costs.Spread,
			&outcome.Valid, &outcome.Value.Open, &outcome.Value.Close,
			&outcome.Value.Hit, &outcome.Value.InBand80, &outcome.Value.InBand90)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("read forecasts of %s: %w", series, err)
	}
	return found, nil
}
