package simulator

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// decimals is how many of them Binance gives to prices and volumes.
const (
	decimals     = 8
	decimalScale = 100_000_000 // 10^decimals
)

// appendDecimal appends a value that is not negative, with eight decimals. What a
// source has rounded to eight decimals is read back exactly.
//
// A general formatter would take most of the time of a page: the integers below
// are exact up to 2⁵³, and their quotient is the float64 that is nearest to the
// decimal, so where it equals the value the decimal is the value's.
func appendDecimal(to []byte, value float64) []byte {
	if units := math.Round(value * decimalScale); units >= 0 && units < 1<<53 && units/decimalScale == value {
		to = strconv.AppendUint(to, uint64(units)/decimalScale, 10)
		var fraction [1 + decimals]byte
		fraction[0] = '.'
		for k, rest := decimals, uint64(units)%decimalScale; k > 0; k, rest = k-1, rest/10 {
			fraction[k] = '0' + byte(rest%10)
		}
		return append(to, fraction[:]...)
	}
	start := len(to)
	to = strconv.AppendFloat(to, value, 'f', -1, 64)
	point := bytes.IndexByte(to[start:], '.')
	if point < 0 {
		to = append(to, '.')
		point = len(to) - start - 1
	}
	missing := decimals - (len(to) - start - 1 - point)
	if missing < 0 {
		return strconv.AppendFloat(to[:start], value, 'f', decimals, 64)
	}
	for range missing {
		to = append(to, '0')
	}
	return to
}

// The wire has no way to leave a column out, so what a source does not have is
// written as 0, as Binance does for a candle without trades.

// appendKline appends a candle as a row of the klines endpoint.
func appendKline(to []byte, interval market.Interval, candle *market.Candle) []byte {
	to = append(to, '[')
	to = strconv.AppendInt(to, candle.OpenTime.UnixMilli(), 10)
	for _, value := range [...]float64{candle.Open, candle.High, candle.Low, candle.Close, candle.Volume} {
		to = append(to, `,"`...)
		to = appendDecimal(to, value)
		to = append(to, '"')
	}
	to = append(to, ',')
	to = strconv.AppendInt(to, lastMillisecond(interval, candle.OpenTime), 10)
	to = append(to, `,"`...)
	to = appendDecimal(to, candle.QuoteVolume.Value)
	to = append(to, `",`...)
	to = strconv.AppendInt(to, candle.Trades.Value, 10)
	to = append(to, `,"`...)
	to = appendDecimal(to, candle.TakerBuyVolume.Value)
	to = append(to, `","`...)
	to = appendDecimal(to, candle.TakerBuyQuoteVolume.Value)
	return append(to, `","0"]`...)
}

// lastMillisecond is the close time as Binance gives it: the millisecond before
// the next place on the grid, even of a candle that opened late.
func lastMillisecond(interval market.Interval, open time.Time) int64 {
	return interval.Next(interval.Floor(open)).UnixMilli() - 1
}

// appendKlineEvent appends an event of a kline stream.
func appendKlineEvent(to []byte, series market.Series, at time.Time, candle *market.Candle, closed bool) []byte {
	to = append(to, `{"e":"kline","E":`...)
	to = strconv.AppendInt(to, at.UnixMilli(), 10)
	to = append(to, `,"s":"`...)
	to = append(to, series.Symbol...)
	to = append(to, `","k":{"t":`...)
	to = strconv.AppendInt(to, candle.OpenTime.UnixMilli(), 10)
	to = append(to, `,"T":`...)
	to = strconv.AppendInt(to, lastMillisecond(series.Interval, candle.OpenTime), 10)
	to = append(to, `,"s":"`...)
	to = append(to, series.Symbol...)
	to = append(to, `","i":"`...)
	to = append(to, series.Interval...)
	first, last := tradeIDs(candle)
	to = append(to, `","f":`...)
	to = strconv.AppendInt(to, first, 10)
	to = append(to, `,"L":`...)
	to = strconv.AppendInt(to, last, 10)
	to = append(to, `,"o":"`...)
	to = appendDecimal(to, candle.Open)
	to = append(to, `","c":"`...)
	to = appendDecimal(to, candle.Close)
	to = append(to, `","h":"`...)
	to = appendDecimal(to, candle.High)
	to = append(to, `","l":"`...)
	to = appendDecimal(to, candle.Low)
	to = append(to, `","v":"`...)
	to = appendDecimal(to, candle.Volume)
	to = append(to, `","n":`...)
	to = strconv.AppendInt(to, candle.Trades.Value, 10)
	to = append(to, `,"x":`...)
	to = strconv.AppendBool(to, closed)
	to = append(to, `,"q":"`...)
	to = appendDecimal(to, candle.QuoteVolume.Value)
	to = append(to, `","V":"`...)
	to = appendDecimal(to, candle.TakerBuyVolume.Value)
	to = append(to, `","Q":"`...)
	to = appendDecimal(to, candle.TakerBuyQuoteVolume.Value)
	return append(to, `","B":"0"}}`...)
}

// tradesPerMillisecond is more than any market has had over a minute.
const tradesPerMillisecond = 10

// tradeIDs returns the first and the last trade's number, both −1 of a candle
// without trades. A source does not number its trades: these ascend from candle
// to candle, count the candle's trades and are the same in every process, but
// leave numbers out between candles.
func tradeIDs(candle *market.Candle) (first, last int64) {
	if candle.Trades.Value == 0 {
		return -1, -1
	}
	first = candle.OpenTime.UnixMilli() * tradesPerMillisecond
	return first, first + candle.Trades.Value - 1
}
