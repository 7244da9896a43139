// Package simulator is an offline exchange: it speaks Binance's public REST and
// WebSocket formats and CoinGecko's markets call over candles that were
// generated or recorded, and fails in the ways real exchanges do when told to.
package simulator

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Source is the truth of a simulated market: what its candles are once they are
// closed, whenever that is asked, and how each came about. It is safe for
// concurrent use and gives the same answers in every process.
type Source interface {
	// Pairs lists what is traded, by symbol.
	Pairs() []Pair
	// Candles returns the candles of a series that open in r, as they are once
	// they are closed, oldest first, at most limit. There are none before the
	// listing and in outages.
	Candles(series market.Series, r market.TimeRange, limit int) []market.Candle
	// OpenCandle returns the candle of a series that is open at an instant, as it
	// stands then: its high, low and volumes only ever grow, and at its last
	// millisecond it is the closed one. There is none while nothing has been
	// traded in it.
	OpenCandle(series market.Series, at time.Time) (market.Candle, bool)
}

// Pair is a traded pair.
type Pair struct {
	Symbol      market.Symbol
	Base, Quote string    // assets, such as BTC and USDT
	Listed      time.Time // when the first candle opens
}
