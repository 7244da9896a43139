package timescale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

var candleColumns = []string{
	"symbol", "interval", "open_time", "open", "high", "low", "close", "volume",
	"quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume",
}

const uniqueViolation = "23505"

// takeTurnsSQL makes writers of the series $1 wait for each other until their
// transactions end. What they go by must be read by a later statement, which sees
// what the one before has written.
const takeTurnsSQL = `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`

// mostCorrectedOpenTimes bounds history.WriteResult.CorrectedOpenTimes.
const mostCorrectedOpenTimes = 20

// WriteCandles implements history.CandleWriter. Writers of the same series wait
// for each other.
//
// Candles go straight into the table as long as none of them is stored, which
// is the case of a first import; where one is, they go through a staging table
// that tells new from corrected.
func (d *Database) WriteCandles(
	ctx context.Context, series market.Series, open func() (history.CandleReader, error),
) (history.WriteResult, error) {
	var result history.WriteResult
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, takeTurnsSQL, series.String()); err != nil {
			return err
		}
		var err error
		result, err = insertCandles(ctx, tx, series, open)
		if pgError, ok := errors.AsType[*pgconn.PgError](err); ok && pgError.Code == uniqueViolation {
			result, err = stageCandles(ctx, tx, series, open)
		}
		return err
	})
	if err != nil {
		return history.WriteResult{}, fmt.Errorf("write candles of %s: %w", series, err)
	}
	return result, nil
}

// insertCandles copies into the table within a savepoint, so that the
// transaction outlives a candle that is stored already.
func insertCandles(
	ctx context.Context, tx pgx.Tx, series market.Series, open func() (history.CandleReader, error),
) (history.WriteResult, error) {
	var copied candleCopy
	err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) (err error) {
		copied, err = copyCandles(ctx, savepoint, "candles", series, open)
		return err
	})
	return history.WriteResult{New: copied.rows, Touched: copied.touched}, err
}

