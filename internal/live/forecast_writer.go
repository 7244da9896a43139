package live

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Bounds of what waits while the database is away: at two series, days.
const (
	mostForecasts = 10_000
	mostScores    = 10_000
)

// forecastWriter stores forecasts and has them scored, each candle's score after
// its forecasts.
type forecastWriter struct {
	store   ForecastStore // nil stores none
	clock   Clock
	backoff backoff
	log     *slog.Logger
	wake    chan struct{} // holds a token when there is something to be stored

	mu        sync.Mutex
	forecasts []forecast.Forecast
	scores    []score
	dropped   int
}

// score is a closed candle, as far as its forecasts are scored by it.
type score struct {
	series      market.Series
	openTime    time.Time
	open, close float64
}

func newForecastWriter(config Config) *forecastWriter {
	return &forecastWriter{
		store: config.Forecasts, clock: config.Clock, backoff: config.Timing.backoff(), log: config.Log,
		wake: make(chan struct{}, 1),
	}
}

// add has a forecast stored. It does not wait.
func (w *forecastWriter) add(made forecast.Forecast) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forecasts = append(w.forecasts, made)
	w.trim()
}

// score has the forecasts of a candle scored. It does not wait.
func (w *forecastWriter) score(s score) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scores = append(w.scores, s)
	w.trim()
}

// awaitRoom waits until there is room for another score, or ctx ends.
func (w *forecastWriter) awaitRoom(ctx context.Context) {
	full := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.scores) >= mostScores/2
	}
	for full() && sleep(ctx, w.clock, time.Second) {
	}
}

// trim drops the oldest of what is too much, and wakes whoever stores.
func (w *forecastWriter) trim() {
	if excess := len(w.forecasts) - mostForecasts; excess > 0 {
		w.forecasts = w.forecasts[excess:]
		w.dropped += excess
	}
	if excess := len(w.scores) - mostScores; excess > 0 {
		w.scores = w.scores[excess:]
		w.dropped += excess
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run stores what comes until ctx ends.
func (w *forecastWriter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		for attempt := 1; ; attempt++ {
			err := w.flush(ctx, attempt >= storeAttempts)
			if err == nil {
				w.backoff.reset()
				break
			}
			wait := w.backoff.next()
			if ctx.Err() == nil {
				w.log.WarnContext(ctx, "forecasts cannot be stored, they wait", slog.Int("dropped", w.takeDropped()),
					slog.Duration("wait", wait), slog.Any("error", err))
			}
			if !sleep(ctx, w.clock, wait) {
				return
			}
		}
	}
}

// finish stores what waits, once.
func (w *forecastWriter) finish(ctx context.Context) {
	if err := w.flush(ctx, false); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.log.ErrorContext(ctx, "forecasts are lost", slog.Int("forecasts", len(w.forecasts)),
			slog.Int("unscored_candles", len(w.scores)), slog.Any("error", err))
	}
}

// flush stores forecasts, then scores candles, up to the first failure. What is
// refused for a reason that is not the database's absence is dropped where
// giveUp says so, lest it keeps all that follows waiting.
func (w *forecastWriter) flush(ctx context.Context, giveUp bool) error {
	timed := func(call func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		return call(ctx)
	}
	settled := func(err error) bool {
		return err == nil || giveUp && refused(err)
	}
	w.mu.Lock()
	forecasts, scores := w.forecasts, w.scores
	w.forecasts, w.scores = nil, nil
	w.mu.Unlock()
	if w.store == nil {
		return nil
	}
	var failed error
	if len(forecasts) > 0 {
		err := timed(func(ctx context.Context) error { return w.store.WriteForecasts(ctx, forecasts) })
		if err != nil {
			failed = fmt.Errorf("storing %d forecasts: %w", len(forecasts), err)
		}
		if settled(failed) {
			w.giveUp(ctx, len(forecasts), failed)
			forecasts, failed = nil, nil
		}
	}
	for len(scores) > 0 && failed == nil {
		s := scores[0]
		err := timed(func(ctx context.Context) error {
			_, err := w.store.ScoreForecasts(ctx, s.series, s.openTime, s.open, s.close)
			return err
		})
		if err != nil {
			failed = fmt.Errorf("scoring forecasts of %s: %w", s.series, err)
		}
		if settled(failed) {
			w.giveUp(ctx, 1, failed)
			scores, failed = scores[1:], nil
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forecasts = append(forecasts, w.forecasts...)
	w.scores = append(scores, w.scores...)
	return failed
}

func (w *forecastWriter) giveUp(ctx context.Context, count int, err error) {
	if err != nil {
		w.log.ErrorContext(ctx, "forecasts or their scores are given up", slog.Int("count", count), slog.Any("error", err))
	}
}

func (w *forecastWriter) takeDropped() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	dropped := w.dropped
	w.dropped = 0
	return dropped
}
