package history

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// StoredSeries is a series of which candles are stored as they were delivered.
type StoredSeries struct {
	market.Series
	First time.Time // open time of the oldest candle
	Last  time.Time // open time of the newest candle
}

// Coverage says which candles of a stored series are there and which are not.
type Coverage struct {
	StoredSeries
	Rows  int64
	Holes []Hole // oldest first
}

// Hole is a run of candles missing between two stored ones.
type Hole struct {
	market.TimeRange     // from the first missing open time to the bucket of the next stored candle
	Missing          int // candles that would fit
}
