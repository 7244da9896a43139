package timescale_test

import (
	"context"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var (
	btc15m   = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	newYear  = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	forever  = market.TimeRange{Start: newYear.AddDate(-10, 0, 0), End: newYear.AddDate(10, 0, 0)}
	errBroke = errors.New("the file broke off")
)

// list is a history.CandleReader over memory that ends with err.
type list struct {
	candles []market.Candle
	err     error
}

func (l *list) Next() (market.Candle, error) {
	if len(l.candles) == 0 {
		return market.Candle{}, l.err
	}
	c := l.candles[0]
	l.candles = l.candles[1:]
	return c, nil
}

func (l *list) Close() error { return nil }

func write(t testing.TB, d *timescale.Database, series market.Series, candles []market.Candle) history.WriteResult {
	t.Helper()
	result, err := d.WriteCandles(t.Context(), series, func() (history.CandleReader, error) {
		return &list{candles: candles, err: io.EOF}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RefreshRollUps(t.Context(), series, result.Touched); err != nil {
		t.Fatal(err)
	}
	return result
}

func read(t testing.TB, d *timescale.Database, series market.Series, r market.TimeRange, limit int) []market.Candle {
	t.Helper()
	candles, err := d.Candles(t.Context(), series, r, limit)
	if err != nil {
		t.Fatal(err)
	}
	return candles
}

// walk makes candles with values that no rounding leaves alone.
func walk(interval market.Interval, start time.Time, count int) []market.Candle {
	candles := make([]market.Candle, count)
	price := 42000.0
	open := start
	for k := range candles {
		next := price * (1 + 0.001*math.Sin(float64(k)*1.7))
		volume := 10 + math.Abs(math.Cos(float64(k)))/3
		candles[k] = market.Candle{
			OpenTime: open, Open: price, Close: next,
			High: max(price, next) * 1.0005, Low: min(price, next) * 0.9995,
			Volume: volume, QuoteVolume: market.Some(volume * price), Trades: market.Some(int64(100 + k)),
			TakerBuyVolume: market.Some(volume / 3), TakerBuyQuoteVolume: market.Some(volume * price / 3),
			Source: interval, Parts: 1,
		}
		price, open = next, interval.Next(open)
	}
	return candles
}

func TestCandlesComeBackAsTheyWereWritten(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 3000) // over a chunk's edge
	candles[7].QuoteVolume, candles[7].Trades = market.Optional[float64]{}, market.Optional[int64]{}
	candles[7].TakerBuyVolume, candles[7].TakerBuyQuoteVolume = market.Optional[float64]{}, market.Optional[float64]{}
	candles[8].Volume, candles[8].Trades = 0, market.Some(int64(0))
	candles[8].TakerBuyVolume = market.Some(0.0)

	result := write(t, d, btc15m, candles)
	want := history.WriteResult{New: 3000, Touched: market.TimeRange{Start: newYear, End: newYear.Add(3000 * 15 * time.Minute)}}
	if !reflect.DeepEqual(result, want) {
		t.Errorf("first write: %+v, want %+v", result, want)
	}
	if got := read(t, d, btc15m, forever, 5000); !slices.Equal(got, candles) {
		t.Errorf("%d candles came back, want the %d written", len(got), len(candles))
	}
	middle := market.TimeRange{Start: candles[10].OpenTime, End: candles[20].OpenTime}
	if got := read(t, d, btc15m, middle, 5000); !slices.Equal(got, candles[10:20]) {
		t.Errorf("the range [10, 20) gives %d candles", len(got))
	}
	if got := read(t, d, btc15m, middle, 3); !slices.Equal(got, candles[10:13]) {
		t.Errorf("limited to 3: %d candles", len(got))
	}
}

func TestWritingAgainCountsAndCorrects(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 10)
	write(t, d, btc15m, candles[:8])

	if got := write(t, d, btc15m, candles[:8]); got.New != 0 || got.Unchanged != 8 || got.Corrected != 0 {
		t.Errorf("the same again: %+v", got)
	}
	changed := slices.Clone(candles)
	changed[2].Close = changed[2].Open
	slices.Reverse(changed)
	if got := write(t, d, btc15m, changed); got.New != 2 || got.Unchanged != 7 || got.Corrected != 1 {
		t.Errorf("two new, one corrected, newest first: %+v", got)
	}
	slices.Reverse(changed)
	if got := read(t, d, btc15m, forever, 100); !slices.Equal(got, changed) {
		t.Errorf("stored are %+v", got)
	}
}

func TestAbsentColumnsEraseNothing(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 4)
	plain := slices.Clone(candles)
	for k := range plain {
		plain[k].QuoteVolume, plain[k].Trades = market.Optional[float64]{}, market.Optional[int64]{}
		plain[k].TakerBuyVolume, plain[k].TakerBuyQuoteVolume = market.Optional[float64]{}, market.Optional[float64]{}
	}
	write(t, d, btc15m, plain)
	if got := write(t, d, btc15m, candles); got.Corrected != 4 {
		t.Errorf("filling in what was absent: %+v", got)
	}
	if got := write(t, d, btc15m, plain); got.Unchanged != 4 {
		t.Errorf("a plain file over a full one: %+v", got)
	}
	if got := read(t, d, btc15m, forever, 100); !slices.Equal(got, candles) {
		t.Errorf("stored are %+v", got)
	}
	plain[1].Volume /= 2 // what is known of the whole does not hold for the half
	if got := write(t, d, btc15m, plain); got.Corrected != 1 || got.Unchanged != 3 {
		t.Errorf("a plain file that corrects a volume: %+v", got)
	}
	candles[1] = plain[1]
	if got := read(t, d, btc15m, forever, 100); !slices.Equal(got, candles) {
		t.Errorf("after that, stored are %+v", got)
	}
}

