package main

import (
	"math"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// The real series of 1h and 1d were delivered by the exchange; rolled up from
// the real 15m series they must come out the same wherever both are complete.
func TestRollUpsEqualTheDeliveredCandles(t *testing.T) {
	fine := importReal(t, "BTCUSDT/15m", "ETHUSDT/15m")
	coarse := importReal(t, "BTCUSDT/1h", "ETHUSDT/1h", "BTCUSDT/1d", "ETHUSDT/1d")
	all := market.TimeRange{Start: history.FirstListing, End: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)}
	read := func(database *timescale.Database, series market.Series) []market.Candle {
		candles, err := database.Candles(t.Context(), series, all, math.MaxInt32)
		if err != nil {
			t.Fatal(err)
		}
		return candles
	}
	for _, symbol := range defaultSymbols {
		for _, test := range []struct {
			interval market.Interval
			fewest   int
		}{{market.Hour1, 21_800}, {market.Day1, 900}} {
			series := market.Series{Symbol: symbol, Interval: test.interval}
			delivered := map[time.Time]market.Candle{}
			for _, c := range read(coarse, series) {
				delivered[c.OpenTime] = c
			}
			compared, differ := 0, 0
			for _, rolledUp := range read(fine, series) {
				want, ok := delivered[rolledUp.OpenTime]
				if !ok || !rolledUp.Complete(test.interval) {
					continue
				}
				compared++
				if !sameCandle(rolledUp, want) {
					if differ++; differ <= 3 {
						t.Errorf("%s at %s: rolled up %+v, delivered %+v", series, want.OpenTime, rolledUp, want)
					}
				}
			}
			if compared < test.fewest {
				t.Errorf("%s: only %d candles could be compared", series, compared)
			}
			t.Logf("%s: compared %d candles rolled up from 15m with those delivered, %d differ", series, compared, differ)
		}
	}
}

// sameCandle compares everything a source can publish: prices, volumes and
// counts to the last bit, but quote volumes, of which the exchange prints more
// digits than a float holds, to one part in 10¹³.
func sameCandle(a, b market.Candle) bool {
	near := func(x, y market.Optional[float64]) bool {
		return x.Valid == y.Valid && math.Abs(x.Value-y.Value) <= 1e-13*math.Abs(y.Value)
	}
	return a.Open == b.Open && a.High == b.High && a.Low == b.Low && a.Close == b.Close && a.Volume == b.Volume &&
		a.Trades == b.Trades && near(a.TakerBuyVolume, b.TakerBuyVolume) &&
		near(a.QuoteVolume, b.QuoteVolume) && near(a.TakerBuyQuoteVolume, b.TakerBuyQuoteVolume)
}
