package live

import (
	"context"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// TickStore keeps samples, and the account of those that are missing.
type TickStore interface {
	// WriteTicks stores ticks, all or none. One that is stored already, by symbol
	// and instant, stays as it is.
	WriteTicks(ctx context.Context, ticks []market.Tick) error
	// AccountedUntil returns the instant before which every place of a symbol's
	// sampling grid is stored, as a tick or in a stream gap: whichever is later of
	// the end of its last gap and a microsecond after its last tick. It returns
	// nothing where there is neither.
	AccountedUntil(ctx context.Context, symbol market.Symbol) (market.Optional[time.Time], error)
	// WriteStreamGap stores a range of the sampling grid of which this process took
	// no ticks, and why. It replaces a gap of the same symbol and start unless that is
	// longer, for a gap is stored while it still grows.
	WriteStreamGap(ctx context.Context, gap StreamGap) error
}

// StreamGap is a range of a symbol's sampling grid for which there are no ticks.
type StreamGap struct {
	Symbol           market.Symbol
	market.TimeRange // [first missing sample, first one after it)
	Missing          int
	Reason           GapReason
}

// GapReason says why samples are missing.
type GapReason string

// The reasons of stream gaps.
const (
	NotRunning   GapReason = "not_running"   // no process was sampling
	Disconnected GapReason = "disconnected"  // there was no connection to the exchange
	Silent       GapReason = "silent"        // there was one, but it said nothing of the symbol
	DatabaseAway GapReason = "database_away" // for longer than the memory for ticks lasts, or it refused the sample
)

// CandleStore keeps closed candles.
type CandleStore interface {
	// StoreClosed stores a closed candle at once, in the way of a page of one
	// place.
	StoreClosed(ctx context.Context, series market.Series, candle market.Candle) error
}

// Repairer makes stored candles complete after something was missed.
type Repairer interface {
	// Repair fetches what is missing of a series since an instant, up to now. A zero
	// since is a week before the newest candle that was stored before the service
	// began, but not before the oldest. It calls
	// mended with what it has stored, some candles at a time, even where it fails
	// later.
	Repair(ctx context.Context, series market.Series, since time.Time, mended func([]Mended)) error
}

// Checker makes sure that stored candles are what the exchange has.
type Checker interface {
	// Check compares the closed candles of a series that open since an instant with
	// those that the exchange answers when it is asked for them, and stores those
	// that are missing or different. A zero since is a day ago, and has those
	// compared too that opened within the day up to the newest candle that was
	// stored before the service began. It calls mended as Repair does.
	Check(ctx context.Context, series market.Series, since time.Time, mended func([]Mended)) error
}

// Mended is a closed candle that a repair or a check has stored.
type Mended struct {
	market.Candle
	Corrected bool // it was stored before, with other values
}

// Forecaster forecasts the close of the open candle from its state.
type Forecaster interface {
	// ForecastOpen says where the open candle will close. It answers from memory;
	// a NotFound or Unavailable error says why there is no forecast.
	ForecastOpen(ctx context.Context, state forecast.OpenCandle) (forecast.Forecast, error)
}

// ForecastStore keeps forecasts, and what became of them.
type ForecastStore interface {
	// WriteForecasts stores forecasts, all or none; one of the same model, candle
	// and instant stays as it is.
	WriteForecasts(ctx context.Context, forecasts []forecast.Forecast) error
	// ScoreForecasts scores every stored forecast of a closed candle, and returns
	// how many were scored: those that were by the same prices before are not.
	ScoreForecasts(ctx context.Context, series market.Series, openTime time.Time, open, close float64) (int64, error)
}

// Clock tells the time and waits. Tests let a market's hour pass in a minute.
type Clock interface {
	Now() time.Time
	// After returns a channel that fires once after a duration of this clock.
	After(d time.Duration) <-chan time.Time
}
