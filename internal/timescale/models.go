package timescale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// SaveModel implements forecast.ModelStore.
func (d *Database) SaveModel(ctx context.Context, m forecast.Model, content []byte) (forecast.Model, error) {
	metrics, err := json.Marshal(m.Metrics)
	if err != nil {
		return forecast.Model{}, fmt.Errorf("save a model of %s: %w", m.Series, err)
	}
	_, err = d.pool.Exec(ctx, `
		INSERT INTO models (symbol, interval, window_start, window_end, rows, skipped, data_hash, features, metrics, bytes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (symbol, interval, data_hash) DO UPDATE SET
			trained_at = now(), features = excluded.features, metrics = excluded.metrics, bytes = excluded.bytes`,
		m.Symbol, m.Interval, m.Window.Start, m.Window.End, m.Rows, m.Skipped, m.DataHash, m.Features, metrics, content)
	if err != nil {
		return forecast.Model{}, fmt.Errorf("save a model of %s: %w", m.Series, err)
	}
	return d.model(ctx, m.Series, `data_hash = $3`, m.DataHash)
}

// NewestModel implements forecast.ModelStore.
func (d *Database) NewestModel(
	ctx context.Context, series market.Series, learntBy time.Time,
) (forecast.Model, error) {
	newest, err := d.model(ctx, series, `true`)
	if err != nil || learntBy.IsZero() || !newest.Window.End.After(learntBy) {
		return newest, err
	}
	earlier, err := d.model(ctx, series, `window_end <= $3`, learntBy)
	if market.ErrorCode(err) == market.NotFound {
		return forecast.Model{}, market.Errorf(market.NotFound,
			"every model of %s has learnt from candles after %s, which would be no forecast: train one by cryptoboat train -interval %s -to %s %s",
			series, learntBy.Format(time.RFC3339), series.Interval, learntBy.Format(time.RFC3339), series.Symbol)
	}
	return earlier, err
}

// model reads the record of a series that meets a condition and has learnt the
// newest candles, the one trained last where several have.
func (d *Database) model(
	ctx context.Context, series market.Series, condition string, arguments ...any,
) (forecast.Model, error) {
	m := forecast.Model{Series: series}
	var metrics []byte
	err := d.pool.QueryRow(ctx, `
		SELECT id, trained_at, window_start, window_end, rows, skipped, data_hash, features, metrics
		FROM models WHERE symbol = $1 AND interval = $2 AND `+condition+`
		ORDER BY window_end DESC, trained_at DESC LIMIT 1`, append([]any{series.Symbol, series.Interval}, arguments...)...).
		Scan(&m.ID, &m.TrainedAt, &m.Window.Start, &m.Window.End, &m.Rows, &m.Skipped, &m.DataHash, &m.Features, &metrics)
	if errors.Is(err, pgx.ErrNoRows) {
		return forecast.Model{}, market.Errorf(market.NotFound,
			"no model of %s has been trained: train one by cryptoboat train -interval %s %s",
			series, series.Interval, series.Symbol)
	}
	if err == nil {
		err = json.Unmarshal(metrics, &m.Metrics)
	}
	if err != nil {
		return forecast.Model{}, fmt.Errorf("read a model of %s: %w", series, err)
	}
	return m, nil
}

// ModelContent implements forecast.ModelStore.
func (d *Database) ModelContent(ctx context.Context, id int64) ([]byte, error) {
	var content []byte
	err := d.pool.QueryRow(ctx, `SELECT bytes FROM models WHERE id = $1`, id).Scan(&content)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, market.Errorf(market.NotFound, "there is no model %d", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read model %d: %w", id, err)
	}
	return content, nil
}
