package history

import (
	"context"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// PageLimit is how many candles an exchange answers at once, at most.
const PageLimit = 1000

// Exchange is where candles come from. Of its errors, those of the code
// Unavailable may pass; the others will not.
type Exchange interface {
	// Now returns an instant that the exchange's clock has passed for certain,
	// and not long ago: a candle whose close time lies before it is closed.
	Now(ctx context.Context) (time.Time, error)
	// Listed returns when the oldest candle of a symbol opens, or a NotFound
	// error where the exchange does not know the symbol.
	Listed(ctx context.Context, symbol market.Symbol) (time.Time, error)
	// Candles returns the candles of a series that open in r, oldest first and
	// each valid, at most PageLimit of them. An answer may be cut short after any
	// candle but the first; it is never empty where there is one.
	Candles(ctx context.Context, series market.Series, r market.TimeRange) ([]market.Candle, error)
}

// Page is what the exchange answered for a range of a series.
type Page struct {
	Asked   market.TimeRange // on the grid; every candle that opens in it is in Candles
	Candles []market.Candle  // oldest first
	Asking  time.Time        // the occasion: when the run began that asked
}

// Store keeps candles, and what cannot be told from them: since when a symbol is
// listed, and which ranges were empty when asked for.
type Store interface {
	// Listed returns what SetListed stored, nothing where it was never called.
	Listed(ctx context.Context, symbol market.Symbol) (market.Optional[time.Time], error)
	SetListed(ctx context.Context, symbol market.Symbol, listed time.Time) error
	// Gaps returns the gaps of a series within window, oldest first.
	Gaps(ctx context.Context, series market.Series, window market.TimeRange) ([]Gap, error)
	// WritePage stores the page's candles and, by EmptyAfter, what it says of
	// empty ranges, in one transaction.
	WritePage(ctx context.Context, series market.Series, page Page) (WriteResult, error)
	// RefreshRollUps is CandleWriter's.
	RefreshRollUps(ctx context.Context, series market.Series, touched market.TimeRange) error
}

// Origin says where a database's candles come from. One database never holds
// both kinds.
type Origin string

// The origins of candles.
const (
	Real      Origin = "real"      // a market on which money changes hands
	Simulated Origin = "simulated" // the offline exchange
)

// SimulatedHeader is the HTTP header that every answer of the offline exchange
// bears, and none of a real one does.
const SimulatedHeader = "X-Cryptoboat-Simulated"

// Pause is a time in which an exchange must not be asked, because it said so.
// The zero Pause is none.
type Pause struct {
	Until  time.Time // by our clock
	Reason string    // for people
}

// PausedError is the failure of a request that was not sent, or not answered,
// because of a pause. Its code is Unavailable; it is of no use to ask again
// before the pause is over.
type PausedError struct{ Pause Pause }

// Error says until when the pause lasts, and why.
func (e *PausedError) Error() string { return e.Unwrap().Error() }

// Unwrap returns the failure as an Unavailable error.
func (e *PausedError) Unwrap() error {
	return market.Errorf(market.Unavailable, "the exchange asked us to wait until %s: %s",
		e.Pause.Until.UTC().Format(time.RFC3339), e.Pause.Reason)
}
