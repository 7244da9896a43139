package timescale_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var (
	_ live.TickStore     = (*timescale.Database)(nil)
	_ live.CandleStore   = (*timescale.Database)(nil)
	_ live.ForecastStore = (*timescale.Database)(nil)
)

// sample makes ticks of a symbol, one every 5 seconds.
func sample(symbol market.Symbol, start time.Time, count int) []market.Tick {
	ticks := make([]market.Tick, count)
	for k, c := range walk(market.Minute15, start, count) {
		at := start.Add(time.Duration(k) * 5 * time.Second)
		c.OpenTime = market.Minute15.Floor(at)
		ticks[k] = market.Tick{
			Series: market.Series{Symbol: symbol, Interval: market.Minute15}, SampledAt: at, Candle: c,
			FirstTradeID: market.Some(int64(1_000_000)), LastTradeID: market.Some(int64(1_000_000 + k)),
			ExchangeTime: at.Add(-123 * time.Millisecond), ReceivedAt: at.Add(-80_001 * time.Microsecond),
		}
	}
	return ticks
}

func writeTicks(t testing.TB, d *timescale.Database, ticks []market.Tick) {
	t.Helper()
	if err := d.WriteTicks(t.Context(), ticks); err != nil {
		t.Fatal(err)
	}
}

