package timescale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// Pause returns the pause that holds, the zero Pause where there is none.
func (d *Database) Pause(ctx context.Context) (history.Pause, error) {
	var p history.Pause
	// By our clock, not the database's.
	err := d.pool.QueryRow(ctx, `
		SELECT until_time, reason FROM exchange_pauses WHERE until_time > $1
		ORDER BY until_time DESC LIMIT 1`, time.Now()).Scan(&p.Until, &p.Reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return history.Pause{}, fmt.Errorf("read until when the exchange must not be asked: %w", err)
	}
	return p, nil
}

// SetPause records a pause. Of several the one that lasts longest holds.
func (d *Database) SetPause(ctx context.Context, p history.Pause) error {
	_, err := d.pool.Exec(ctx, `
		INSERT INTO exchange_pauses (until_time, reason) VALUES ($1, $2) ON CONFLICT DO NOTHING`, p.Until, p.Reason)
	if err != nil {
		return fmt.Errorf("store until when the exchange must not be asked: %w", err)
	}
	return nil
}
