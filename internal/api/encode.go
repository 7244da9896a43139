package api

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Candles are encoded by hand: encoding/json takes several times as long for a
// page (BenchmarkEncode), which is a good part of the time of a whole call.

// candleBytes is about what a candle takes as JSON.
const candleBytes = 350

// appendPage appends what encoding/json would write of a candlePage.
func appendPage(b []byte, series market.Series, candles []market.Candle, nextCursor string) []byte {
	b = slices.Grow(b, (len(candles)+1)*candleBytes)
	// Symbols, intervals and cursors hold nothing that JSON would escape.
	b = append(b, `{"symbol":"`...)
	b = append(b, series.Symbol...)
	b = append(b, `","interval":"`...)
	b = append(b, series.Interval...)
	b = append(b, `","candles":[`...)
	for i, c := range candles {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCandle(b, series.Interval, c)
	}
	b = append(b, `],"next_cursor":`...)
	if nextCursor == "" {
		return append(b, "null}\n"...)
	}
	b = append(b, '"')
	b = append(b, nextCursor...)
	return append(b, "\"}\n"...)
}

// appendLines appends each candle as a line of JSON.
func appendLines(b []byte, interval market.Interval, candles []market.Candle) []byte {
	b = slices.Grow(b, len(candles)*candleBytes)
	for _, c := range candles {
		b = append(appendCandle(b, interval, c), '\n')
	}
	return b
}

func appendCandle(b []byte, interval market.Interval, c market.Candle) []byte {
	b = append(b, '{')
	b = appendCandleFields(b, interval, c)
	return append(b, '}')
}

func appendCandleFields(b []byte, interval market.Interval, c market.Candle) []byte {
	b = append(b, `"open_time":"`...)
	b = appendTime(b, c.OpenTime)
	b = append(b, `","close_time":"`...)
	b = appendTime(b, interval.Next(c.OpenTime))
	b = append(b, `","open":`...)
	b = appendNumber(b, c.Open)
	b = append(b, `,"high":`...)
	b = appendNumber(b, c.High)
	b = append(b, `,"low":`...)
	b = appendNumber(b, c.Low)
	b = append(b, `,"close":`...)
	b = appendNumber(b, c.Close)
	b = append(b, `,"volume":`...)
	b = appendNumber(b, c.Volume)
	b = append(b, `,"quote_volume":`...)
	b = appendOptional(b, c.QuoteVolume, appendNumber, "null")
	b = append(b, `,"trades":`...)
	b = appendOptional(b, c.Trades, appendInteger, "null")
	b = append(b, `,"taker_buy_volume":`...)
	b = appendOptional(b, c.TakerBuyVolume, appendNumber, "null")
	b = append(b, `,"taker_buy_quote_volume":`...)
	b = appendOptional(b, c.TakerBuyQuoteVolume, appendNumber, "null")
	b = append(b, `,"source_interval":"`...)
	b = append(b, c.Source...)
	b = append(b, `","parts":`...)
	b = strconv.AppendInt(b, int64(c.Parts), 10)
	b = append(b, `,"complete":`...)
	return strconv.AppendBool(b, c.Complete(interval))
}

// csvHeader names the columns of a CSV answer as JSON does.
var csvHeader = strings.Join([]string{
	"open_time", "close_time", "open", "high", "low", "close", "volume", "quote_volume", "trades",
	"taker_buy_volume", "taker_buy_quote_volume", "source_interval", "parts", "complete",
}, ",")

// appendCSV appends a header row and one row a candle, as RFC 4180 has it.
func appendCSV(b []byte, interval market.Interval, candles []market.Candle) []byte {
	return appendRows(append(append(b, csvHeader...), "\r\n"...), interval, candles)
}

// appendRows appends one row of CSV a candle. No field can hold a character that would
// have to be quoted.
func appendRows(b []byte, interval market.Interval, candles []market.Candle) []byte {
	b = slices.Grow(b, len(candles)*candleBytes/2)
	for _, c := range candles {
		b = appendTime(b, c.OpenTime)
		b = append(b, ',')
		b = appendTime(b, interval.Next(c.OpenTime))
		for _, number := range [...]float64{c.Open, c.High, c.Low, c.Close, c.Volume} {
			b = append(b, ',')
			b = appendNumber(b, number)
		}
		b = append(b, ',')
		b = appendOptional(b, c.QuoteVolume, appendNumber, "")
		b = append(b, ',')
		b = appendOptional(b, c.Trades, appendInteger, "")
		b = append(b, ',')
		b = appendOptional(b, c.TakerBuyVolume, appendNumber, "")
		b = append(b, ',')
		b = appendOptional(b, c.TakerBuyQuoteVolume, appendNumber, "")
		b = append(b, ',')
		b = append(b, c.Source...)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(c.Parts), 10)
		b = append(b, ',')
		b = strconv.AppendBool(b, c.Complete(interval))
		b = append(b, "\r\n"...)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339Nano) }

func appendInteger(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }

func appendOptional[T any](b []byte, v market.Optional[T], appendValue func([]byte, T) []byte, absent string) []byte {
	if !v.Valid {
		return append(b, absent...)
	}
	return appendValue(b, v.Value)
}

// appendNumber appends the shortest decimal that reads back as v, with an
// exponent where encoding/json has one.
//
// What the exchange publishes has at most eight decimals. Where it has no more
// than fifteen digits in all, those digits are the shortest decimal, as no other
// of fifteen reads back as the same value, and writing them as an integer saves
// two fifths of a page's time (BenchmarkEncode).
func appendNumber(b []byte, v float64) []byte {
	const unit = 1e8
	if v == 0 || v >= 1e-6 && v < 1e15/unit {
		if n := uint64(v*unit + 0.5); float64(n)/unit == v && !math.Signbit(v) {
			return appendDecimal(b, n)
		}
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, v, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		// e-09 to e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// appendDecimal appends n hundred-millionths.
func appendDecimal(b []byte, n uint64) []byte {
	const unit = 100_000_000
	b = strconv.AppendUint(b, n/unit, 10)
	fraction := n % unit
	if fraction == 0 {
		return b
	}
	b = append(b, ".00000000"...)
	for k := len(b) - 1; fraction > 0; k-- {
		b[k] += byte(fraction % 10)
		fraction /= 10
	}
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}