// storedTicks reads ticks back, in the order of the key.
func storedTicks(t testing.TB, d *timescale.Database) []market.Tick {
	t.Helper()
	rows, _ := d.Pool().Query(t.Context(), `
		SELECT symbol, interval, sampled_at, open_time, open, high, low, close, volume,
		       quote_volume, trades, taker_buy_volume, taker_buy_quote_volume,
		       first_trade_id, last_trade_id, exchange_time, received_at
		FROM ticks ORDER BY symbol, sampled_at`)
	ticks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (market.Tick, error) {
		var k market.Tick
		var quoteVolume, takerVolume, takerQuoteVolume *float64
		var trades, first, last *int64
		err := row.Scan(&k.Symbol, &k.Interval, &k.SampledAt, &k.OpenTime, &k.Open, &k.High, &k.Low, &k.Close, &k.Volume,
			&quoteVolume, &trades, &takerVolume, &takerQuoteVolume, &first, &last, &k.ExchangeTime, &k.ReceivedAt)
		k.QuoteVolume, k.TakerBuyVolume, k.TakerBuyQuoteVolume = optional(quoteVolume), optional(takerVolume), optional(takerQuoteVolume)
		k.Trades, k.FirstTradeID, k.LastTradeID = optional(trades), optional(first), optional(last)
		k.Source, k.Parts = k.Interval, 1
		return k, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ticks
}

func optional[T any](value *T) market.Optional[T] {
	if value == nil {
		return market.Optional[T]{}
	}
	return market.Some(*value)
}

func TestTicksAreStoredOnce(t *testing.T) {
	d := timescaletest.Open(t)
	bitcoin, ether := sample("BTCUSDT", newYear, 100), sample("ETHUSDT", newYear, 100)
	// Before the first trade of a candle there is little to tell.
	bitcoin[3].Trades, bitcoin[3].QuoteVolume = market.Optional[int64]{}, market.Optional[float64]{}
	bitcoin[3].TakerBuyVolume, bitcoin[3].TakerBuyQuoteVolume = market.Optional[float64]{}, market.Optional[float64]{}
	bitcoin[3].FirstTradeID, bitcoin[3].LastTradeID = market.Optional[int64]{}, market.Optional[int64]{}
	writeTicks(t, d, nil)
	writeTicks(t, d, append(slices.Clone(ether[:50]), bitcoin...))

	changed := slices.Clone(ether)
	for k := range 50 {
		changed[k].Close /= 2
	}
	writeTicks(t, d, append(changed, changed[99])) // one of them twice
	if got, want := storedTicks(t, d), append(bitcoin, ether...); !slices.Equal(got, want) {
		t.Errorf("%d ticks are stored, want %d, or other values", len(got), len(want))
	}
}

func TestInstantsOfTicksAreKeptInMicroseconds(t *testing.T) {
	d := timescaletest.Open(t)
	ticks := sample("BTCUSDT", newYear, 1)
	east := time.FixedZone("east", 3600)
	ticks[0].ReceivedAt = newYear.Add(1_234_567_891).In(east)
	ticks[0].SampledAt = newYear.Add(999).In(east)
	writeTicks(t, d, ticks)
	want := ticks[0]
	want.ReceivedAt, want.SampledAt = newYear.Add(1_234_567_000), newYear
	if got := storedTicks(t, d); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTicksAreStoredAllOrNone(t *testing.T) {
	d := timescaletest.Open(t)
	for name, spoil := range map[string]func(*market.Tick){
		"a negative price":        func(k *market.Tick) { k.Low = -1 },
		"a low above the high":    func(k *market.Tick) { k.Low = 2 * k.High },
		"a name that is no text":  func(k *market.Tick) { k.Symbol = "BTC\x00" },
		"a time before all times": func(k *market.Tick) { k.SampledAt = time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		ticks := sample("BTCUSDT", newYear, 10)
		spoil(&ticks[7])
		if err := d.WriteTicks(t.Context(), ticks); err == nil {
			t.Errorf("%s is stored", name)
		}
	}
	if got := storedTicks(t, d); len(got) != 0 {
		t.Errorf("%d ticks were left behind", len(got))
	}
}

// Two processes may sample the same market.
func TestWritersOfTheSameTicksDoNotBlockEachOther(t *testing.T) {
	d := timescaletest.Open(t)
	forwards := append(sample("BTCUSDT", newYear, 500), sample("ETHUSDT", newYear, 500)...)
	backwards := slices.Clone(forwards)
	slices.Reverse(backwards)
	for range 5 {
		var writers sync.WaitGroup
		for _, ticks := range [][]market.Tick{forwards, backwards} {
			writers.Go(func() {
				if err := d.WriteTicks(context.Background(), ticks); err != nil {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if n := len(storedTicks(t, d)); n != 1000 {
			t.Fatalf("%d ticks are stored", n)
		}
		execute(t, d, `DELETE FROM ticks`)
	}
}

func TestTheStreamIsShownNewestFirst(t *testing.T) {
	d := timescaletest.Open(t)
	// Over the close of a candle, after which the state from before it is sampled,
	// and then the exchange's last word on it, dated right at the close.
	start := newYear.Add(15*time.Minute - 10*time.Second)
	ticks := sample("BTCUSDT", start, 4)
	ticks[2].OpenTime, ticks[3].OpenTime = newYear, newYear
	closes := ticks[2].SampledAt
	ticks[2].ExchangeTime, ticks[2].ReceivedAt = closes.Add(-time.Microsecond), closes
	ticks[3].ExchangeTime = closes
	writeTicks(t, d, ticks)
	ether := sample("ETHUSDT", start, 4)
	// By a clock that is ahead of the others.
	ether[1].ExchangeTime, ether[1].ReceivedAt = start.Add(time.Minute), start.Add(2*time.Minute)
	writeTicks(t, d, ether)
	got := ask[string](t, d, `
		SELECT concat_ws(' ', symbol, to_char(sampled_at, 'MI:SS'), to_char(open_time, 'MI:SS'), to_char(close_time, 'MI:SS'), is_closed,
			(event_time < received_at AND price = close_price AND low_price <= open_price
			 AND first_trade_id <= last_trade_id AND number_of_trades > 0))
		FROM stream_crypto_data LIMIT 6`)
	want := []string{
		"BTCUSDT 15:05 00:00 15:00 t t", "ETHUSDT 15:05 15:00 30:00 f t",
		"BTCUSDT 15:00 00:00 15:00 f t", "ETHUSDT 15:00 15:00 30:00 f t",
		"BTCUSDT 14:55 00:00 15:00 f t", "ETHUSDT 14:55 00:00 15:00 f t",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTicksRollUpToMinutes(t *testing.T) {
	d := timescaletest.Open(t)
	ticks := sample("BTCUSDT", newYear.Add(30*time.Second), 30)
	writeTicks(t, d, ticks)
	got := ask[string](t, d, `SELECT r::text FROM ticks_1m AS r ORDER BY open_time`)
	var want []string
	for _, part := range [][]market.Tick{ticks[:6], ticks[6:18], ticks[18:]} {
		high, low := part[0].Close, part[0].Close
		for _, tick := range part {
			high, low = max(high, tick.Close), min(low, tick.Close)
		}
		want = append(want, fmt.Sprintf(`(BTCUSDT,"%s+00",%v,%v,%v,%v,%d)`,
			market.Minute1.Floor(part[0].SampledAt).Format(time.DateTime), part[0].Close, high, low, part[len(part)-1].Close, len(part)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// One second of 500 symbols.
func BenchmarkWriteTicks(b *testing.B) {
	d := timescaletest.Open(b)
	at := newYear
	for b.Loop() {
		ticks := make([]market.Tick, 500)
		for k := range ticks {
			ticks[k] = sample(market.Symbol(fmt.Sprintf("COIN%03dUSDT", k)), at, 1)[0]
		}
		writeTicks(b, d, ticks)
		at = at.Add(5 * time.Second)
	}
}

// A million ticks of two symbols, some eight weeks.
func BenchmarkMillionTicks(b *testing.B) {
	d := timescaletest.Open(b)
	_, err := d.Pool().Exec(b.Context(), `
		INSERT INTO ticks
		SELECT symbol, '15m', $1::timestamptz + k * INTERVAL '5 seconds', candle_floor('15m', $1::timestamptz + k * INTERVAL '5 seconds'),
		       100, 101, 99, 100 + sin(k), k, k, k, k, k, k, k, $1::timestamptz + k * INTERVAL '5 seconds', $1::timestamptz + k * INTERVAL '5 seconds'
		FROM generate_series(0, 499999) AS k, unnest(ARRAY['BTCUSDT', 'ETHUSDT']) AS symbol`, newYear)
	if err == nil {
		_, err = d.Pool().Exec(b.Context(), `ANALYZE ticks`)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Run("accounted until", func(b *testing.B) {
		for b.Loop() {
			if until, err := d.AccountedUntil(b.Context(), "BTCUSDT"); err != nil || !until.Valid {
				b.Fatal(until, err)
			}
		}
	})
	b.Run("accounted until of a new symbol", func(b *testing.B) {
		for b.Loop() {
			if until, err := d.AccountedUntil(b.Context(), "SOLUSDT"); err != nil || until.Valid {
				b.Fatal(until, err)
			}
		}
	})
	for name, query := range map[string]string{
		"newest rows":          `SELECT count(*) FROM (SELECT * FROM stream_crypto_data LIMIT 20) AS r`,
		"newest rows of one":   `SELECT count(*) FROM (SELECT * FROM stream_crypto_data WHERE symbol = 'BTCUSDT' LIMIT 20) AS r`,
		"an hour of minutes":   `SELECT count(*) FROM ticks_1m WHERE symbol = 'BTCUSDT' AND open_time >= '2024-01-20' AND open_time < '2024-01-20 01:00'`,
		"the stream's account": `SELECT count(*) FROM stream_coverage`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var rows int
				if err := d.Pool().QueryRow(b.Context(), query).Scan(&rows); err != nil || rows == 0 {
					b.Fatal(rows, err)
				}
			}
		})
	}
}