func TestTheFirstBucketMayBeginBeforeItsFirstPart(t *testing.T) {
	d := timescaletest.Open(t)
	days := walk(market.Day1, newYear.AddDate(0, 0, 16), 40) // from the 17th on
	write(t, d, market.Series{Symbol: "BTCUSDT", Interval: market.Day1}, days)
	months := market.Series{Symbol: "BTCUSDT", Interval: market.Month1}
	for _, end := range []time.Time{newYear.AddDate(0, 0, 5), newYear.AddDate(0, 1, 0), forever.End} {
		got := read(t, d, months, market.TimeRange{Start: newYear.AddDate(0, -3, 0), End: end}, 10)
		if len(got) == 0 || !got[0].OpenTime.Equal(newYear) || got[0].Parts != 15 {
			t.Errorf("up to %s: %+v", end, got)
		}
	}
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 100)
	broken := func() (history.CandleReader, error) { return &list{candles: candles, err: errBroke}, nil }

	if _, err := d.WriteCandles(t.Context(), btc15m, broken); !errors.Is(err, errBroke) {
		t.Errorf("straight into the table: %v, want the reader's own error", err)
	}
	if got := read(t, d, btc15m, forever, 1000); len(got) != 0 {
		t.Errorf("%d candles were left behind", len(got))
	}
	write(t, d, btc15m, candles[:1])
	if _, err := d.WriteCandles(t.Context(), btc15m, broken); !errors.Is(err, errBroke) {
		t.Errorf("by way of the staging table: %v, want the reader's own error", err)
	}
	bad := walk(market.Minute15, newYear.AddDate(1, 0, 0), 1)
	bad[0].High = bad[0].Low / 2
	_, err := d.WriteCandles(t.Context(), btc15m, func() (history.CandleReader, error) {
		return &list{candles: bad, err: io.EOF}, nil
	})
	if err == nil {
		t.Error("a high below the low was stored")
	}
	if got := read(t, d, btc15m, forever, 1000); !slices.Equal(got, candles[:1]) {
		t.Errorf("stored are %d candles, want the one written before", len(got))
	}
}

func TestWritersOfOneSeriesTakeTurns(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 500)
	const writers = 6
	results := make(chan history.WriteResult, writers)
	for range writers {
		go func() {
			r, err := d.WriteCandles(context.WithoutCancel(t.Context()), btc15m, func() (history.CandleReader, error) {
				return &list{candles: candles, err: io.EOF}, nil
			})
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	var added, unchanged int64
	for range writers {
		r := <-results
		added, unchanged = added+r.New, unchanged+r.Unchanged
	}
	if added != 500 || unchanged != 500*(writers-1) {
		t.Errorf("%d new and %d unchanged in all", added, unchanged)
	}
}

func TestHolesAreFilledFromFinerCandles(t *testing.T) {
	d := timescaletest.Open(t)
	fine := walk(market.Minute5, newYear, 12*24)
	write(t, d, market.Series{Symbol: "BTCUSDT", Interval: market.Minute5}, fine)
	rolledUp := read(t, d, btc15m, forever, 1000)
	if len(rolledUp) != 96 {
		t.Fatalf("%d candles of 15m out of a day of 5m", len(rolledUp))
	}
	first := rolledUp[0]
	if first.Open != fine[0].Open || first.Close != fine[2].Close || first.Source != market.Minute5 || first.Parts != 3 {
		t.Errorf("the first one is %+v", first)
	}

	delivered := walk(market.Minute15, newYear, 96)
	delivered = append(delivered[:40:40], delivered[42:]...)
	write(t, d, btc15m, delivered)
	mixed := read(t, d, btc15m, forever, 1000)
	if len(mixed) != 96 {
		t.Fatalf("%d candles of a full day", len(mixed))
	}
	for k, c := range mixed {
		wanted := market.Minute15
		if k == 40 || k == 41 {
			wanted = market.Minute5
		}
		if c.Source != wanted || !c.Complete(market.Minute15) {
			t.Errorf("candle %d comes from %s with %d parts", k, c.Source, c.Parts)
		}
	}
	if limited := read(t, d, btc15m, forever, 41); !slices.Equal(limited, mixed[:41]) {
		t.Errorf("the first 41 are %d others", len(limited))
	}
}

func TestIncompleteBucketsTellTheirParts(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 10)
	candles[5].QuoteVolume = market.Optional[float64]{}
	write(t, d, btc15m, append(candles[:2:2], candles[3:]...)) // one missing in the first hour
	hours := read(t, d, market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}, forever, 10)
	if len(hours) != 3 {
		t.Fatalf("%d hours", len(hours))
	}
	for k, want := range []struct {
		parts    int
		complete bool
	}{{3, false}, {4, true}, {2, false}} {
		if hours[k].Parts != want.parts || hours[k].Complete(market.Hour1) != want.complete {
			t.Errorf("hour %d has %d parts", k, hours[k].Parts)
		}
	}
	if !hours[0].QuoteVolume.Valid || hours[1].QuoteVolume.Valid {
		t.Error("a quote volume with an unknown part must be unknown, and no other")
	}
	if _, err := d.LatestCandle(t.Context(), market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}); market.ErrorCode(err) != market.NotFound {
		t.Errorf("the latest candle of nothing: %v", err)
	}
	latest, err := d.LatestCandle(t.Context(), market.Series{Symbol: "BTCUSDT", Interval: market.Hour1})
	if err != nil || latest != hours[2] {
		t.Errorf("the latest candle is %+v (%v)", latest, err)
	}
}
