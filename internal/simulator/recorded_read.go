package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// readRecordings reads files into recordings, by symbol, then finest first. The
// series that cannot be moved by weeks are not read.
func readRecordings(ctx context.Context, files []history.CandleFile) (recordings []*recording, leftOut []market.Series, err error) {
	bySeries := map[market.Series]*recording{}
	for _, file := range files {
		if file.Series.Interval == market.Day3 || file.Series.Interval == market.Month1 {
			if !slices.Contains(leftOut, file.Series) {
				leftOut = append(leftOut, file.Series)
			}
			continue
		}
		recorded := bySeries[file.Series]
		if recorded == nil {
			recorded = &recording{series: file.Series, seed: seedOf(0, string(file.Series.Symbol))}
			bySeries[file.Series] = recorded
			recordings = append(recordings, recorded)
		}
		if err := recorded.read(ctx, file); err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", file.Name, err)
		}
	}
	recordings = slices.DeleteFunc(recordings, func(r *recording) bool { return len(r.bars) == 0 })
	if len(recordings) == 0 {
		return nil, nil, market.Errorf(market.Invalid,
			"the %d files hold no candles that can be played: give some of at most a day, or of a week", len(files))
	}
	for _, recorded := range recordings {
		recorded.finish()
	}
	slices.SortFunc(recordings, func(a, b *recording) int {
		return cmp.Or(cmp.Compare(a.series.Symbol, b.series.Symbol),
			cmp.Compare(a.series.Interval.Length(), b.series.Interval.Length()))
	})
	return recordings, leftOut, nil
}

// read appends the candles of a file.
func (r *recording) read(ctx context.Context, file history.CandleFile) error {
	reader, err := file.Open(ctx)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		candle, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := recordedBar(candle)
		if err != nil {
			return err
		}
		r.bars = append(r.bars, b)
	}
}

// absent marks a column that a file lacks until finish makes it up.
const absent = -1

func recordedBar(candle market.Candle) (bar, error) {
	b := bar{openTime: candle.OpenTime.UnixMilli(), trades: absent}
	if candle.Trades.Valid {
		b.trades = candle.Trades.Value
	}
	for _, column := range [...]struct {
		name  string
		value market.Optional[float64]
		units *int64
	}{
		{"open", market.Some(candle.Open), &b.open},
		{"high", market.Some(candle.High), &b.high},
		{"low", market.Some(candle.Low), &b.low},
		{"close", market.Some(candle.Close), &b.close},
		{"volume", market.Some(candle.Volume), &b.volume},
		{"quote volume", candle.QuoteVolume, &b.quoteVolume},
		{"taker buy volume", candle.TakerBuyVolume, &b.takerBuyVolume},
		{"taker buy quote volume", candle.TakerBuyQuoteVolume, &b.takerBuyQuoteVolume},
	} {
		*column.units = absent
		if !column.value.Valid {
			continue
		}
		units, ok := toUnits(column.value.Value)
		if !ok {
			return bar{}, market.Errorf(market.Invalid, "the candle of %s has a %s of %v: at most %d can be played",
				candle.OpenTime.Format(time.RFC3339), column.name, column.value.Value, math.MaxInt64/unit)
		}
		*column.units = units
	}
	if b.low == 0 {
		return bar{}, market.Errorf(market.Invalid, "the candle of %s has a low of %v: at least 0.00000001 can be played",
			candle.OpenTime.Format(time.RFC3339), candle.Low)
	}
	return b, nil
}

// toUnits returns the number of units that the shortest decimal of a value has,
// and whether there is room for it.
func toUnits(value float64) (int64, bool) {
	const exact = 1e7 // up to here the product is off by less than half of a unit, and much faster
	if value < exact {
		return int64(math.Round(value * unit)), true
	}
	digits, decimals, _ := strings.Cut(strconv.FormatFloat(value, 'f', -1, 64), ".")
	const zeros = "00000000" // of a unit's decimals
	units, err := strconv.ParseInt(digits+(decimals + zeros)[:len(zeros)], 10, 64)
	return units, err == nil
}

// finish sorts what was read, lets later files have the say, and makes up what
// they lack.
func (r *recording) finish() {
	slices.SortStableFunc(r.bars, func(a, b bar) int { return cmp.Compare(a.openTime, b.openTime) })
	kept := r.bars[:0]
	for _, b := range r.bars {
		if last := len(kept) - 1; last >= 0 && kept[last].openTime == b.openTime {
			kept[last] = b
		} else {
			kept = append(kept, b)
		}
	}
	r.bars = slices.Clone(kept) // without the room that appending left
	for k := range r.bars {
		b := &r.bars[k]
		for _, price := range [...]int64{b.open, b.high, b.low, b.close} {
			r.grain.price = divisor(r.grain.price, price)
		}
		r.grain.volume = divisor(r.grain.volume, b.volume)
	}
	r.grain.volume = max(r.grain.volume, 1) // where nothing at all is traded
	for k := range r.bars {
		r.makeUp(&r.bars[k])
	}
}

// divisor returns the greatest common divisor; that of zero and b is b.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// makeUp fills the columns that a file lacks, as Recorded says.
func (r *recording) makeUp(b *bar) {
	const perTrade = 700 * unit
	if b.quoteVolume == absent {
		typical := b.high/3 + b.low/3 + b.close/3
		b.quoteVolume = max(times(b.volume, typical, unit), b.takerBuyQuoteVolume)
	}
	if b.trades == absent {
		b.trades = 0
		if b.volume > 0 {
			b.trades = 1 + b.quoteVolume/perTrade
		}
	}
	permille := 400 + int64(mix(r.seed+uint64(b.openTime))%201)
	if b.takerBuyVolume == absent {
		b.takerBuyVolume = times(b.volume/r.grain.volume, permille, 1000) * r.grain.volume
	}
	if b.takerBuyQuoteVolume == absent {
		b.takerBuyQuoteVolume = times(b.quoteVolume, permille, 1000)
	}
}

// times returns a·b/divisor, rounded down, at most the largest int64.
func times(a, b, divisor int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(divisor) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, uint64(divisor))
	return int64(min(quotient, math.MaxInt64))
}
