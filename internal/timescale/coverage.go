package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Catalogue lists every series of which candles are stored as delivered.
func (d *Database) Catalogue(ctx context.Context) (history.Catalogue, error) {
	// Step through the key from one symbol to the next instead of reading rows.
	return d.catalogue(ctx, `
		WITH RECURSIVE symbols AS (
			(SELECT symbol FROM candles ORDER BY symbol LIMIT 1)
			UNION ALL
			SELECT (SELECT c.symbol FROM candles AS c WHERE c.symbol > symbols.symbol ORDER BY c.symbol LIMIT 1)
			FROM symbols WHERE symbols.symbol IS NOT NULL
		)`, market.Intervals())
}

// catalogueOf lists the stored series of one symbol.
func (d *Database) catalogueOf(ctx context.Context, symbol market.Symbol) (history.Catalogue, error) {
	return d.catalogue(ctx, `WITH symbols AS (SELECT $2::text AS symbol)`, market.Intervals(), symbol)
}

// catalogue lists the stored series of the symbols that a WITH clause names.
func (d *Database) catalogue(ctx context.Context, symbols string, arguments ...any) (history.Catalogue, error) {
	rows, err := d.pool.Query(ctx, symbols+`
		SELECT symbols.symbol, name, first.open_time, last.open_time
		FROM symbols, unnest($1::text[]) WITH ORDINALITY AS intervals (name, position),
		LATERAL (SELECT open_time FROM candles WHERE symbol = symbols.symbol AND interval = name
		         ORDER BY open_time LIMIT 1) AS first,
		LATERAL (SELECT open_time FROM candles WHERE symbol = symbols.symbol AND interval = name
		         ORDER BY open_time DESC LIMIT 1) AS last
		ORDER BY symbols.symbol, position`, arguments...)
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

// Coverage returns what is stored of a symbol, finest interval first, or a
// NotFound error where nothing is. It is computed from the rows at every call.
func (d *Database) Coverage(ctx context.Context, symbol market.Symbol) ([]history.Coverage, error) {
	stored, err := d.catalogueOf(ctx, symbol)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, market.Errorf(market.NotFound, "no candles of %s are stored", symbol)
	}
	coverage := make([]history.Coverage, len(stored))
	for k, s := range stored {
		if coverage[k], err = d.coverage(ctx, s); err != nil {
			return nil, fmt.Errorf("coverage of %s: %w", s.Series, err)
		}
	}
	return coverage, nil
}

func (d *Database) coverage(ctx context.Context, stored history.StoredSeries) (history.Coverage, error) {
	c := history.Coverage{StoredSeries: stored}
	err := d.pool.QueryRow(ctx, `SELECT count(*) FROM candles WHERE symbol = $1 AND interval = $2`,
		stored.Symbol, stored.Interval).Scan(&c.Rows)
	if err != nil {
		return c, err
	}
	// A month has no fixed length for the exchange, but has one for the database.
	rows, err := d.pool.Query(ctx, `
		SELECT open_time, next
		FROM (SELECT open_time, lead(open_time) OVER (ORDER BY open_time) AS next
		      FROM candles WHERE symbol = $1 AND interval = $2) AS candle
		WHERE next > open_time + $3::text::interval
		ORDER BY open_time`, stored.Symbol, stored.Interval, lengthInSQL(stored.Interval))
	if err != nil {
		return c, err
	}
	gaps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (gap market.TimeRange, err error) {
		err = row.Scan(&gap.Start, &gap.End)
		return gap, err
	})
	for _, gap := range gaps {
		if h := hole(stored.Interval, gap.Start, gap.End); h.Missing > 0 {
			c.Holes = append(c.Holes, h)
		}
	}
	return c, err
}

// hole is what is missing between two neighbours, counted on the grid: a candle
// that opens off it stands for the bucket that it opens in.
func hole(interval market.Interval, before, next time.Time) history.Hole {
	h := history.Hole{TimeRange: market.TimeRange{Start: interval.Next(interval.Floor(before)), End: interval.Floor(next)}}
	for open := h.Start; open.Before(h.End); open = interval.Next(open) {
		h.Missing++
	}
	return h
}

func lengthInSQL(interval market.Interval) string {
	if interval == market.Month1 {
		return "1 month"
	}
	return fmt.Sprintf("%d seconds", int64(interval.Length()/time.Second))
}
