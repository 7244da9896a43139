package api

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// pageOf is what the schema documents, filled in.
func pageOf(series market.Series, candles []market.Candle, next string) candlePage {
	page := candlePage{Symbol: series.Symbol, Interval: intervalName(series.Interval), Candles: []Candle{}}
	if next != "" {
		page.NextCursor = &next
	}
	for _, c := range candles {
		page.Candles = append(page.Candles, Candle{
			OpenTime: c.OpenTime.UTC(), CloseTime: series.Interval.Next(c.OpenTime).UTC(),
			Open: c.Open, High: c.High, Low: c.Low, Close: c.Close, Volume: c.Volume,
			QuoteVolume: orNull(c.QuoteVolume), Trades: orNull(c.Trades),
			TakerBuyVolume: orNull(c.TakerBuyVolume), TakerBuyQuoteVolume: orNull(c.TakerBuyQuoteVolume),
			SourceInterval: intervalName(c.Source), Parts: c.Parts, Complete: c.Complete(series.Interval),
		})
	}
	return page
}

func TestPageIsWhatTheSchemaDocuments(t *testing.T) {
	bare := market.Candle{OpenTime: day1, Open: 1, High: 1, Low: 1, Close: 1, Source: market.Minute15, Parts: 3}
	elsewhere := candleAt(day1.In(time.FixedZone("", 3600)), 1)
	for name, page := range map[string]struct {
		series  market.Series
		candles []market.Candle
		next    string
	}{
		"empty":          {btc15m, nil, ""},
		"all fields":     {btc15m, []market.Candle{candleAt(day1, 0), candleAt(day1.Add(15*time.Minute), 1)}, "AAYSkW3sAAA"},
		"absent fields":  {btc1h, []market.Candle{bare}, ""},
		"another zone":   {btc15m, []market.Candle{elsewhere}, ""},
		"off the grid":   {btc15m, []market.Candle{candleAt(day1.Add(123456*time.Microsecond), 2)}, ""},
		"month":          {market.Series{Symbol: "BTCUSDT", Interval: market.Month1}, []market.Candle{bare}, ""},
		"absent numbers": {btc1h, []market.Candle{{OpenTime: day1, Source: market.Hour1, Parts: 1}}, ""},
	} {
		want, err := json.Marshal(pageOf(page.series, page.candles, page.next))
		if err != nil {
			t.Fatal(err)
		}
		got := appendPage(nil, page.series, page.candles, page.next)
		if string(got) != string(want)+"\n" {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestNumbersAreWrittenAsEncodingJSONDoes(t *testing.T) {
	numbers := []float64{
		0, 1, -1, 0.1, 1e-6, 9.99e-7, 1e-7, 1.5e-9, 1e-10, 1e20, 1e21, 123456789.123456, 1e-300, 5e-324,
		math.MaxFloat64, 4261.48, 795.150377, 0.00000001, math.Copysign(0, -1),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		if v := math.Float64frombits(random.Uint64()); !math.IsNaN(v) && !math.IsInf(v, 0) {
			numbers = append(numbers, v)
		}
		numbers = append(numbers, math.Round(random.Float64()*1e13)/1e8)
	}
	for _, v := range numbers {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendNumber(nil, v); !bytes.Equal(got, want) {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}

// BenchmarkEncode compares the ways to write a month of 15m candles.
func BenchmarkEncode(b *testing.B) {
	candles := newService(2880).candles[btc15m]
	b.Run("by hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.SetBytes(int64(len(appendPage(nil, btc15m, candles, ""))))
		}
	})
	b.Run("encoding json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encoded, err := json.Marshal(pageOf(btc15m, candles, ""))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(encoded)))
		}
	})
	b.Run("CSV", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.SetBytes(int64(len(appendCSV(nil, market.Minute15, candles))))
		}
	})
}

// Numbers are what encoding/json writes, whichever way they take.
func TestNumbersAreThoseOfEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(
			rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.Uint64Range(0, 2e15).Draw(t, "units")) / 1e8 }),
			rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.Uint64Range(0, 1e6).Draw(t, "cents")) / 100 }),
			rapid.Float64(),
			rapid.Float64Range(0, 1e-5),
			rapid.Float64Range(9_999_990, 10_000_010),
			rapid.Just(math.Copysign(0, -1)),
		).Draw(t, "value")
		want, err := json.Marshal(v)
		if err != nil {
			t.Skip("not a number that JSON has")
		}
		if got := appendNumber(nil, v); string(got) != string(want) {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}