func stageCandles(
	ctx context.Context, tx pgx.Tx, series market.Series, open func() (history.CandleReader, error),
) (history.WriteResult, error) {
	if _, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE staged_candles (LIKE candles) ON COMMIT DROP`); err != nil {
		return history.WriteResult{}, err
	}
	copied, err := copyCandles(ctx, tx, "staged_candles", series, open)
	if err != nil {
		return history.WriteResult{}, err
	}
	if _, err := tx.Exec(ctx, `ANALYZE staged_candles`); err != nil {
		return history.WriteResult{}, err
	}
	return mergeCandles(ctx, tx, series, copied.touched, copied.rows, `staged_candles`)
}

// mergeCandles stores the rows of a source, a FROM item, whose candles touch a
// range, and tells new, corrected and unchanged ones apart.
//
// As long as a candle is the same, what is stored of it is not replaced by an
// absent value: that a source does not publish a column does not make it untrue.
// Of a candle with another volume it would be.
func mergeCandles(
	ctx context.Context, tx pgx.Tx, series market.Series, touched market.TimeRange, rows int64,
	source string, arguments ...any,
) (history.WriteResult, error) {
	batch := &pgx.Batch{}
	// The source may reach over any number of candles in the columnstore.
	batch.Queue(`SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0`)
	// Looking up one candle at a time in the columnstore unpacks a thousand for
	// each.
	batch.Queue(`SET LOCAL enable_nestloop = off`)
	result := history.WriteResult{Touched: touched}
	// What is unchanged is not written: it would be locked, or unpacked from the
	// columnstore. The bounds are repeated as values, which lets the planner leave
	// out chunks.
	batch.Queue(`
		WITH changed AS (
			SELECT s.open_time, s.open, s.high, s.low, s.close, s.volume,
			       v.quote_volume, v.trades, v.taker_buy_volume, v.taker_buy_quote_volume,
			       c.open_time IS NOT NULL AS corrected
			FROM `+source+` AS s
			LEFT JOIN candles AS c ON c.symbol = $1 AND c.interval = $2 AND c.open_time = s.open_time
				AND c.open_time >= $3 AND c.open_time < $4
			CROSS JOIN LATERAL (SELECT
				coalesce(s.quote_volume, CASE WHEN c.volume = s.volume THEN c.quote_volume END) AS quote_volume,
				coalesce(s.trades, CASE WHEN c.volume = s.volume THEN c.trades END) AS trades,
				coalesce(s.taker_buy_volume, CASE WHEN c.volume = s.volume THEN c.taker_buy_volume END) AS taker_buy_volume,
				coalesce(s.taker_buy_quote_volume, CASE WHEN c.volume = s.volume THEN c.taker_buy_quote_volume END) AS taker_buy_quote_volume
			) AS v
			WHERE (c.open, c.high, c.low, c.close, c.volume,
			       c.quote_volume, c.trades, c.taker_buy_volume, c.taker_buy_quote_volume)
			      IS DISTINCT FROM
			      (s.open, s.high, s.low, s.close, s.volume,
			       v.quote_volume, v.trades, v.taker_buy_volume, v.taker_buy_quote_volume)
		), written AS (
			INSERT INTO candles
			SELECT $1, $2, open_time, open, high, low, close, volume,
			       quote_volume, trades, taker_buy_volume, taker_buy_quote_volume
			FROM changed
			ON CONFLICT (symbol, interval, open_time) DO UPDATE SET
				open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
				volume = excluded.volume, quote_volume = excluded.quote_volume, trades = excluded.trades,
				taker_buy_volume = excluded.taker_buy_volume, taker_buy_quote_volume = excluded.taker_buy_quote_volume
		)
		SELECT count(*) FILTER (WHERE NOT corrected), count(*) FILTER (WHERE corrected),
		       array(SELECT open_time FROM changed WHERE corrected ORDER BY open_time LIMIT $5)
		FROM changed`,
		append([]any{series.Symbol, series.Interval, touched.Start, touched.End, mostCorrectedOpenTimes}, arguments...)...,
	).QueryRow(func(row pgx.Row) error {
		return row.Scan(&result.New, &result.Corrected, &result.CorrectedOpenTimes)
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return history.WriteResult{}, err
	}
	result.Unchanged = rows - result.New - result.Corrected
	return result, nil
}

func copyCandles(
	ctx context.Context, tx pgx.Tx, table string, series market.Series, open func() (history.CandleReader, error),
) (candleCopy, error) {
	reader, err := open()
	if err != nil {
		return candleCopy{}, err
	}
	source := candleCopy{series: series, reader: reader, values: make([]any, len(candleColumns))}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{table}, candleColumns, &source)
	// The reader's own error says more than the aborted COPY's.
	return source, errors.Join(first(source.err, err), reader.Close())
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// candleCopy feeds a reader's candles to COPY, one at a time.
type candleCopy struct {
	series  market.Series
	reader  history.CandleReader
	current market.Candle
	values  []any // reused for every row: pgx has encoded one before it asks for the next
	rows    int64
	touched market.TimeRange
	err     error
}

func (c *candleCopy) Next() bool {
	c.current, c.err = c.reader.Next()
	if c.err != nil {
		if errors.Is(c.err, io.EOF) {
			c.err = nil
		}
		return false
	}
	c.rows++
	if open := c.current.OpenTime; c.touched.Empty() || open.Before(c.touched.Start) {
		c.touched.Start = open
	}
	if end := c.series.Interval.Next(c.current.OpenTime); end.After(c.touched.End) {
		c.touched.End = end
	}
	return true
}

func (c *candleCopy) Values() ([]any, error) {
	k := &c.current
	c.values[0], c.values[1], c.values[2] = string(c.series.Symbol), string(c.series.Interval), k.OpenTime
	c.values[3], c.values[4], c.values[5], c.values[6], c.values[7] = k.Open, k.High, k.Low, k.Close, k.Volume
	c.values[8] = pgtype.Float8{Float64: k.QuoteVolume.Value, Valid: k.QuoteVolume.Valid}
	c.values[9] = pgtype.Int8{Int64: k.Trades.Value, Valid: k.Trades.Valid}
	c.values[10] = pgtype.Float8{Float64: k.TakerBuyVolume.Value, Valid: k.TakerBuyVolume.Valid}
	c.values[11] = pgtype.Float8{Float64: k.TakerBuyQuoteVolume.Value, Valid: k.TakerBuyQuoteVolume.Valid}
	return c.values, nil
}

func (c *candleCopy) Err() error { return c.err }

// Candles returns the candles of a series that open in the range, oldest first,
// at most limit of them. A candle that is stored at that very interval comes as
// it was delivered; where there is none, it is rolled up from the coarsest
// stored interval that divides it, and where parts of that are missing, from a
// finer one that covers more of it. What nothing covers is left out.
func (d *Database) Candles(
	ctx context.Context, series market.Series, r market.TimeRange, limit int,
) ([]market.Candle, error) {
	if r.Empty() || limit <= 0 {
		return nil, nil
	}
	candles, err := d.nativeCandles(ctx, series, r, limit)
	if err != nil {
		return nil, fmt.Errorf("read candles of %s: %w", series, err)
	}
	lacking := lackingRanges(series.Interval, candles, r, limit)
	if len(lacking) == 0 {
		return candles, nil
	}
	stored, err := d.catalogueOf(ctx, series.Symbol)
	if err != nil {
		return nil, err
	}
	for _, source := range slices.Backward(stored.Sources(series)) {
		if source.Interval == series.Interval {
			continue
		}
		for _, part := range lacking {
			if !part.End.After(series.Interval.Floor(source.First)) || part.Start.After(source.Last) {
				continue
			}
			rolledUp, err := d.rolledUpCandles(ctx, series, source.Interval, part, limit)
			if err != nil {
				return nil, fmt.Errorf("roll up candles of %s from %s: %w", series, source.Interval, err)
			}
			candles = mergeByCover(series.Interval, candles, rolledUp, limit)
		}
		lacking = lackingRanges(series.Interval, candles, r, limit)
	}
	return candles, nil
}

// StoredCandles returns the candles of a series that open in the range as they
// were delivered, oldest first, at most limit of them.
func (d *Database) StoredCandles(
	ctx context.Context, series market.Series, r market.TimeRange, limit int,
) ([]market.Candle, error) {
	if r.Empty() || limit <= 0 {
		return nil, nil
	}
	candles, err := d.nativeCandles(ctx, series, r, limit)
	if err != nil {
		return nil, fmt.Errorf("read stored candles of %s: %w", series, err)
	}
	return candles, nil
}

// LatestCandle returns the candle of a series that opens last, delivered or
// rolled up, or a NotFound error where nothing stored yields one.
func (d *Database) LatestCandle(ctx context.Context, series market.Series) (market.Candle, error) {
	stored, err := d.catalogueOf(ctx, series.Symbol)
	if err != nil {
		return market.Candle{}, err
	}
	extent, err := stored.Extent(series)
	if err != nil {
		return market.Candle{}, err
	}
	newest := series.Interval.Floor(extent.OpenTimes.End.Add(-1))
	candles, err := d.Candles(ctx, series, market.TimeRange{Start: newest, End: extent.OpenTimes.End}, 1)
	if err != nil {
		return market.Candle{}, err
	}
	if len(candles) == 0 {
		return market.Candle{}, market.Errorf(market.NotFound, "the newest candle of %s is gone", series)
	}
	return candles[0], nil
}

func (d *Database) nativeCandles(
	ctx context.Context, series market.Series, r market.TimeRange, limit int,
) ([]market.Candle, error) {
	return d.queryCandles(ctx, series.Interval, expectedRows(series.Interval, r, limit), `
		SELECT open_time, open, high, low, close, volume,
		       quote_volume, trades, taker_buy_volume, taker_buy_quote_volume, 1::bigint
		FROM candles
		WHERE symbol = $1 AND interval = $2 AND open_time >= $3 AND open_time < $4
		ORDER BY open_time LIMIT $5`,
		series.Symbol, series.Interval, r.Start, r.End, limit)
}

func (d *Database) rolledUpCandles(
	ctx context.Context, series market.Series, source market.Interval, r market.TimeRange, limit int,
) ([]market.Candle, error) {
	relation, ok := rollUpRelation(series.Interval)
	if !ok {
		return nil, nil
	}
	return d.queryCandles(ctx, source, expectedRows(series.Interval, r, limit), `
		SELECT open_time, open, high, low, close, volume,
		       quote_volume, trades, taker_buy_volume, taker_buy_quote_volume, parts
		FROM `+pgx.Identifier{relation}.Sanitize()+`
		WHERE symbol = $1 AND source_interval = $2 AND open_time >= $3 AND open_time < $4
		ORDER BY open_time LIMIT $5`,
		series.Symbol, source, r.Start, r.End, limit)
}

// expectedRows is how many candles fit the range and the limit.
func expectedRows(interval market.Interval, r market.TimeRange, limit int) int {
	return int(min(r.End.Sub(r.Start)/interval.Length()+1, time.Duration(limit)))
}

// queryCandles reads candles made of parts of the interval source, about as
// many as expected.
func (d *Database) queryCandles(
	ctx context.Context, source market.Interval, expected int, sql string, arguments ...any,
) ([]market.Candle, error) {
	rows, err := d.pool.Query(ctx, sql, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	const most = 1 << 16 // a range may be far wider than what is stored in it
	candles := make([]market.Candle, 0, min(expected, most))
	var quoteVolume, takerBuyVolume, takerBuyQuoteVolume pgtype.Float8
	var trades pgtype.Int8
	for rows.Next() {
		c := market.Candle{Source: source}
		err := rows.Scan(&c.OpenTime, &c.Open, &c.High, &c.Low, &c.Close, &c.Volume,
			&quoteVolume, &trades, &takerBuyVolume, &takerBuyQuoteVolume, &c.Parts)
		if err != nil {
			return nil, err
		}
		c.QuoteVolume = market.Optional[float64]{Value: quoteVolume.Float64, Valid: quoteVolume.Valid}
		c.Trades = market.Optional[int64]{Value: trades.Int64, Valid: trades.Valid}
		c.TakerBuyVolume = market.Optional[float64]{Value: takerBuyVolume.Float64, Valid: takerBuyVolume.Valid}
		c.TakerBuyQuoteVolume = market.Optional[float64]{Value: takerBuyQuoteVolume.Float64, Valid: takerBuyQuoteVolume.Valid}
		candles = append(candles, c)
	}
	return candles, rows.Err()
}

// mostRanges bounds how many queries go into what is lacking.
const mostRanges = 16

// lackingRanges returns the runs of buckets in the range, up to the last one
// that the limit lets through, that no candle or only an incomplete one stands
// for, oldest first. Where there are many they are returned as one that spans
// them all.
func lackingRanges(interval market.Interval, candles []market.Candle, r market.TimeRange, limit int) []market.TimeRange {
	if len(candles) == limit {
		r.End = interval.Next(interval.Floor(candles[limit-1].OpenTime))
	}
	var lacking []market.TimeRange
	add := func(start, end time.Time) {
		n := len(lacking)
		switch {
		case !start.Before(end):
		case n > 0 && lacking[n-1].End.Equal(start):
			lacking[n-1].End = end
		default:
			lacking = append(lacking, market.TimeRange{Start: start, End: end})
		}
	}
	next := interval.Floor(r.Start)
	if next.Before(r.Start) {
		next = interval.Next(next)
	}
	for _, c := range candles {
		open := interval.Floor(c.OpenTime)
		add(next, open)
		next = interval.Next(open)
		if !c.Complete(interval) {
			add(open, next)
		}
	}
	add(next, r.End)
	if n := len(lacking); n > mostRanges {
		return []market.TimeRange{{Start: lacking[0].Start, End: lacking[n-1].End}}
	}
	return lacking
}

// mergeByCover merges two ascending lists; where both have a candle in a bucket,
// the one that covers more of it stays, a's where they cover as much.
func mergeByCover(interval market.Interval, a, b []market.Candle, limit int) []market.Candle {
	merged := make([]market.Candle, 0, min(len(a)+len(b), limit))
	for len(merged) < limit && (len(a) > 0 || len(b) > 0) {
		var order int
		switch {
		case len(b) == 0:
			order = -1
		case len(a) == 0:
			order = 1
		default:
			// Some delivered candles open off the grid.
			order = interval.Floor(a[0].OpenTime).Compare(interval.Floor(b[0].OpenTime))
		}
		switch {
		case order < 0:
			merged, a = append(merged, a[0]), a[1:]
		case order > 0:
			merged, b = append(merged, b[0]), b[1:]
		default:
			c := a[0]
			if cover(b[0]) > cover(c) {
				c = b[0]
			}
			merged, a, b = append(merged, c), a[1:], b[1:]
		}
	}
	return merged
}

func cover(c market.Candle) time.Duration { return time.Duration(c.Parts) * c.Source.Length() }
