package forecast

import (
	"math"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// newFineMemory holds candles of both pairs, and the finer ones that they are made of.
func newFineMemory(count int) *memory {
	m := &memory{candles: map[market.Series][]market.Candle{}}
	for k, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
		minutes := synthetic(uint64(10+k), market.Minute1, 15*count)
		for j := range minutes { // in steps, so that sums do not depend on their order
			c := &minutes[j]
			c.Volume = math.Ceil(c.Volume*1024) / 1024
			c.TakerBuyVolume.Value = math.Floor(c.TakerBuyVolume.Value*1024) / 1024
		}
		for _, interval := range []market.Interval{market.Minute1, market.Minute5, market.Minute15} {
			m.candles[market.Series{Symbol: symbol, Interval: interval}] = rolledUp(minutes, interval)
		}
	}
	return m
}

// withoutCandles returns a memory of the same models, which are not to be changed.
func (m *memory) withoutCandles() *memory {
	other := *m
	other.candles = map[market.Series][]market.Candle{}
	return &other
}

// rolledUp makes candles of an interval of finer ones, of which none is missing.
func rolledUp(finer []market.Candle, interval market.Interval) []market.Candle {
	var candles []market.Candle
	for start := 0; start < len(finer); {
		open, end := finer[start].OpenTime, start
		for end < len(finer) && finer[end].OpenTime.Before(interval.Next(open)) {
			end++
		}
		c := soFar(finer[start:end])
		c.Source, c.Parts = interval, 1
		candles = append(candles, c)
		start = end
	}
	return candles
}

// soFar is a candle as it stands after some of its parts.
func soFar(parts []market.Candle) market.Candle {
	c := parts[0]
	for _, part := range parts[1:] {
		c.High, c.Low, c.Close = max(c.High, part.High), min(c.Low, part.Low), part.Close
		c.Volume += part.Volume
		c.TakerBuyVolume.Value += part.TakerBuyVolume.Value
	}
	return c
}
