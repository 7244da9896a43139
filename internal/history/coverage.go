package history

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// FirstListing is when the first pairs were listed; no candle is older.
var FirstListing = time.Date(2017, time.August, 17, 4, 0, 0, 0, time.UTC)

// StoredSeries is a series of which candles are stored as they were delivered.
type StoredSeries struct {
	market.Series
	First time.Time // open time of the oldest candle
	Last  time.Time // open time of the newest candle
}

// Coverage says which candles of a stored series are there and which are not.
type Coverage struct {
	StoredSeries
	Rows   int64
	Window market.TimeRange // where gaps were looked for
	Gaps   []Gap            // oldest first
}

// Gap is a run of places on the grid of a series at which no candle opens, all
// for the same cause.
type Gap struct {
	market.TimeRange     // from the first place to the one after the last
	Missing          int // places
	Cause            GapCause
	// Asked is on how many occasions the exchange was asked for the whole of the
	// gap and had nothing, 0 unless the cause is Pending or ConfirmedEmpty.
	Asked     int
	LastAsked market.Optional[time.Time] // the newest of those occasions
}

// GapCause says why candles are missing.
type GapCause string

// The causes of gaps. Only a pending gap can be mended.
const (
	NotListed      GapCause = "not_listed"      // the pair was not traded yet
	ConfirmedEmpty GapCause = "confirmed_empty" // the exchange has none either, as it said again and again
	OffGrid        GapCause = "off_grid"        // a candle stands there, but opens later than it should
	Pending        GapCause = "pending"         // the exchange may have them
)
