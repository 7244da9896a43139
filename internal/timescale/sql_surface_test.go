package timescale_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// candlesByFunction reads what psql reads.
func candlesByFunction(t *testing.T, d *timescale.Database, series market.Series, r market.TimeRange) []market.Candle {
	t.Helper()
	rows, err := d.Pool().Query(t.Context(), `
		SELECT symbol, interval, open_time, open, high, low, close, volume,
			coalesce(quote_volume, 0), quote_volume IS NOT NULL, coalesce(trades, 0), trades IS NOT NULL,
			coalesce(taker_buy_volume, 0), taker_buy_volume IS NOT NULL,
			coalesce(taker_buy_quote_volume, 0), taker_buy_quote_volume IS NOT NULL, source_interval, parts
		FROM candles($1, $2, $3, $4)`, series.Symbol, series.Interval, r.Start, r.End)
	if err != nil {
		t.Fatal(err)
	}
	candles, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (market.Candle, error) {
		var c market.Candle
		var of market.Series
		err := row.Scan(&of.Symbol, &of.Interval, &c.OpenTime, &c.Open, &c.High, &c.Low, &c.Close, &c.Volume,
			&c.QuoteVolume.Value, &c.QuoteVolume.Valid, &c.Trades.Value, &c.Trades.Valid,
			&c.TakerBuyVolume.Value, &c.TakerBuyVolume.Valid, &c.TakerBuyQuoteVolume.Value, &c.TakerBuyQuoteVolume.Valid,
			&c.Source, &c.Parts)
		if of != series {
			t.Errorf("a row of %s is in %s", of, series)
		}
		return c, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return candles
}

// testCandlesFunction compares the function with the service's own reader, over series
// that are stored at several intervals with holes in all of them.
func testCandlesFunction(t *testing.T, d *timescale.Database) {
	for _, stored := range []struct {
		series market.Series
		start  time.Time
		count  int
	}{
		{market.Series{Symbol: "BTCUSDT", Interval: market.Minute1}, days(50, 50).Start, 2 * 1440},
		{btc15m, days(-40, -40).Start, 100 * 96},
		{market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}, days(30, 30).Start.Add(-5 * time.Hour), 30 * 24},
		{market.Series{Symbol: "BTCUSDT", Interval: market.Day1}, days(20, 20).Start, 30},
		{market.Series{Symbol: "ETHUSDT", Interval: market.Hour4}, days(-3, -3).Start, 300},
		{market.Series{Symbol: "ETHUSDT", Interval: market.Week1}, market.Week1.Floor(newYear), 9},
	} {
		insert(t, d, stored.series, stored.start, stored.count)
		end := stored.start.Add(time.Duration(stored.count) * stored.series.Interval.Length())
		refresh(t, d, stored.series, market.TimeRange{Start: stored.start, End: end})
	}
	// Delivered candles do not always open where they should, and months have no length.
	execute(t, d, `UPDATE candles SET open_time = open_time + INTERVAL '7 minutes' WHERE symbol = 'BTCUSDT' AND interval = '1h' AND open_time = $1`, days(33, 33).Start)
	execute(t, d, `INSERT INTO candles SELECT 'BTCUSDT', '1M', $1, open, high, low, close, volume FROM candles LIMIT 1`, newYear)

	windows := []market.TimeRange{
		days(-60, 80), days(0, 1), days(45, 55), days(51, 51), days(2, 1),
		{Start: days(33, 33).Start.Add(7 * time.Minute), End: days(51, 51).Start.Add(100*time.Minute + time.Microsecond)},
		{Start: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	total := 0
	for _, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT", "NONEUSDT"} {
		for _, interval := range market.Intervals() {
			for _, window := range windows {
				series := market.Series{Symbol: symbol, Interval: interval}
				want, err := d.Candles(t.Context(), series, window, math.MaxInt32)
				if err != nil {
					t.Fatal(err)
				}
				got := candlesByFunction(t, d, series, window)
				total += len(got)
				if len(got) != len(want) {
					t.Errorf("%s from %s to %s: %d candles, the reader has %d", series, window.Start, window.End, len(got), len(want))
					continue
				}
				for k := range got {
					if fmt.Sprint(got[k]) != fmt.Sprint(want[k]) {
						t.Errorf("%s from %s to %s: %+v, the reader has %+v", series, window.Start, window.End, got[k], want[k])
						break
					}
				}
			}
		}
	}
	if total < 10_000 {
		t.Errorf("only %d candles were compared", total)
	}
	t.Logf("compared %d candles", total)
}

func TestTheFunctionCandlesGivesTheRowsOfTheReader(t *testing.T) {
	testCandlesFunction(t, timescaletest.Open(t))
}

func TestTheFunctionCandlesTakesOpenEndsAndRefusesUnknownIntervals(t *testing.T) {
	d := timescaletest.Open(t)
	insert(t, d, btc15m, newYear, 96)
	for _, interval := range []string{"15m", "1h", "1d", "1w", "1M"} {
		all := ask[int64](t, d, `SELECT count(*) FROM candles('BTCUSDT', $1, '-infinity', 'infinity')`, interval)[0]
		bounded := ask[int64](t, d, `SELECT count(*) FROM candles('BTCUSDT', $1, '2000-01-01', '2100-01-01')`, interval)[0]
		if all == 0 || all != bounded {
			t.Errorf("%s: %d candles without bounds, %d within a century", interval, all, bounded)
		}
	}
	_, err := d.Pool().Exec(t.Context(), `SELECT candles('BTCUSDT', '1x', '2000-01-01', '2100-01-01')`)
	if err == nil || !strings.Contains(err.Error(), "interval 1x is unknown") {
		t.Errorf("an unknown interval: %v", err)
	}
	// A time zone moves neither days nor months.
	err = pgx.BeginFunc(t.Context(), d.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL timezone = 'Pacific/Auckland'`); err != nil {
			return err
		}
		var open time.Time
		err := tx.QueryRow(t.Context(), `SELECT open_time FROM candles('BTCUSDT', '1M', '-infinity', 'infinity')`).Scan(&open)
		if !open.Equal(market.Month1.Floor(newYear)) {
			t.Errorf("the month opens at %s", open)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLatestPrices(t *testing.T) {
	d := timescaletest.Open(t)
	insert(t, d, btc15m, newYear, 3)
	insert(t, d, market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}, newYear, 1) // which ends later
	insert(t, d, market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}, newYear, 1)
	execute(t, d, `UPDATE candles SET close = low WHERE interval = '1h'`)
	execute(t, d, `
		INSERT INTO ticks (symbol, interval, sampled_at, open_time, open, high, low, close, volume, exchange_time, received_at)
		SELECT symbol, '15m', at, $1, 7, 9, 7, 8, 1, at - INTERVAL '1 second', at
		FROM (VALUES ('ETHUSDT', $1::timestamptz + INTERVAL '2 hours'), ('BTCUSDT', $1 + INTERVAL '10 minutes'), ('NEWUSDT', $1)) AS s (symbol, at)`, newYear)
	got := ask[string](t, d, `SELECT concat_ws(' ', symbol, price, to_char(as_of AT TIME ZONE 'UTC', 'HH24:MI:SS'), source, age = now() - as_of)
		FROM latest_prices ORDER BY symbol`)
	want := "BTCUSDT 98.25 01:00:00 candle t; ETHUSDT 8 01:59:59 tick t; NEWUSDT 8 23:59:59 tick t"
	if strings.Join(got, "; ") != want {
		t.Errorf("%s, want %s", strings.Join(got, "; "), want)
	}
}

func TestForecastAccuracyIsToldBesideItsBaseline(t *testing.T) {
	d := timescaletest.Open(t)
	if n := ask[int64](t, d, `SELECT count(*) FROM forecast_accuracy`)[0]; n != 0 {
		t.Errorf("%d rows where nothing was forecast", n)
	}
	happened := someRecord(t, d, 2)
	type row struct {
		Forecasts, Candles                         int64
		Error, ErrorIfStays, Skill, In80, In90, Br float64
	}
	rows, _ := d.Pool().Query(t.Context(), `
		SELECT forecasts, candles, mean_absolute_error, mean_absolute_error_if_stays, skill, coverage_80, coverage_90, brier
		FROM forecast_accuracy ORDER BY day, model_id`)
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil || len(got) == 0 {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	var total int64
	for _, r := range got {
		total += r.Forecasts
		if r.Candles == 0 || r.Candles > r.Forecasts || r.Error <= 0 || r.ErrorIfStays <= 0 || r.Skill >= 1 ||
			r.In80 > r.In90 || r.Br < 0 || r.Br > 1 {
			t.Errorf("%+v", r)
		}
	}
	if want := ask[int64](t, d, `SELECT count(*) FROM forecasts WHERE scored_at IS NOT NULL`)[0]; total != want || len(happened) == 0 {
		t.Errorf("%d forecasts are measured of %d", total, want)
	}
	// By hand, of all of one day and model.
	off := ask[int64](t, d, `
		WITH by_hand AS (
			SELECT symbol, interval, (open_time AT TIME ZONE 'UTC')::date AS day, model_id,
				10000 * avg(abs(ln(actual_close) - ln(point))) AS error, 10000 * avg(abs(ln(actual_close) - ln(last))) AS stays,
				1 - avg((ln(actual_close) - ln(point)) ^ 2) / avg((ln(actual_close) - ln(last)) ^ 2) AS skill
			FROM forecasts WHERE scored_at IS NOT NULL GROUP BY 1, 2, 3, 4)
		SELECT count(*) FROM forecast_accuracy JOIN by_hand USING (symbol, interval, day, model_id)
		WHERE abs(error - mean_absolute_error) > 1e-6 OR abs(stays - mean_absolute_error_if_stays) > 1e-6
			OR abs(forecast_accuracy.skill - by_hand.skill) > 1e-6`)[0]
	if off != 0 {
		t.Errorf("%d rows are not what they are by hand", off)
	}
}

func TestRealizedVolatility(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 2*96)
	write(t, d, btc15m, candles[:96+40]) // the second day is not over
	write(t, d, market.Series{Symbol: "BTCUSDT", Interval: market.Day1}, walk(market.Day1, newYear, 2))
	type row struct {
		Symbol, Interval   string
		Day                time.Time
		Candles, Expected  int64
		Realized, Annually float64
	}
	rows, _ := d.Pool().Query(t.Context(), `SELECT * FROM realized_volatility ORDER BY day`)
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for k, want := range [][]market.Candle{candles[:96], candles[96 : 96+40]} {
		var squares float64
		for _, c := range want {
			squares += math.Pow(math.Log(c.Close/c.Open), 2)
		}
		r := got[k]
		if !r.Day.Equal(newYear.AddDate(0, 0, k)) || r.Candles != int64(len(want)) || r.Expected != 96 ||
			!closeTo(r.Realized, math.Sqrt(squares)) || !closeTo(r.Annually, math.Sqrt(365*squares)) {
			t.Errorf("%+v, want %d candles and %g", r, len(want), math.Sqrt(squares))
		}
	}
}
