package timescale

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// ClaimOrigin records where the candles of this database come from, for good.
// Where it was claimed for the other origin before, the error is a Conflict that
// says what to do.
func (d *Database) ClaimOrigin(ctx context.Context, origin history.Origin) error {
	// A claim that loses the race waits here for the other one to commit, and sees
	// it below.
	_, err := d.pool.Exec(ctx, `INSERT INTO market_origin (origin) VALUES ($1) ON CONFLICT DO NOTHING`, origin)
	if err != nil {
		return fmt.Errorf("claim the database for %s candles: %w", origin, err)
	}
	return d.CheckOrigin(ctx, origin)
}

// CheckOrigin returns the Conflict error of a claim that would be refused, and
// claims nothing.
func (d *Database) CheckOrigin(ctx context.Context, origin history.Origin) error {
	claimed, err := d.Origin(ctx)
	if err != nil || claimed == origin || claimed == "" {
		return err
	}
	return market.Errorf(market.Conflict,
		"this database holds %s candles; %s ones need a database of their own: name it in CRYPTOBOAT_DATABASE_URL", claimed, origin)
}

// Origin returns where the candles of this database come from, "" where nobody
// has claimed it yet.
func (d *Database) Origin(ctx context.Context) (history.Origin, error) {
	var origin history.Origin
	err := d.pool.QueryRow(ctx, `SELECT origin FROM market_origin`).Scan(&origin)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("read where the candles come from: %w", err)
	}
	return origin, nil
}
