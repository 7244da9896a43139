package timescale_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestClosedCandlesAreStored(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 8)
	// The exchange was asked for two of them too early.
	writePage(t, d, btc15m, history.Page{
		Asked: market.TimeRange{Start: candles[5].OpenTime, End: candles[7].OpenTime}, Asking: candles[7].OpenTime,
	})
	for _, k := range []int{0, 1, 2, 3, 5, 3} { // one of them twice, one missing
		if err := d.StoreClosed(t.Context(), btc15m, candles[k]); err != nil {
			t.Fatal(err)
		}
	}
	corrected := candles[2]
	corrected.High *= 2
	if err := d.StoreClosed(t.Context(), btc15m, corrected); err != nil {
		t.Fatal(err)
	}
	want := []market.Candle{candles[0], candles[1], corrected, candles[3], candles[5]}
	if got := read(t, d, btc15m, forever, 100); !slices.Equal(got, want) {
		t.Errorf("stored are %+v, want %+v", got, want)
	}
	left := emptyRanges(t, d, btc15m)
	if len(left) != 1 || !left[0].Start.Equal(candles[6].OpenTime) || !left[0].End.Equal(candles[7].OpenTime) {
		t.Errorf("the exchange has nothing in %+v, want the one of %s", left, candles[6].OpenTime)
	}
	hour := read(t, d, market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}, days(0, 1), 1)
	if len(hour) != 1 || hour[0].High != corrected.High || hour[0].Parts != 4 {
		t.Errorf("the hour is %+v", hour)
	}
}

func TestAClosedCandleThatCannotBeIsRefused(t *testing.T) {
	d := timescaletest.Open(t)
	candle := walk(market.Minute15, newYear, 1)[0]
	candle.Low = -1
	if err := d.StoreClosed(t.Context(), btc15m, candle); err == nil {
		t.Error("a negative price is stored")
	}
}

func BenchmarkStoreClosed(b *testing.B) {
	d := timescaletest.Open(b)
	write(b, d, btc15m, walk(market.Minute15, newYear, 50_000))
	candle := walk(market.Minute15, newYear.Add(50_000*15*time.Minute), 1)[0]
	for b.Loop() {
		if err := d.StoreClosed(b.Context(), btc15m, candle); err != nil {
			b.Fatal(err)
		}
		candle.OpenTime = candle.OpenTime.Add(15 * time.Minute)
	}
}
