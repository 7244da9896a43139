package timescale

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Catalogue lists every series of which candles are stored as delivered.
func (d *Database) Catalogue(ctx context.Context) (history.Catalogue, error) {
	return d.catalogue(ctx, `SELECT symbol, interval, first_open_time, last_open_time FROM stored_series`)
}

// catalogueOf lists the stored series of one symbol.
func (d *Database) catalogueOf(ctx context.Context, symbol market.Symbol) (history.Catalogue, error) {
	return d.catalogue(ctx, `SELECT $2::text AS symbol, interval, first_open_time, last_open_time FROM stored_series_of($2)`, symbol)
}

// catalogue lists the series that a statement finds.
func (d *Database) catalogue(ctx context.Context, sql string, arguments ...any) (history.Catalogue, error) {
	rows, err := d.pool.Query(ctx, `
		SELECT symbol, interval, first_open_time, last_open_time FROM (`+sql+`) AS found
		ORDER BY symbol COLLATE "C", array_position($1::text[], interval)`,
		append([]any{market.Intervals()}, arguments...)...)
	if err != nil {
		return nil, fmt.Errorf("list the stored series: %w", err)
	}
	stored, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (history.StoredSeries, error) {
		var s history.StoredSeries
		err := row.Scan(&s.Symbol, &s.Interval, &s.First, &s.Last)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the stored series: %w", err)
	}
	return stored, nil
}

// Coverage returns what is stored of a symbol and what is missing, finest
// interval first, or a NotFound error where nothing is stored. It is computed
// from the rows at every call. The window of each series reaches from the place
// that holds the start to the last one that closes by the end.
func (d *Database) Coverage(
	ctx context.Context, symbol market.Symbol, window market.TimeRange,
) ([]history.Coverage, error) {
	stored, err := d.catalogueOf(ctx, symbol)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, market.Errorf(market.NotFound, "no candles of %s are stored", symbol)
	}
	coverage := make([]history.Coverage, len(stored))
	for k, s := range stored {
		start, end := s.Interval.Floor(window.Start), s.Interval.Floor(window.End)
		if end.Before(start) {
			end = start
		}
		c := history.Coverage{StoredSeries: s, Window: market.TimeRange{Start: start, End: end}}
		err := d.pool.QueryRow(ctx, `
			SELECT count(*) FROM candles
			WHERE symbol = $1 AND interval = $2 AND open_time >= $3 AND open_time < $4`,
			s.Symbol, s.Interval, start, end).Scan(&c.Rows)
		if err != nil {
			return nil, fmt.Errorf("count the candles of %s: %w", s.Series, err)
		}
		if c.Gaps, err = d.Gaps(ctx, s.Series, c.Window); err != nil {
			return nil, err
		}
		coverage[k] = c
	}
	return coverage, nil
}
