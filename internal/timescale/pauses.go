package timescale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// Pause returns the pause of a host of the exchange that holds, the zero Pause
// where there is none.
func (d *Database) Pause(ctx context.Context, host string) (history.Pause, error) {
	var p history.Pause
	// By our clock, not the database's.
	err := d.pool.QueryRow(ctx, `
		SELECT until_time, reason FROM exchange_pauses WHERE host = $1 AND until_time > $2`,
		host, time.Now()).Scan(&p.Until, &p.Reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return history.Pause{}, fmt.Errorf("read until when %s must not be asked: %w", host, err)
	}
	return p, nil
}

// SetPause records a pause of a host. Of several the one that lasts longest
// holds. What is recorded of other hosts and over is removed.
func (d *Database) SetPause(ctx context.Context, host string, p history.Pause) error {
	_, err := d.pool.Exec(ctx, `
		INSERT INTO exchange_pauses AS stored (host, until_time, reason) VALUES ($1, $2, $3)
		ON CONFLICT (host) DO UPDATE SET until_time = excluded.until_time, reason = excluded.reason, told_at = excluded.told_at
		WHERE stored.until_time < excluded.until_time`, host, p.Until, p.Reason)
	if err != nil {
		return fmt.Errorf("store until when %s must not be asked: %w", host, err)
	}
	// A statement of its own: together they could deadlock with those of another host.
	_, err = d.pool.Exec(ctx, `DELETE FROM exchange_pauses WHERE host <> $1 AND until_time <= $2`, host, time.Now())
	if err != nil {
		return fmt.Errorf("remove pauses of the exchange that are over: %w", err)
	}
	return nil
}
