package simulator

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPathsVisitTheWholeBar walks bars of any shape second by second.
func TestPathsVisitTheWholeBar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := grain{
			price:  rapid.SampledFrom([]int64{1, 7, cent}).Draw(t, "price grain"),
			volume: rapid.SampledFrom([]int64{1, lot}).Draw(t, "volume grain"),
		}
		prices := rapid.SliceOfN(rapid.Int64Range(1, 1e6), 4, 4).Draw(t, "prices")
		b := bar{
			openTime: rapid.Int64Range(1.5e12, 2e12).Draw(t, "open time"),
			open:     prices[0] * g.price, close: prices[1] * g.price,
			high:   max(prices[0], prices[1], prices[2], prices[3]) * g.price,
			low:    min(prices[0], prices[1], prices[2], prices[3]) * g.price,
			volume: rapid.Int64Range(1, 1e9).Draw(t, "volume") * g.volume,
			trades: rapid.Int64Range(1, 1e6).Draw(t, "trades"),
		}
		b.quoteVolume = rapid.Int64Range(1, 9e18).Draw(t, "quote volume")
		b.takerBuyVolume = rapid.Int64Range(0, b.volume/g.volume).Draw(t, "taker buy volume") * g.volume
		b.takerBuyQuoteVolume = rapid.Int64Range(0, b.quoteVolume).Draw(t, "taker buy quote volume")
		seed := rapid.Uint64().Draw(t, "seed")
		length := rapid.Int64Range(1, 7*24*time.Hour.Milliseconds()).Draw(t, "length")

		before := bar{high: b.open, low: b.open}
		for k := range int64(100) {
			elapsed := k * length / 100
			now := openBar(&b, g, seed, elapsed, length)
			switch {
			case now.openTime != b.openTime, now.open != b.open:
				t.Fatalf("%+v is not the bar %+v", now, b)
			case now.close < now.low, now.close > now.high, now.low < b.low, now.high > b.high:
				t.Fatalf("%+v leaves the range of %+v", now, b)
			case now.high < before.high, now.low > before.low, now.volume < before.volume, now.quoteVolume < before.quoteVolume,
				now.takerBuyVolume < before.takerBuyVolume, now.takerBuyQuoteVolume < before.takerBuyQuoteVolume, now.trades < before.trades:
				t.Fatalf("%+v follows %+v", now, before)
			case now.takerBuyVolume > now.volume, now.takerBuyQuoteVolume > now.quoteVolume, now.volume > b.volume, now.trades > b.trades:
				t.Fatalf("%+v is more than %+v", now, b)
			case now.trades < 1, now.volume < g.volume, now.volume%g.volume != 0, now.close%g.price != 0:
				t.Fatalf("%+v is no whole number of %+v", now, g)
			}
			if k == 0 && length >= 4000 && now.close != b.open {
				t.Fatalf("%+v begins at another price than %+v", now, b)
			}
			before = now
		}
		if last := openBar(&b, g, seed, length-1, length); last != b {
			t.Fatalf("%+v ends as %+v", b, last)
		}
	})
}

// TestPathsEndWithEveryUnit takes amounts that a float64 cannot hold.
func TestPathsEndWithEveryUnit(t *testing.T) {
	const amount = 1<<60 + 1
	b := bar{open: 2, high: 4, low: 1, close: 3, volume: amount, quoteVolume: amount, takerBuyVolume: amount, takerBuyQuoteVolume: amount, trades: 1}
	if last := openBar(&b, grain{price: 1, volume: 1}, 1, 59_999, 60_000); last != b {
		t.Errorf("%+v ends as %+v", b, last)
	}
	if early := openBar(&b, grain{price: 1, volume: 1}, 1, 58_999, 60_000); early.volume >= amount {
		t.Errorf("%+v is whole too early", early)
	}
}

// TestPathsMoveLikePrices looks at a minute second by second: it must neither
// stand still nor jump from end to end.
func TestPathsMoveLikePrices(t *testing.T) {
	b := bar{openTime: 1.6e12, open: 40_000_00 * cent, high: 40_090_00 * cent, low: 39_980_00 * cent, close: 40_050_00 * cent,
		volume: 1000 * lot, quoteVolume: 4e15, trades: 500}
	prices := map[int64]bool{}
	previous := b.open
	for second := range int64(60) {
		now := openBar(&b, generatedGrain, 1, second*1000, 60_000)
		if jump := max(now.close-previous, previous-now.close); jump > (b.high-b.low)/2 {
			t.Errorf("in second %d the price goes from %d to %d", second, previous, now.close)
		}
		previous = now.close
		prices[now.close] = true
	}
	if len(prices) < 40 {
		t.Errorf("only %d prices in 60 seconds", len(prices))
	}
}
