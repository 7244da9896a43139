package simulator

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// altersPage reports whether the fault is one of a page of klines.
func (p *faultPlay) altersPage() bool {
	if p == nil {
		return false
	}
	on := faultForms[p.Fault].on
	return len(on) == 1 && on[0] == Klines
}

// offGrid is how late a candle opens that is off the grid: less than any interval.
const offGrid = 7 * time.Second

// alterPage returns the page as a fault makes it, or false where the page has no
// room for that. It alters the middle one of the closed candles, which come
// first.
func alterPage(fault Fault, query klineQuery, candles []market.Candle, closed int) ([]byte, bool) {
	interval := query.series.Interval
	middle := (closed - 1) / 2
	switch fault {
	case ObjectForArray:
		return []byte(`{}`), true
	case EmptyPage:
		return []byte(`[]`), len(candles) > 0
	}
	if closed == 0 {
		return nil, false
	}
	candles = slices.Clone(candles) // the source may keep its own
	switch fault {
	case EmptyNumber, NumberForString, StringForNumber, ShortRow:
		return encodeDamagedPage(fault, interval, candles, middle), true
	case DuplicatedCandle:
		candles = slices.Insert(candles, middle, candles[middle])
		candles = candles[:min(len(candles), query.limit)]
		return encodePage(interval, candles), middle+1 < len(candles)
	case DisorderedCandles:
		if closed < 2 {
			return nil, false
		}
		candles[middle], candles[middle+1] = candles[middle+1], candles[middle]
	case CandleOffRange:
		if !query.hasStart() {
			return nil, false
		}
		stray := candles[0]
		stray.OpenTime = interval.Floor(interval.Floor(query.opens.Start).Add(-1))
		candles = slices.Insert(candles, 0, stray)[:min(len(candles)+1, query.limit)]
	case CandleOffGrid:
		candles[middle].OpenTime = candles[middle].OpenTime.Add(offGrid)
	case RevisedCandle:
		candles[middle] = revised(candles[middle])
	}
	return encodePage(interval, candles), true
}

// revised returns another candle that could have been.
func revised(candle market.Candle) market.Candle {
	for _, value := range [...]*float64{
		&candle.Open, &candle.High, &candle.Low, &candle.Close, &candle.Volume,
		&candle.QuoteVolume.Value, &candle.TakerBuyVolume.Value, &candle.TakerBuyQuoteVolume.Value,
	} {
		*value = math.Round(*value*1.0625*decimalScale) / decimalScale
	}
	return candle
}

// encodeDamagedPage encodes a page of which one row has not the shape of the
// others.
func encodeDamagedPage(fault Fault, interval market.Interval, candles []market.Candle, damaged int) []byte {
	rows := make([]json.RawMessage, len(candles))
	for k := range candles {
		rows[k] = appendKline(nil, interval, &candles[k])
	}
	rows[damaged] = damagedRow(fault, rows[damaged])
	body, err := json.Marshal(rows)
	if err != nil {
		panic(err) // every row is JSON
	}
	return body
}

func damagedRow(fault Fault, row []byte) []byte {
	const openTime, closePrice = 0, 4
	var columns []json.RawMessage
	if err := json.Unmarshal(row, &columns); err != nil {
		panic(err) // it was encoded a moment ago
	}
	switch fault {
	case EmptyNumber:
		columns[closePrice] = json.RawMessage(`""`)
	case NumberForString:
		columns[closePrice] = columns[closePrice][1 : len(columns[closePrice])-1]
	case StringForNumber:
		columns[openTime] = strconv.AppendQuote(nil, string(columns[openTime]))
	case ShortRow:
		columns = columns[:closePrice]
	}
	damaged, err := json.Marshal(columns)
	if err != nil {
		panic(err)
	}
	return damaged
}
