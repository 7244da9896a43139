package timescale

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// WriteTicks implements live.TickStore. On the Community edition it then brings
// ticks_1m up to date, in a call of its own. Where only that fails, the ticks are
// stored all the same: the failure is logged by slog's default logger, and the
// next write does what is left.
func (d *Database) WriteTicks(ctx context.Context, ticks []market.Tick) error {
	if len(ticks) == 0 {
		return nil
	}
	// In the order of the key, so that two writers of the same ticks wait for each
	// other instead of both for ever.
	_, err := d.pool.Exec(ctx, `
		INSERT INTO ticks (symbol, interval, sampled_at, open_time, open, high, low, close, volume,
			quote_volume, trades, taker_buy_volume, taker_buy_quote_volume,
			first_trade_id, last_trade_id, exchange_time, received_at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[],
			$5::float8[], $6::float8[], $7::float8[], $8::float8[], $9::float8[],
			$10::float8[], $11::bigint[], $12::float8[], $13::float8[],
			$14::bigint[], $15::bigint[], $16::timestamptz[], $17::timestamptz[])
		ORDER BY 1, 3
		ON CONFLICT (symbol, sampled_at) DO NOTHING`, tickColumns(ticks)...)
	if err != nil {
		return fmt.Errorf("write %d ticks: %w", len(ticks), err)
	}
	if err := d.refreshTickRollUp(ctx); err != nil {
		slog.WarnContext(ctx, "ticks are stored, but ticks_1m is not brought up to date before the next are",
			slog.Int("ticks", len(ticks)), slog.Any("error", err))
	}
	return nil
}

// tickColumns turns ticks into an array for each column, in the order of the
// table.
func tickColumns(ticks []market.Tick) []any {
	n := len(ticks)
	var (
		symbol, interval                    = make([]string, n), make([]string, n)
		sampledAt, openTime                 = make([]time.Time, n), make([]time.Time, n)
		open, high, low, closing            = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		volume, quoteVolume                 = make([]float64, n), make([]pgtype.Float8, n)
		trades                              = make([]pgtype.Int8, n)
		takerBuyVolume, takerBuyQuoteVolume = make([]pgtype.Float8, n), make([]pgtype.Float8, n)
		firstTradeID, lastTradeID           = make([]pgtype.Int8, n), make([]pgtype.Int8, n)
		exchangeTime, receivedAt            = make([]time.Time, n), make([]time.Time, n)
	)
	for k, t := range ticks {
		symbol[k], interval[k], sampledAt[k], openTime[k] = string(t.Symbol), string(t.Interval), t.SampledAt, t.OpenTime
		open[k], high[k], low[k], closing[k], volume[k] = t.Open, t.High, t.Low, t.Close, t.Volume
		quoteVolume[k] = pgtype.Float8{Float64: t.QuoteVolume.Value, Valid: t.QuoteVolume.Valid}
		trades[k] = pgtype.Int8{Int64: t.Trades.Value, Valid: t.Trades.Valid}
		takerBuyVolume[k] = pgtype.Float8{Float64: t.TakerBuyVolume.Value, Valid: t.TakerBuyVolume.Valid}
		takerBuyQuoteVolume[k] = pgtype.Float8{Float64: t.TakerBuyQuoteVolume.Value, Valid: t.TakerBuyQuoteVolume.Valid}
		firstTradeID[k] = pgtype.Int8{Int64: t.FirstTradeID.Value, Valid: t.FirstTradeID.Valid}
		lastTradeID[k] = pgtype.Int8{Int64: t.LastTradeID.Value, Valid: t.LastTradeID.Valid}
		exchangeTime[k], receivedAt[k] = t.ExchangeTime, t.ReceivedAt
	}
	return []any{
		symbol, interval, sampledAt, openTime, open, high, low, closing, volume,
		quoteVolume, trades, takerBuyVolume, takerBuyQuoteVolume,
		firstTradeID, lastTradeID, exchangeTime, receivedAt,
	}
}

// refreshTickRollUp brings every minute of ticks_1m up to date but that of the
// newest tick, which is computed when it is read: a minute is written once, not
// at each of its samples. It begins at the oldest tick, since a minute that a
// killed process or a refresh that failed did not get to would be missing for
// ever once a later one is refreshed; what has not changed costs nothing. It
// never reaches to before the instant until which ticks were dropped, even where
// late ones are stored there: a refresh deletes the minutes of dropped ticks.
func (d *Database) refreshTickRollUp(ctx context.Context) error {
	community, err := d.community(ctx)
	if err != nil || !community {
		return err
	}
	return d.refreshAlone(ctx, "refresh ticks_1m", func(connection *pgx.Conn) error {
		// Read here, where no other process can be dropping ticks.
		var complete market.TimeRange
		err := connection.QueryRow(ctx, `
			SELECT greatest(
			           time_bucket('1 minute', (SELECT sampled_at FROM ticks ORDER BY sampled_at LIMIT 1)),
			           (SELECT max(dropped_until) FROM dropped_ticks)),
			       time_bucket('1 minute', (SELECT sampled_at FROM ticks ORDER BY sampled_at DESC LIMIT 1))`,
		).Scan(&complete.Start, &complete.End)
		if err != nil {
			return fmt.Errorf("refresh ticks_1m: %w", err)
		}
		if complete.Empty() {
			return nil
		}
		return refreshAggregate(ctx, connection, "ticks_1m", complete)
	})
}
