package binance

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// klinesRequest is one page of candles as the exchange is asked for it.
type klinesRequest struct {
	series market.Series
	opens  market.TimeRange // where the candles may open
	limit  int
}

// decodeKlines returns the candles of an answer: an array of rows, each an array
// of the fields that columns names, times and trades as whole numbers and the
// rest as decimals in strings. Every one is valid, opens where it was asked for
// and after the one before; anything else is an error that says where it stands.
func decodeKlines(text string, asked klinesRequest) ([]market.Candle, error) {
	p := klineParser{rest: text}
	candles := make([]market.Candle, 0, min(asked.limit, strings.Count(text, "]")))
	p.expect('[')
	for first := true; p.err == nil && !p.take(']'); first = false {
		if !first {
			p.expect(',')
		}
		candle, err := p.row(asked.series.Interval)
		if err == nil {
			err = checkPlace(candle.OpenTime, candles, asked)
		}
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", len(candles)+1, err)
		}
		candles = append(candles, candle)
	}
	if p.skipSpace(); p.rest != "" {
		p.fail("the end")
	}
	if p.err != nil {
		return nil, p.err
	}
	return candles, nil
}

// checkPlace says what is wrong with a candle of that open time where it stands.
func checkPlace(open time.Time, before []market.Candle, asked klinesRequest) error {
	switch {
	case !asked.opens.Contains(open):
		return fmt.Errorf("opens at %s, outside of what was asked for", instant(open))
	case len(before) == asked.limit:
		return fmt.Errorf("is one more than the %d asked for", asked.limit)
	case len(before) > 0 && !open.After(before[len(before)-1].OpenTime):
		return fmt.Errorf("opens at %s, not after the row before", instant(open))
	}
	return nil
}

// klineParser reads the JSON of klines and nothing else, which makes it several
// times as fast as a general parser. After the first error it reads no further.
type klineParser struct {
	rest string
	err  error
}

// row reads one candle and validates its values.
func (p *klineParser) row(interval market.Interval) (market.Candle, error) {
	candle := market.Candle{Source: interval, Parts: 1}
	p.expect('[')
	candle.OpenTime = time.UnixMilli(p.integer(0)).UTC()
	candle.Open, candle.High, candle.Low, candle.Close = p.decimal(1), p.decimal(2), p.decimal(3), p.decimal(4)
	candle.Volume = p.decimal(5)
	closes := time.UnixMilli(p.integer(6)).UTC()
	candle.QuoteVolume = market.Some(p.decimal(7))
	candle.Trades = market.Some(p.integer(8))
	candle.TakerBuyVolume = market.Some(p.decimal(9))
	candle.TakerBuyQuoteVolume = market.Some(p.decimal(10))
	p.decimal(11)
	p.expect(']')
	switch {
	case p.err != nil:
		return market.Candle{}, p.err
	case closes.Before(candle.OpenTime) || !closes.Before(interval.Next(candle.OpenTime)):
		return market.Candle{}, fmt.Errorf("close time %s does not fit a candle of %s that opens at %s",
			instant(closes), interval, instant(candle.OpenTime))
	}
	return candle, candle.Validate()
}

// integer reads the field of that column as a whole number of up to 15 digits.
func (p *klineParser) integer(column int) int64 {
	p.separate(column)
	var value int64
	digits := 0
	for digits < len(p.rest) && isDigit(p.rest[digits]) {
		value = value*10 + int64(p.rest[digits]-'0') // what overflows is refused below
		digits++
	}
	if digits == 0 || digits > 15 || digits > 1 && p.rest[0] == '0' {
		p.fail(columns[column] + " (a whole number)")
		return 0
	}
	p.advance(digits)
	return value
}

// decimal reads the field of that column as a decimal without sign or exponent
// in a string.
func (p *klineParser) decimal(column int) float64 {
	p.separate(column)
	length := 1
	for length < len(p.rest) && (isDigit(p.rest[length]) || p.rest[length] == '.') {
		length++
	}
	if length < len(p.rest) && p.rest[0] == '"' && p.rest[length] == '"' {
		if value, err := strconv.ParseFloat(p.rest[1:length], 64); err == nil {
			p.advance(length + 1)
			return value
		}
	}
	p.fail(columns[column] + " (a decimal in a string)")
	return 0
}

// separate reads what stands between a field and the one before.
func (p *klineParser) separate(column int) {
	if column > 0 {
		p.expect(',')
	}
	p.skipSpace()
}

func (p *klineParser) expect(c byte) {
	if !p.take(c) {
		p.fail(strconv.QuoteRune(rune(c)))
	}
}

// take reads c where it comes next and reports whether it did.
func (p *klineParser) take(c byte) bool {
	p.skipSpace()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.advance(1)
	return true
}

func (p *klineParser) skipSpace() {
	for p.rest != "" && (p.rest[0] == ' ' || p.rest[0] == '\n' || p.rest[0] == '\t' || p.rest[0] == '\r') {
		p.rest = p.rest[1:]
	}
}

func (p *klineParser) advance(bytes int) {
	if p.err == nil {
		p.rest = p.rest[bytes:]
	}
}

func (p *klineParser) fail(wanted string) {
	if p.err == nil {
		p.err = fmt.Errorf("found %s where %s is expected", quote(p.rest), wanted)
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
