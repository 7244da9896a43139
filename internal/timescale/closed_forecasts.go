package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// scoredAtOnce is how many candles have their forecasts scored in a transaction.
// There is a forecast a minute, so that days, the longest, come to 144,000 rows.
const scoredAtOnce = 100

// ScoreClosed implements jobs.Scorer. Only delivered candles count: one that is rolled
// up may lack parts.
func (d *Database) ScoreClosed(ctx context.Context, since time.Time) (news, corrected int64, err error) {
	all, err := d.forecastSeries(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, series := range all {
		for _, due := range []struct {
			from time.Time
			sql  string
		}{
			{time.Time{}, unscoredSQL},
			{since, scoredOtherwiseSQL},
		} {
			n, c, err := d.scoreDue(ctx, series, due.from, due.sql)
			news += n
			corrected += c
			if err != nil {
				return news, corrected, fmt.Errorf("score forecasts of closed candles of %s: %w", series, err)
			}
		}
	}
	return news, corrected, nil
}

// scorable is what prices must be that forecasts are scored by.
const scorable = `c.open > 0 AND c.close > 0 AND c.open < 'Infinity' AND c.close < 'Infinity'`

// These find candles of the series $1, $2 that open at $3 or later, at most $4 of them,
// oldest first: those with forecasts that are not scored, and those whose forecasts are
// scored by other prices. One forecast of a candle tells of those that are scored, as
// no transaction scores some of them.
const (
	unscoredSQL = `
		SELECT f.open_time FROM forecasts AS f JOIN candles AS c USING (symbol, interval, open_time)
		WHERE f.symbol = $1 AND f.interval = $2 AND f.open_time >= $3 AND f.scored_at IS NULL AND ` + scorable + `
		GROUP BY f.open_time ORDER BY f.open_time LIMIT $4`
	scoredOtherwiseSQL = `
		SELECT c.open_time FROM candles AS c, LATERAL (
			SELECT actual_open, actual_close FROM forecasts
			WHERE symbol = $1 AND interval = $2 AND open_time = c.open_time AND scored_at IS NOT NULL
			ORDER BY as_of, model_id LIMIT 1) AS f
		WHERE c.symbol = $1 AND c.interval = $2 AND ` + scorable + `
			AND c.open_time >= greatest($3, (
				SELECT open_time FROM forecasts WHERE symbol = $1 AND interval = $2 ORDER BY open_time LIMIT 1))
			AND (f.actual_open, f.actual_close) IS DISTINCT FROM (c.open, c.close)
		ORDER BY c.open_time LIMIT $4`
)

// scoreDue scores the forecasts of all candles that a statement finds.
func (d *Database) scoreDue(ctx context.Context, series market.Series, from time.Time, dueSQL string) (news, corrected int64, err error) {
	for {
		rows, _ := d.pool.Query(ctx, dueSQL, series.Symbol, series.Interval, from, scoredAtOnce)
		due, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
		if err != nil || len(due) == 0 {
			return news, corrected, err
		}
		n, c, err := d.scoreCandles(ctx, series, due)
		if err != nil {
			return news, corrected, err
		}
		news += n
		corrected += c
		if len(due) < scoredAtOnce {
			return news, corrected, nil
		}
		from = due[len(due)-1].Add(time.Microsecond)
	}
}

// scoreCandles scores the forecasts of candles by what is stored of them at that moment.
func (d *Database) scoreCandles(ctx context.Context, series market.Series, opens []time.Time) (news, corrected int64, err error) {
	err = d.pool.transaction(ctx, func(tx pgx.Tx) error {
		for _, scored := range []struct {
			rows *int64
			were string
		}{
			{&corrected, `f.scored_at IS NOT NULL`}, // first, since then all are
			{&news, `f.scored_at IS NULL`},
		} {
			tag, err := tx.Exec(ctx, `
				UPDATE forecasts AS f SET scored_at = now(), actual_open = c.open, actual_close = c.close
				FROM candles AS c
				WHERE f.symbol = $1 AND f.interval = $2 AND f.open_time = ANY ($3)
					AND c.symbol = $1 AND c.interval = $2 AND c.open_time = ANY ($3) AND c.open_time = f.open_time
					AND (f.actual_open, f.actual_close) IS DISTINCT FROM (c.open, c.close)
					AND `+scorable+` AND `+scored.were, series.Symbol, series.Interval, opens)
			if err != nil {
				return err
			}
			*scored.rows = tag.RowsAffected()
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return news, corrected, nil
}

// forecastSeries lists the series of which there are forecasts, stepping through the
// key from one to the next.
func (d *Database) forecastSeries(ctx context.Context) ([]market.Series, error) {
	rows, _ := d.pool.Query(ctx, `
		WITH RECURSIVE series AS (
			(SELECT symbol, interval FROM forecasts ORDER BY symbol, interval LIMIT 1)
			UNION ALL
			SELECT following.symbol, following.interval
			FROM series, LATERAL (
				SELECT f.symbol, f.interval FROM forecasts AS f WHERE (f.symbol, f.interval) > (series.symbol, series.interval)
				ORDER BY f.symbol, f.interval LIMIT 1) AS following
		)
		SELECT symbol, interval FROM series`)
	series, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s market.Series, err error) {
		return s, row.Scan(&s.Symbol, &s.Interval)
	})
	if err != nil {
		return nil, fmt.Errorf("list the series of forecasts: %w", err)
	}
	return series, nil
}
