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

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

// CurrentModel implements forecast.ModelReader.
func (d *Database) CurrentModel(
	ctx context.Context, series market.Series, learntBy time.Time,
) (forecast.Model, error) {
	inUse, err := queryModels(ctx, d.pool, `m.symbol = $1 AND m.interval = $2 AND u.model_id IS NOT NULL`,
		series.Symbol, series.Interval)
	if err != nil {
		return forecast.Model{}, fmt.Errorf("read the model of %s in use: %w", series, err)
	}
	if len(inUse) == 0 {
		return forecast.Model{}, d.noneInUse(ctx, series)
	}
	if learntBy.IsZero() || !inUse[0].Window.End.After(learntBy) {
		return inUse[0], nil
	}
	earlier, err := queryModels(ctx, d.pool, `m.id = (
		SELECT id FROM models
		WHERE symbol = $1 AND interval = $2 AND window_end <= $3 AND bytes IS NOT NULL
			AND (promoted OR EXISTS (SELECT FROM model_promotions WHERE model_id = models.id))
		ORDER BY window_end DESC, trained_at DESC, id DESC LIMIT 1)`, series.Symbol, series.Interval, learntBy)
	if err != nil {
		return forecast.Model{}, fmt.Errorf("read a model of %s: %w", series, err)
	}
	if len(earlier) == 0 {
		at := learntBy.Format(time.RFC3339)
		return forecast.Model{}, market.Errorf(market.NotFound,
			"every model of %s that was promoted has learnt from candles after %s, which would be no forecast: train one by cryptoboat train -interval %s -to %s %s",
			series, at, series.Interval, at, series.Symbol)
	}
	return earlier[0], nil
}

// noneInUse returns a NotFound error that says why a series has no model in use and
// what to do.
func (d *Database) noneInUse(ctx context.Context, series market.Series) error {
	models, err := d.Models(ctx, series)
	if err != nil {
		return err
	}
	if len(models) == 0 {
		return market.Errorf(market.NotFound, "no model of %s has been trained: train one by cryptoboat train -interval %s %s",
			series, series.Interval, series.Symbol)
	}
	return market.Errorf(market.NotFound,
		"no model of %s is in use, for none was found good enough: cryptoboat models -interval %s %s says why, and cryptoboat models -promote %d puts the newest to use all the same",
		series, series.Interval, series.Symbol, models[0].ID)
}

// Models implements forecast.ModelReader.
func (d *Database) Models(ctx context.Context, series market.Series) ([]forecast.Model, error) {
	models, err := queryModels(ctx, d.pool, `m.symbol = $1 AND m.interval = $2`, series.Symbol, series.Interval)
	if err != nil {
		return nil, fmt.Errorf("read the models of %s: %w", series, err)
	}
	return models, nil
}

// Model implements forecast.ModelReader.
func (d *Database) Model(ctx context.Context, id int64) (forecast.Model, error) {
	m, err := modelOf(ctx, d.pool, id)
	if err != nil {
		return forecast.Model{}, fmt.Errorf("read model %d: %w", id, err)
	}
	return m, nil
}

// ModelContent implements forecast.ModelStore.
func (d *Database) ModelContent(ctx context.Context, id int64) ([]byte, error) {
	var content []byte
	err := d.pool.QueryRow(ctx, `SELECT bytes FROM models WHERE id = $1`, id).Scan(&content)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noModel(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read the file of model %d: %w", id, err)
	}
	if content == nil {
		m, err := d.Model(ctx, id)
		if err != nil {
			return nil, err
		}
		return nil, pruned(m)
	}
	return content, nil
}

func noModel(id int64) error { return market.Errorf(market.NotFound, "there is no model %d", id) }

// modelOf returns the model with an ID, or a NotFound error.
func modelOf(ctx context.Context, q querier, id int64) (forecast.Model, error) {
	models, err := queryModels(ctx, q, `m.id = $1`, id)
	if err != nil {
		return forecast.Model{}, err
	}
	if len(models) == 0 {
		return forecast.Model{}, noModel(id)
	}
	return models[0], nil
}

// queryModels reads the models m that meet a condition, the one trained last first;
// u is what models_in_use says of them.
func queryModels(ctx context.Context, q querier, condition string, arguments ...any) ([]forecast.Model, error) {
	rows, err := q.Query(ctx, `
		SELECT m.id, m.symbol, m.interval, m.trained_at, m.window_start, m.window_end, m.rows, m.skipped, m.data_hash,
			m.features, coalesce(m.settings::text, ''), m.metrics, m.importance, m.promoted, m.verdict,
			coalesce(octet_length(m.bytes), 0), u.in_use_since, coalesce(u.reason, '')
		FROM models AS m LEFT JOIN models_in_use AS u ON u.model_id = m.id
		WHERE `+condition+` ORDER BY m.trained_at DESC, m.id DESC`, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanModel)
}

func scanModel(row pgx.CollectableRow) (forecast.Model, error) {
	var m forecast.Model
	var metrics, importance []byte
	err := row.Scan(&m.ID, &m.Symbol, &m.Interval, &m.TrainedAt, &m.Window.Start, &m.Window.End, &m.Rows, &m.Skipped, &m.DataHash,
		&m.Features, &m.Settings, &metrics, &importance, &m.Verdict.Promoted, &m.Verdict.Reason,
		&m.Bytes, nullable[time.Time]{&m.InUseSince}, &m.InUseReason)
	if err != nil {
		return forecast.Model{}, err
	}
	if err := json.Unmarshal(metrics, &m.Metrics); err != nil {
		return forecast.Model{}, fmt.Errorf("the metrics of model %d: %w", m.ID, err)
	}
	if err := json.Unmarshal(importance, &m.Importance); err != nil {
		return forecast.Model{}, fmt.Errorf("the importance of model %d: %w", m.ID, err)
	}
	return m, nil
}
