package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// StoredSeries returns every series of which candles are stored as delivered,
// by symbol, then finest interval first.
func (d *Database) StoredSeries(ctx context.Context) ([]history.StoredSeries, error) {
	// Step through the key from one symbol to the next instead of reading rows.
	rows, err := d.pool.Query(ctx, `
		WITH RECURSIVE symbols AS (
			(SELECT symbol FROM candles ORDER BY symbol LIMIT 1)
			UNION ALL
			SELECT (SELECT c.symbol FROM candles AS c WHERE c.symbol > symbols.symbol ORDER BY c.symbol LIMIT 1)
			FROM symbols WHERE symbols.symbol IS NOT NULL
		)
		SELECT symbol FROM symbols WHERE symbol IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("read the stored symbols: %w", err)
	}
	symbols, err := pgx.CollectRows(rows, pgx.RowTo[market.Symbol])
	if err != nil {
		return nil, fmt.Errorf("read the stored symbols: %w", err)
	}
	var stored []history.StoredSeries
	for _, symbol := range symbols {
		series, err := d.storedSeries(ctx, symbol)
		if err != nil {
			return nil, err
		}
		stored = append(stored, series...)
	}
	return stored, nil
}

// storedSeries returns the stored series of one symbol, finest interval first.
func (d *Database) storedSeries(ctx context.Context, symbol market.Symbol) ([]history.StoredSeries, error) {
	rows, err := d.pool.Query(ctx, `
		SELECT name, first.open_time, last.open_time
		FROM unnest($2::text[]) WITH ORDINALITY AS interval (name, position),
		LATERAL (SELECT open_time FROM candles WHERE symbol = $1 AND candles.interval = interval.name
		         ORDER BY open_time LIMIT 1) AS first,
		LATERAL (SELECT open_time FROM candles WHERE symbol = $1 AND candles.interval = interval.name
		         ORDER BY open_time DESC LIMIT 1) AS last
		ORDER BY position`, symbol, market.Intervals())
	if err != nil {
		return nil, fmt.Errorf("read the stored series of %s: %w", symbol, err)
	}
	stored, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (history.StoredSeries, error) {
		s := history.StoredSeries{Series: market.Series{Symbol: symbol}}
		err := row.Scan(&s.Interval, &s.First, &s.Last)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the stored series of %s: %w", symbol, err)
	}
	return stored, nil
}

// Coverage returns what is stored of a symbol, finest interval first, or a
// NotFound error where nothing is. It is computed from the rows at every call.
func (d *Database) Coverage(ctx context.Context, symbol market.Symbol) ([]history.Coverage, error) {
	stored, err := d.storedSeries(ctx, symbol)
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
