package history

import (
	"context"
	"fmt"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// CandleFile is a file of candles of one series, to be opened as often as
// needed.
type CandleFile struct {
	Name   string // for people: the path under which it was found
	Bytes  int64  // size on disk
	Series market.Series
	Open   func(ctx context.Context) (CandleReader, error)
}

// CandleReader yields the candles of one file in strictly ascending or
// strictly descending order of open time.
type CandleReader interface {
	// Next returns the next candle, io.EOF after the last one, a *RowError for
	// a row that is refused, after which reading goes on, and any other error
	// for a file that cannot be read further.
	Next() (market.Candle, error)
	Close() error
}

// CandleWriter stores candles for good.
type CandleWriter interface {
	// WriteCandles stores what the opened reader yields until io.EOF in one
	// transaction and says what changed. Any other error from the reader rolls
	// everything back. A writer that tries again calls open again, once for
	// each attempt, and closes what it opened.
	WriteCandles(ctx context.Context, series market.Series, open func() (CandleReader, error)) (WriteResult, error)
	// RefreshRollUps brings the roll-up buckets that overlap the range up to
	// date; it is cheap where nothing changed since the last refresh.
	RefreshRollUps(ctx context.Context, series market.Series, touched market.TimeRange) error
}

// WriteResult says what one call of WriteCandles came to, in candles.
type WriteResult struct {
	New       int64 // were not stored before
	Unchanged int64 // were stored with the same values
	Corrected int64 // were stored with other values
	// Touched spans every candle that was read, the unchanged ones too, from
	// the earliest open time to the latest close time; it is empty where there
	// was none. Were it only the changed ones, a run killed between write and
	// refresh would find nothing changed when run again, and the roll-ups
	// would stay stale.
	Touched market.TimeRange
}

// RowError is a row of a file that is refused.
type RowError struct {
	Line   int    // counts from 1, the header included
	Reason string // what is wrong with the row and what would be accepted
}

// Error returns the line and the reason.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }
