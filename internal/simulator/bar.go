package simulator

import (
	"math"
	"math/bits"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// unit is the whole of a price or an amount, which are kept as integers of the
// 10⁻⁸ that the exchange prints: sums are exact then, whatever their order.
const unit = 100_000_000

// bar is a candle in units, the part that coarser candles are made of.
type bar struct {
	openTime                            int64 // milliseconds since 1970
	open, high, low, close              int64
	volume, quoteVolume                 int64
	takerBuyVolume, takerBuyQuoteVolume int64
	trades                              int64
}

func (b *bar) candle(interval market.Interval) market.Candle {
	return market.Candle{
		OpenTime: instant(b.openTime),
		Open:     whole(b.open), High: whole(b.high), Low: whole(b.low), Close: whole(b.close),
		Volume:              whole(b.volume),
		QuoteVolume:         market.Some(whole(b.quoteVolume)),
		Trades:              market.Some(b.trades),
		TakerBuyVolume:      market.Some(whole(b.takerBuyVolume)),
		TakerBuyQuoteVolume: market.Some(whole(b.takerBuyQuoteVolume)),
		Source:              interval,
		Parts:               1,
	}
}

func whole(units int64) float64 { return sum{low: uint64(units)}.whole() }

func instant(milliseconds int64) time.Time { return time.UnixMilli(milliseconds).UTC() }

// sum adds up units. It has 128 bits, because the quote volume of one good month
// of BTCUSDT has more than 64.
type sum struct{ high, low uint64 }

func (s *sum) add(units int64) {
	var carry uint64
	s.low, carry = bits.Add64(s.low, uint64(units), 0)
	s.high += carry
}

// whole returns the float64 nearest to the sum's decimal, for sums under 10¹⁸.
func (s sum) whole() float64 {
	const exact = 1 << 53 // up to here a float64 holds every integer, and one division rounds once
	if s.high == 0 && s.low <= exact {
		return float64(s.low) / unit
	}
	// Division of the sum, shifted so far that the quotient has more bits than a
	// float64 and still fits. What remains only tells whether a quotient that
	// seems to be halfway between two values really is.
	const highBits = 26 // 2²⁶ < unit
	shift := highBits - bits.Len64(s.high)
	if s.high == 0 {
		shift += 64 - bits.Len64(s.low)
	}
	high, low := s.high<<shift|s.low>>(64-shift), s.low<<shift
	quotient, rest := bits.Div64(high, low, unit)
	if rest != 0 {
		quotient |= 1
	}
	return math.Ldexp(float64(quotient), -shift)
}
