package binance

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// columns are the fields of a kline row, in order, as messages name them.
var columns = [...]string{
	"open time", "open", "high", "low", "close", "volume", "close time",
	"quote volume", "trades", "taker buy volume", "taker buy quote volume", "ignored column",
}

// plainColumns is how many columns a plain OHLCV row has: up to the volume.
const plainColumns = 6

// rowDecoder turns the rows of one file into candles. All must have as many
// columns as the first, so that a row that was cut short is noticed.
type rowDecoder struct {
	interval market.Interval
	columns  int // of every row; 0 until one is seen
}

// header is what the columns must be called where a file names them. Those
// after the close time go by several names and always stand in one order.
var header = []string{"open_time", "open", "high", "low", "close", "volume", "close_time"}

func isHeader(row []byte) bool {
	first, _, _ := bytes.Cut(row, []byte(","))
	return headerName(first) == header[0]
}

func headerName(field []byte) string {
	return strings.ReplaceAll(strings.ToLower(string(bytes.TrimSpace(field))), " ", "_")
}

// readHeader checks that the columns stand in the order that decode expects.
func (d *rowDecoder) readHeader(row []byte) error {
	fields, err := d.split(row)
	if err != nil {
		return err
	}
	for k, want := range header[:min(len(header), d.columns)] {
		if got := headerName(fields[k]); got != want {
			return fmt.Errorf("the header names column %d %s where %s is expected", k+1, quote(string(fields[k])), want)
		}
	}
	return nil
}

// decode returns the candle of a row, without having validated its values.
func (d *rowDecoder) decode(row []byte) (market.Candle, error) {
	fields, err := d.split(row)
	if err != nil {
		return market.Candle{}, err
	}
	candle := market.Candle{Source: d.interval, Parts: 1}
	if candle.OpenTime, err = parseTime(fields[0]); err != nil {
		return market.Candle{}, fmt.Errorf("open time %w", err)
	}
	for k, value := range [...]*float64{&candle.Open, &candle.High, &candle.Low, &candle.Close, &candle.Volume} {
		if *value, err = parseNumber(fields[1+k]); err != nil {
			return market.Candle{}, fmt.Errorf("%s %w", columns[1+k], err)
		}
	}
	if err := d.checkCloseTime(candle.OpenTime, fields[6]); err != nil {
		return market.Candle{}, err
	}
	if field := fields[8]; len(field) > 0 {
		trades, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return market.Candle{}, fmt.Errorf("trades %s is not a whole number", quote(string(field)))
		}
		candle.Trades = market.Some(trades)
	}
	for _, optional := range [...]struct {
		column int
		value  *market.Optional[float64]
	}{{7, &candle.QuoteVolume}, {9, &candle.TakerBuyVolume}, {10, &candle.TakerBuyQuoteVolume}} {
		field := fields[optional.column]
		if len(field) == 0 {
			continue // not published: absent, not zero
		}
		value, err := parseNumber(field)
		if err != nil {
			return market.Candle{}, fmt.Errorf("%s %w", columns[optional.column], err)
		}
		*optional.value = market.Some(value)
	}
	return candle, nil
}

// split cuts a row at its commas. The fields of the columns that a plain row
// does not have are empty.
func (d *rowDecoder) split(row []byte) (fields [len(columns)][]byte, err error) {
	count := bytes.Count(row, []byte(",")) + 1
	if d.columns == 0 && (count == plainColumns || count == len(columns)) {
		d.columns = count
	}
	switch {
	case d.columns == 0:
		return fields, fmt.Errorf("has %d columns: expected %d (%s) or Binance's %d, separated by commas",
			count, plainColumns, strings.Join(columns[:plainColumns], ", "), len(columns))
	case count != d.columns:
		return fields, fmt.Errorf("has %d columns, the rows before it have %d", count, d.columns)
	}
	for k := range d.columns - 1 {
		comma := bytes.IndexByte(row, ',')
		fields[k], row = row[:comma], row[comma+1:]
	}
	fields[d.columns-1] = row
	return fields, nil
}

// checkCloseTime refuses a close time outside the candle. Binance gives the
// last unit of time before the next open; a candle that an outage or a change
// of the grid cut short closes earlier.
func (d *rowDecoder) checkCloseTime(open time.Time, field []byte) error {
	if len(field) == 0 {
		return nil
	}
	end, err := parseTime(field)
	if err != nil {
		return fmt.Errorf("close time %w", err)
	}
	if end.Before(open) || !end.Before(d.interval.Next(open)) {
		return fmt.Errorf("close time %s does not fit a candle of %s that opens at %s", instant(end), d.interval, instant(open))
	}
	return nil
}

// Digits of a time since 1970: 13 count milliseconds and 16 microseconds, both
// from September 2001 to November 2286, so that no value can mean either.
// Binance's archive of spot klines changed from the one to the other with 2025.
const (
	millisecondDigits = 13
	microsecondDigits = 16
)

func parseTime(field []byte) (time.Time, error) {
	var value int64
	valid := (len(field) == millisecondDigits || len(field) == microsecondDigits) && field[0] != '0'
	for _, digit := range field {
		valid = valid && '0' <= digit && digit <= '9'
		value = value*10 + int64(digit-'0')
	}
	switch {
	case !valid:
		return time.Time{}, fmt.Errorf("%s is neither milliseconds (%d digits) nor microseconds (%d digits) since 1970",
			quote(string(field)), millisecondDigits, microsecondDigits)
	case len(field) == millisecondDigits:
		return time.UnixMilli(value).UTC(), nil
	default:
		return time.UnixMicro(value).UTC(), nil
	}
}

// parseNumber takes decimal notation only, with or without an exponent:
// strconv takes NaN, Inf and hexadecimal too, which no candle file means.
func parseNumber(field []byte) (float64, error) {
	decimal := true
	for _, c := range field {
		decimal = decimal && ('0' <= c && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E')
	}
	value, err := strconv.ParseFloat(string(field), 64)
	if !decimal || err != nil {
		return 0, fmt.Errorf("%s is not a decimal number within the range of a float64", quote(string(field)))
	}
	return value, nil
}

// quote makes foreign text safe and short enough for a message.
func quote(text string) string {
	const limit = 40
	if len(text) > limit {
		return strconv.Quote(text[:limit]) + "…"
	}
	return strconv.Quote(text)
}
