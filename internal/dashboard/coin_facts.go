package dashboard

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// coinFacts is what a page says of a pair's base asset.
type coinFacts struct {
	Failure string // why there are no facts
	Stale   string // why the facts may mislead; empty where they are fresh
	Facts   []fact
}

// coinFacts returns nil where nothing is known of the pair's base asset.
func (d *dashboard) coinFacts(r *http.Request, requestID string, symbol market.Symbol) *coinFacts {
	coins, err := d.Coins.Coins(r.Context())
	if err != nil {
		// Candles without a coin are better than no page.
		return &coinFacts{Failure: "The coin could not be read. " + d.logError(r, requestID, "coins not read", err)}
	}
	base, known := baseOf(symbol, coins)
	if !known {
		return nil
	}
	return newCoinFacts(base, d.Now())
}

// baseOf returns the coin whose ticker a pair's name begins with, the longest of
// several, since tickers begin like others: STX is not ST. Of coins that share a
// ticker it is the one with the largest market cap.
func baseOf(symbol market.Symbol, coins []market.Coin) (base market.Coin, known bool) {
	for _, coin := range coins {
		if coin.Ticker == "" || len(coin.Ticker) >= len(symbol) || !strings.HasPrefix(string(symbol), coin.Ticker) {
			continue
		}
		if !known || len(coin.Ticker) > len(base.Ticker) ||
			len(coin.Ticker) == len(base.Ticker) && coin.MarketCap.Value > base.MarketCap.Value {
			base, known = coin, true
		}
	}
	return base, known
}

func newCoinFacts(c market.Coin, now time.Time) *coinFacts {
	high := newFact("All-time high", formatOptional(c.AllTimeHigh, formatShortest, "USD"))
	if c.AllTimeHigh.Valid && c.AllTimeHighAt.Valid {
		high.Values = append(high.Values, formatDay(c.AllTimeHighAt.Value))
	}
	whole := func(value float64) string { return formatNumber(value, 0) }
	facts := &coinFacts{Facts: []fact{
		newFact("Name", c.Name, "("+c.Ticker+")"),
		newFact("Rank by market cap", formatOptional(c.MarketCapRank, func(n int64) string { return formatCount(int(n)) }, "")),
		newFact("Market cap", formatOptional(c.MarketCap, whole, "USD")),
		newFact("Circulating supply", formatOptional(c.CirculatingSupply, whole, c.Ticker)),
		newFact("Maximum supply", formatOptional(c.MaxSupply, whole, c.Ticker)),
		high,
		newFact("As of", formatInstant(c.AsOf), formatAge(c.AsOf, now)),
	}}
	if c.Stale(now) {
		facts.Stale = "Stale: as of " + formatAge(c.AsOf, now)
	}
	return facts
}

// formatOptional writes a value and its unit, or that there is none.
func formatOptional[T any](value market.Optional[T], format func(T) string, unit string) string {
	switch {
	case !value.Valid:
		return "not published"
	case unit == "":
		return format(value.Value)
	default:
		return format(value.Value) + noBreak + unit
	}
}

// formatShortest writes a number with as many decimals as it has.
func formatShortest(value float64) string {
	_, fraction, _ := strings.Cut(strconv.FormatFloat(value, 'f', -1, 64), ".")
	return formatNumber(value, len(fraction))
}
