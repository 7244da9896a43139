package timescale

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// WritePage implements history.Store. Writers of the same series wait for each
// other, and for WriteCandles.
func (d *Database) WritePage(
	ctx context.Context, series market.Series, page history.Page,
) (history.WriteResult, error) {
	// What is stored of an occasion must equal it when it is read again.
	page.Asking = page.Asking.Truncate(time.Microsecond)
	var result history.WriteResult
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		before, err := readBeforePage(ctx, tx, series, page)
		if err != nil {
			return err
		}
		switch {
		case len(page.Candles) == 0:
		case before.stored:
			result, err = mergePage(ctx, tx, series, page.Candles)
		default: // COPY is nearly twice as fast as inserting new rows by a merge
			result, err = copyPage(ctx, tx, series, page.Candles)
		}
		if err != nil {
			return err
		}
		after := history.EmptyAfter(series.Interval, before.emptyRanges, page)
		return replaceEmptyRanges(ctx, tx, series, before.emptyRanges, after)
	})
	if err != nil {
		return history.WriteResult{}, fmt.Errorf("write a page of %s from %s: %w",
			series, page.Asked.Start.Format(time.RFC3339), err)
	}
	return result, nil
}

// beforePage is what a page meets in the database.
type beforePage struct {
	emptyRanges []history.EmptyRange // those that overlap the range asked for
	stored      bool                 // whether candles stand among those of the page
}

// readBeforePage waits for the series' turn and reads in one round trip.
func readBeforePage(
	ctx context.Context, tx pgx.Tx, series market.Series, page history.Page,
) (beforePage, error) {
	var before beforePage
	batch := &pgx.Batch{}
	batch.Queue(takeTurnsSQL, series.String())
	queueEmptyRanges(batch, series, page.Asked, &before.emptyRanges)
	if n := len(page.Candles); n > 0 {
		batch.Queue(`
			SELECT EXISTS (SELECT FROM candles WHERE symbol = $1 AND interval = $2 AND open_time >= $3 AND open_time <= $4)`,
			series.Symbol, series.Interval, page.Candles[0].OpenTime, page.Candles[n-1].OpenTime,
		).QueryRow(func(row pgx.Row) error { return row.Scan(&before.stored) })
	}
	err := tx.SendBatch(ctx, batch).Close()
	return before, err
}

// copyPage stores candles none of which is stored. Its commit does not wait for
// the disk, which costs up to half of the time where others write too: a page
// that a crash of the server undoes is a gap again, and asked for again. A
// corrected candle would not be, so a merged page waits.
func copyPage(
	ctx context.Context, tx pgx.Tx, series market.Series, candles []market.Candle,
) (history.WriteResult, error) {
	if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = off`); err != nil {
		return history.WriteResult{}, err
	}
	reader := pageReader(candles)
	copied, err := copyCandles(ctx, tx, "candles", series, func() (history.CandleReader, error) { return &reader, nil })
	return history.WriteResult{New: copied.rows, Touched: copied.touched}, err
}

// pageReader is a history.CandleReader over what is left of a page.
type pageReader []market.Candle

func (p *pageReader) Next() (market.Candle, error) {
	if len(*p) == 0 {
		return market.Candle{}, io.EOF
	}
	candle := (*p)[0]
	*p = (*p)[1:]
	return candle, nil
}

func (p *pageReader) Close() error { return nil }

func mergePage(
	ctx context.Context, tx pgx.Tx, series market.Series, candles []market.Candle,
) (history.WriteResult, error) {
	n := len(candles)
	var (
		openTime                      = make([]time.Time, n)
		open, high, low, closing      = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		volume                        = make([]float64, n)
		trades                        = make([]pgtype.Int8, n)
		quoteVolume                   = make([]pgtype.Float8, n)
		takerVolume, takerQuoteVolume = make([]pgtype.Float8, n), make([]pgtype.Float8, n)
	)
	for k, c := range candles {
		openTime[k], open[k], high[k], low[k], closing[k], volume[k] = c.OpenTime, c.Open, c.High, c.Low, c.Close, c.Volume
		trades[k] = pgtype.Int8{Int64: c.Trades.Value, Valid: c.Trades.Valid}
		quoteVolume[k] = pgtype.Float8{Float64: c.QuoteVolume.Value, Valid: c.QuoteVolume.Valid}
		takerVolume[k] = pgtype.Float8{Float64: c.TakerBuyVolume.Value, Valid: c.TakerBuyVolume.Valid}
		takerQuoteVolume[k] = pgtype.Float8{Float64: c.TakerBuyQuoteVolume.Value, Valid: c.TakerBuyQuoteVolume.Valid}
	}
	touched := market.TimeRange{Start: openTime[0], End: series.Interval.Next(openTime[n-1])}
	return mergeCandles(ctx, tx, series, touched, int64(n), `
		(SELECT * FROM unnest($6::timestamptz[], $7::float8[], $8::float8[], $9::float8[], $10::float8[], $11::float8[],
			$12::float8[], $13::bigint[], $14::float8[], $15::float8[])
		 AS page (open_time, open, high, low, close, volume,
			quote_volume, trades, taker_buy_volume, taker_buy_quote_volume))`,
		openTime, open, high, low, closing, volume, quoteVolume, trades, takerVolume, takerQuoteVolume)
}
