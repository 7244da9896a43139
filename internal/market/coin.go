package market

import "time"

// Coin is what is known of a coin as of an instant. Amounts of money are in US
// dollars, supplies in coins. What the source does not publish is absent: ether
// has no maximum supply.
type Coin struct {
	ID                    string // the source's name for it, such as bitcoin
	Ticker                string // in capitals, such as BTC
	Name                  string
	AsOf                  time.Time // when the source last changed any of this
	Price                 Optional[float64]
	MarketCap             Optional[float64]
	MarketCapRank         Optional[int64] // 1 is the largest
	FullyDilutedValuation Optional[float64]
	Volume24h             Optional[float64] // traded in the last 24 hours, in US dollars
	High24h               Optional[float64]
	Low24h                Optional[float64]
	PriceChange24h        Optional[float64] // percent
	CirculatingSupply     Optional[float64]
	TotalSupply           Optional[float64]
	MaxSupply             Optional[float64]
	AllTimeHigh           Optional[float64]
	AllTimeHighAt         Optional[time.Time]
	AllTimeLow            Optional[float64]
	AllTimeLowAt          Optional[time.Time]
}

// coinStaleAfter is several times as long as a source takes to look at its
// exchanges again, and as the service takes to ask.
const coinStaleAfter = time.Hour

// Stale reports whether at an instant more than an hour has passed since AsOf:
// there should long have been news.
func (c Coin) Stale(at time.Time) bool { return at.Sub(c.AsOf) > coinStaleAfter }
