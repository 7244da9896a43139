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
func (d *Database) SaveModel(
	ctx context.Context, m forecast.Model, content []byte, replaces market.Optional[int64],
) (forecast.Model, error) {
	saved, err := d.saveModel(ctx, m, content, replaces)
	if err != nil {
		return forecast.Model{}, fmt.Errorf("save a model of %s: %w", m.Series, err)
	}
	return saved, nil
}

func (d *Database) saveModel(
	ctx context.Context, m forecast.Model, content []byte, replaces market.Optional[int64],
) (saved forecast.Model, err error) {
	var settings []byte
	if m.Settings != "" {
		settings = []byte(m.Settings)
	}
	metrics, err := json.Marshal(m.Metrics)
	if err != nil {
		return forecast.Model{}, err
	}
	importance := []byte("[]")
	if len(m.Importance) > 0 {
		if importance, err = json.Marshal(m.Importance); err != nil {
			return forecast.Model{}, err
		}
	}
	err = d.pool.transaction(ctx, func(tx pgx.Tx) error {
		if replaces.Valid {
			if err := lockPromotions(ctx, tx); err != nil {
				return err
			}
			inUse, err := modelInUse(ctx, tx, m.Series)
			if err != nil {
				return err
			}
			if inUse != replaces.Value {
				return market.Errorf(market.Conflict, "model %d of %s was put to use meanwhile", inUse, m.Series)
			}
		}
		var id int64
		err := tx.QueryRow(ctx, `
			INSERT INTO models (symbol, interval, window_start, window_end, rows, skipped, data_hash, features,
				settings, metrics, importance, promoted, verdict, bytes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
			ON CONFLICT (symbol, interval, data_hash) DO UPDATE SET
				trained_at = now(), window_start = excluded.window_start, window_end = excluded.window_end,
				rows = excluded.rows, skipped = excluded.skipped, features = excluded.features, settings = excluded.settings, metrics = excluded.metrics,
				importance = excluded.importance, promoted = excluded.promoted, verdict = excluded.verdict, bytes = excluded.bytes
			RETURNING id`,
			m.Symbol, m.Interval, m.Window.Start, m.Window.End, m.Rows, m.Skipped, m.DataHash, m.Features,
			settings, metrics, importance, m.Verdict.Promoted, m.Verdict.Reason, content).Scan(&id)
		if err != nil {
			return err
		}
		if replaces.Valid && id != replaces.Value {
			if err := promote(ctx, tx, id, "gate", m.Verdict.Reason); err != nil {
				return err
			}
		}
		saved, err = modelOf(ctx, tx, id)
		return err
	})
	return saved, err
}

// PromoteModel implements forecast.ModelStore.
func (d *Database) PromoteModel(ctx context.Context, id int64, reason string) (promoted forecast.Model, err error) {
	err = d.pool.transaction(ctx, func(tx pgx.Tx) error {
		if err := lockPromotions(ctx, tx); err != nil {
			return err
		}
		promoted, err = modelOf(ctx, tx, id)
		if err != nil || promoted.InUseSince.Valid {
			return err
		}
		if promoted.Bytes == 0 {
			return pruned(promoted)
		}
		if err := promote(ctx, tx, id, "request", reason); err != nil {
			return err
		}
		promoted, err = modelOf(ctx, tx, id)
		return err
	})
	if err != nil {
		return forecast.Model{}, fmt.Errorf("promote model %d: %w", id, err)
	}
	return promoted, nil
}

func promote(ctx context.Context, tx pgx.Tx, id int64, by, reason string) error {
	_, err := tx.Exec(ctx, `INSERT INTO model_promotions (model_id, promoted_by, reason) VALUES ($1, $2, $3)`, id, by, reason)
	return err
}

// lockPromotions makes everyone who would put a model to use, or prune one, wait for
// the end of the transaction. Who reads does not.
func lockPromotions(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `LOCK TABLE model_promotions IN SHARE ROW EXCLUSIVE MODE`)
	return err
}

// modelInUse returns the ID of a series' model in use, 0 where there is none.
func modelInUse(ctx context.Context, tx pgx.Tx, series market.Series) (id int64, err error) {
	err = tx.QueryRow(ctx, `SELECT model_id FROM models_in_use WHERE symbol = $1 AND interval = $2`,
		series.Symbol, series.Interval).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return id, err
}

// pruned is the error for a model that lacks its file.
func pruned(m forecast.Model) error {
	return market.Errorf(market.Conflict,
		"only the record of model %d is kept, its file was pruned: train it again by cryptoboat train -interval %s -from %s -to %s %s",
		m.ID, m.Interval, m.Window.Start.Format(time.RFC3339), m.Window.End.Format(time.RFC3339), m.Symbol)
}

// PruneModels implements forecast.ModelStore.
func (d *Database) PruneModels(ctx context.Context, series market.Series, keep int) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		if err := lockPromotions(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE models SET bytes = NULL WHERE id IN (
				SELECT id FROM models WHERE symbol = $1 AND interval = $2 AND bytes IS NOT NULL
				ORDER BY trained_at DESC, id DESC OFFSET $3)
			AND id NOT IN (SELECT model_id FROM models_in_use)`,
			series.Symbol, series.Interval, keep)
		return err
	})
	if err != nil {
		return fmt.Errorf("prune the models of %s: %w", series, err)
	}
	return nil
}
