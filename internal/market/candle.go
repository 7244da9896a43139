package market

import (
	"strconv"
	"time"
)

// Candle is what the trades of one interval came to. Prices are in the quote
// asset (USDT), volumes in the base asset (BTC) unless their name says quote.
// What a source does not publish is absent, never zero.
type Candle struct {
	OpenTime            time.Time // first instant of the interval, UTC
	Open                float64
	High                float64
	Low                 float64
	Close               float64
	Volume              float64
	QuoteVolume         Optional[float64]
	Trades              Optional[int64]
	TakerBuyVolume      Optional[float64] // base asset bought by takers
	TakerBuyQuoteVolume Optional[float64] // quote asset paid for it

	// Source is the interval of the stored candles that this one was made of,
	// the candle's own interval where it was delivered whole.
	Source Interval
	// Parts is how many stored candles it was made of; fewer than
	// Interval.Parts means that some are missing.
	Parts int
}

// Complete reports whether no part of a candle of that interval is missing.
func (c Candle) Complete(interval Interval) bool {
	return c.Parts >= interval.Parts(c.Source, c.OpenTime)
}

// Bounds far beyond any market, so that sums over any number of candles keep
// within what a database can hold: the largest day of BTCUSDT so far had a quote
// volume of some 10¹⁰ and 10⁷ trades.
const (
	maxAmount = 1e18
	maxTrades = 1e12
)

// Validate returns an Invalid error that names the first field no exchange
// could have meant: a price that is not positive, a high below or a low above
// the others, a negative volume, a taker volume above the whole, anything beyond
// 10¹⁸, or 10¹² trades.
func (c Candle) Validate() error {
	for _, price := range []struct {
		name  string
		value float64
	}{{"open", c.Open}, {"high", c.High}, {"low", c.Low}, {"close", c.Close}} {
		if !(price.value > 0 && price.value <= maxAmount) {
			return Errorf(Invalid, "%s is %s: a price must be positive and at most %v", price.name, number(price.value), maxAmount)
		}
	}
	if c.High < max(c.Open, c.Close, c.Low) {
		return Errorf(Invalid, "high %s is below open, low or close", number(c.High))
	}
	if c.Low > min(c.Open, c.Close) {
		return Errorf(Invalid, "low %s is above open or close", number(c.Low))
	}
	for _, volume := range []struct {
		name  string
		value Optional[float64]
	}{
		{"volume", Some(c.Volume)}, {"quote volume", c.QuoteVolume},
		{"taker buy volume", c.TakerBuyVolume}, {"taker buy quote volume", c.TakerBuyQuoteVolume},
	} {
		if v := volume.value; v.Valid && !(v.Value >= 0 && v.Value <= maxAmount) {
			return Errorf(Invalid, "%s is %s: a volume must not be negative, and at most %v", volume.name, number(v.Value), maxAmount)
		}
	}
	if c.Trades.Valid && (c.Trades.Value < 0 || c.Trades.Value > maxTrades) {
		return Errorf(Invalid, "trades is %d: a count must not be negative, and at most %d", c.Trades.Value, int64(maxTrades))
	}
	if c.TakerBuyVolume.Valid && c.TakerBuyVolume.Value > c.Volume {
		return Errorf(Invalid, "taker buy volume %s is above the volume %s", number(c.TakerBuyVolume.Value), number(c.Volume))
	}
	if c.TakerBuyQuoteVolume.Valid && c.QuoteVolume.Valid && c.TakerBuyQuoteVolume.Value > c.QuoteVolume.Value {
		return Errorf(Invalid, "taker buy quote volume %s is above the quote volume %s",
			number(c.TakerBuyQuoteVolume.Value), number(c.QuoteVolume.Value))
	}
	return nil
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }
