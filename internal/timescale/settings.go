package timescale

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/settings"
)

const storedSettingsSQL = `SELECT name, value, changed_at, changed_by FROM settings`

// StoredSettings implements settings.Store.
func (d *Database) StoredSettings(ctx context.Context) ([]settings.Stored, error) {
	rows, _ := d.pool.Query(ctx, storedSettingsSQL)
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[settings.Stored])
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return stored, nil
}

// ChangeSettings implements settings.Store.
func (d *Database) ChangeSettings(
	ctx context.Context, by string, decide func([]settings.Stored) ([]settings.Change, error),
) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		// Those who change settings wait for each other; readers do not.
		if _, err := tx.Exec(ctx, `LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, storedSettingsSQL)
		stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[settings.Stored])
		if err != nil {
			return err
		}
		changes, err := decide(stored)
		if err != nil {
			return err
		}
		for _, change := range changes {
			if change.Reset {
				_, err = tx.Exec(ctx, `DELETE FROM settings WHERE name = $1`, change.Name)
			} else {
				_, err = tx.Exec(ctx, `
					INSERT INTO settings (name, value, changed_by) VALUES ($1, $2, $3)
					ON CONFLICT (name) DO UPDATE SET (value, changed_at, changed_by) = (excluded.value, excluded.changed_at, excluded.changed_by)`,
					change.Name, change.Value, by)
			}
			if err != nil {
				return err
			}
			if err := writeAudit(ctx, tx, change.Entry); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("change settings: %w", err)
	}
	return nil
}
