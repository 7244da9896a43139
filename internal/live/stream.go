package live

import (
	"context"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Dialer opens connections to an exchange's stream.
type Dialer interface {
	// Dial returns a connection that delivers the candles of those series as they
	// change. The error has the code Unavailable where trying again may help.
	Dial(ctx context.Context, series []market.Series) (Connection, error)
}

// Connection is one connection to a stream. Next is called by one goroutine at a
// time, Close by any, once or more often.
type Connection interface {
	// Next waits for the next event. Its error, also that of a connection on which
	// nothing has come for too long, not even a ping, ends the connection.
	Next(ctx context.Context) (Event, error)
	Close() error
}

// Event is what a stream says: the state of a candle, that it is about to end, or
// something that cannot be understood. Kline is empty but for the first.
type Event struct {
	Shutdown  bool // the exchange is going to close the connection
	Malformed bool // a message was skipped, which may have been about any series
	Kline     Kline
}

// Kline is the state of a candle at an instant.
type Kline struct {
	market.Series
	Candle       market.Candle // so far; Source is its own interval, Parts is 1
	Closed       bool          // it will not change any more
	FirstTradeID market.Optional[int64]
	LastTradeID  market.Optional[int64]
	EventTime    time.Time // by the exchange's clock
	ReceivedAt   time.Time // by ours
}
