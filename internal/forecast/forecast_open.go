package forecast

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// lookPeriod is how long a look into the stores that found something missing is
// not repeated, by the exchange's clock: a candle that has closed is stored some
// hundred milliseconds later.
const lookPeriod = time.Second

// longestLook is how long the stores may take for a look: who waits for it forecasts
// nothing else meanwhile.
const longestLook = 5 * time.Second

// companionLooks is how often the stores are looked into while the companion's
// newest candle is all that is missing. The forecast does without it from the
// first look on, and for the rest of the candle after the last.
const companionLooks = 10

// ForecastOpen says where the open candle will close, given its state. It looks
// into the stores when a candle of the series is first asked about, for what was
// known when it opened and for the newest model that has learnt nothing later, and
// answers from memory from then on. It returns an Invalid error where the state
// makes no sense, and otherwise a NotFound or Unavailable one where there is no
// forecast: the instant is not within the candle, there is no such model, or the
// candles before it are not all stored or not read within five seconds; it looks for
// those again, at most once a second.
func (f *Forecaster) ForecastOpen(ctx context.Context, state OpenCandle) (Forecast, error) {
	if err := state.check(); err != nil {
		return Forecast{}, err
	}
	found, err := f.look(ctx, state)
	if err != nil {
		return Forecast{}, err
	}
	if found.err != nil {
		return Forecast{}, found.err
	}
	return found.opening.forecast(state.At, progressOf(state.Interval, state.Candle, state.At))
}

// openSeries is the memory of one series' open candle.
type openSeries struct {
	newest atomic.Pointer[storesLook]
	turn   chan struct{} // holds a token while the stores are looked into
}

// storesLook is what the stores said of the candle that opens at open.
type storesLook struct {
	open    time.Time
	at      time.Time // by the exchange's clock
	opening *opening  // nil where there is an error
	alone   int       // looks so far that found no more than the companion missing
	err     error
}

// stands reports whether a look need not be repeated for that state.
func (l *storesLook) stands(state OpenCandle) bool {
	switch {
	case l == nil || !l.open.Equal(state.Candle.OpenTime):
		return false
	case l.err == nil && (!l.opening.companionMissing || l.alone >= companionLooks):
		return true
	default:
		return state.At.Sub(l.at).Abs() < lookPeriod
	}
}

// look returns the newest look at a candle, or takes one, alone for its series.
// What went wrong with that is part of it; the error is that of ctx.
func (f *Forecaster) look(ctx context.Context, state OpenCandle) (*storesLook, error) {
	s := f.openSeries(state.Series)
	if l := s.newest.Load(); l.stands(state) {
		return l, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	before := s.newest.Load()
	if before.stands(state) {
		return before, nil
	}
	l := &storesLook{open: state.Candle.OpenTime.UTC(), at: state.At}
	patience, cancel := context.WithTimeout(ctx, longestLook)
	defer cancel()
	l.opening, l.err = f.opening(patience, state.Series, l.open, market.Unavailable)
	if err := ctx.Err(); err != nil {
		return nil, err // which is this caller's affair, not the next one's
	}
	if l.err != nil && patience.Err() != nil {
		l.err = market.Errorf(market.Unavailable,
			"the stores did not say within %s what was known of %s when the candle opened", longestLook, state.Series)
	}
	if before != nil && before.open.Equal(l.open) && before.err == nil {
		l.alone = before.alone
		if l.err != nil {
			l.opening, l.err = before.opening, nil
		}
	}
	if l.err == nil && l.opening.companionMissing {
		l.alone++
	}
	s.newest.Store(l)
	return l, nil
}

func (f *Forecaster) openSeries(series market.Series) *openSeries {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	s := f.open[series]
	if s == nil {
		s = &openSeries{turn: make(chan struct{}, 1)}
		f.open[series] = s
	}
	return s
}
