package market

import "time"

// Tick is a sample of a live market: the candle that was open at an instant, as
// it stood then. Its Close is the price.
type Tick struct {
	Series
	SampledAt time.Time // on the sampling grid, by the exchange's clock
	Candle              // the open one, so far
	// FirstTradeID and LastTradeID are the exchange's numbers of the candle's
	// first and newest trade, absent while it has none.
	FirstTradeID Optional[int64]
	LastTradeID  Optional[int64]
	ExchangeTime time.Time // when the exchange said so, by its clock
	ReceivedAt   time.Time // when it came in, by ours
}
