package indicators

import (
	"archive/zip"
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const month = "../../../shared/data/spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-03.zip"

// realCandles reads a month of candles as the exchange publishes it.
func realCandles(t *testing.T) []market.Candle {
	t.Helper()
	archive, err := zip.OpenReader(month)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") == "" {
		t.Skipf("real candles are not tested: there is no %s", month)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	file, err := archive.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	candles := make([]market.Candle, len(rows))
	for i, row := range rows {
		for column, field := range map[int]*float64{1: &candles[i].Open, 2: &candles[i].High, 3: &candles[i].Low, 4: &candles[i].Close} {
			if *field, err = strconv.ParseFloat(row[column], 64); err != nil {
				t.Fatalf("row %d: %v", i, err)
			}
		}
	}
	return candles
}

// fields returns every indicator of a point.
func (p Point) fields() []market.Optional[float64] {
	return []market.Optional[float64]{
		p.SMA, p.EMA, p.BollingerLower, p.BollingerMiddle, p.BollingerUpper, p.RSI, p.MACD, p.MACDSignal, p.MACDHistogram,
	}
}

func TestRealCandles(t *testing.T) {
	candles := realCandles(t)
	if len(candles) != 31*96 {
		t.Fatalf("%d candles, want those of 31 days", len(candles))
	}
	inside := 0
	for i, p := range Of(candles) {
		// The slowest, the SMA, is there from the 50th candle on, the signal from the
		// 34th, the RSI from the 15th.
		for name, known := range map[string]struct {
			value market.Optional[float64]
			from  int
		}{"SMA": {p.SMA, 49}, "EMA": {p.EMA, 19}, "bands": {p.BollingerUpper, 19}, "RSI": {p.RSI, 14}, "MACD": {p.MACD, 25}, "signal": {p.MACDSignal, 33}} {
			if known.value.Valid != (i >= known.from) {
				t.Fatalf("candle %d: whether there is a value of %s is %t", i, name, known.value.Valid)
			}
		}
		if i < 49 {
			continue
		}
		if !(p.BollingerLower.Value < p.BollingerMiddle.Value && p.BollingerMiddle.Value < p.BollingerUpper.Value) {
			t.Errorf("candle %d: bands %+v", i, p)
		}
		if p.RSI.Value <= 0 || p.RSI.Value >= 100 {
			t.Errorf("candle %d: RSI %v", i, p.RSI.Value)
		}
		if close := candles[i].Close; close > p.BollingerLower.Value && close < p.BollingerUpper.Value {
			inside++
		}
	}
	// Bollinger's own studies find 88 to 89 % of closes between his bands.
	if share := float64(inside) / float64(len(candles)-49); share < 0.85 || share > 0.92 {
		t.Errorf("%.1f %% of the closes lie between the bands", 100*share)
	}
}

// With enough candles before them, values do not depend on where the candles begin.
func TestWarmUp(t *testing.T) {
	candles := realCandles(t)
	whole := Of(candles)
	for _, first := range []int{WarmUp, 1000, 2500} {
		for k, p := range Of(candles[first-WarmUp:])[WarmUp:] {
			for j, field := range p.fields() {
				want := whole[first+k].fields()[j]
				// Of a difference of prices, the last bits are those of the prices.
				if field.Valid != want.Valid || math.Abs(field.Value-want.Value) > 1e-14*candles[first+k].Close {
					t.Fatalf("candle %d, value %d: %v from %d on, %v over all", first+k, j, field, first-WarmUp, want)
				}
			}
		}
	}
}
