package timescale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Listed implements history.Store.
func (d *Database) Listed(ctx context.Context, symbol market.Symbol) (market.Optional[time.Time], error) {
	var listed time.Time
	err := d.pool.QueryRow(ctx, `SELECT listed_at FROM listings WHERE symbol = $1`, symbol).Scan(&listed)
	if errors.Is(err, pgx.ErrNoRows) {
		return market.Optional[time.Time]{}, nil
	}
	if err != nil {
		return market.Optional[time.Time]{}, fmt.Errorf("read when %s was listed: %w", symbol, err)
	}
	return market.Some(listed), nil
}

// SetListed implements history.Store.
func (d *Database) SetListed(ctx context.Context, symbol market.Symbol, listed time.Time) error {
	_, err := d.pool.Exec(ctx, `
		INSERT INTO listings (symbol, listed_at) VALUES ($1, $2)
		ON CONFLICT (symbol) DO UPDATE SET listed_at = excluded.listed_at`, symbol, listed)
	if err != nil {
		return fmt.Errorf("store when %s was listed: %w", symbol, err)
	}
	return nil
}
