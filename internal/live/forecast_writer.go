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

	forecastHalving, scoreHalving halving // of whoever stores

	mu        sync.Mutex
	forecasts []forecast.Forecast
	scores    []score
	dropped   int // since takeDropped was asked
	counts    map[market.Symbol]*forecastCounts
}

// forecastCounts is what became of a symbol's forecasts and of the scoring of its
// candles.
type forecastCounts struct {
	made, stored, refused, dropped               int64
	closed, scored, scoresRefused, scoresDropped int64
}

// score is a closed candle, as far as its forecasts are scored by it.
type score struct {
	series      market.Series
	openTime    time.Time
	open, close float64
}

func newForecastWriter(config Config) *forecastWriter {
	w := &forecastWriter{
		store: config.Forecasts, clock: config.Clock, backoff: config.Timing.backoff(), log: config.Log,
		wake:            make(chan struct{}, 1),
		forecastHalving: newHalving(mostForecasts), scoreHalving: newHalving(1),
		counts: map[market.Symbol]*forecastCounts{},
	}
	for _, series := range config.Series {
		w.counts[series.Symbol] = &forecastCounts{}
	}
	return w
}

// add has a forecast stored. It does not wait.
func (w *forecastWriter) add(made forecast.Forecast) {
	if w.store == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[made.Symbol].made++
	w.forecasts = append(w.forecasts, made)
	w.trim()
}

// score has the forecasts of a candle scored. It does not wait.
func (w *forecastWriter) score(s score) {
	if w.store == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[s.series.Symbol].closed++
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
	for ; len(w.forecasts) > mostForecasts; w.forecasts = w.forecasts[1:] {
		w.counts[w.forecasts[0].Symbol].dropped++
		w.dropped++
	}
	for ; len(w.scores) > mostScores; w.scores = w.scores[1:] {
		w.counts[w.scores[0].series.Symbol].scoresDropped++
		w.dropped++
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
		for {
			err := w.flush(ctx)
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
	if err := w.flush(ctx); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.log.ErrorContext(ctx, "forecasts are lost", slog.Int("forecasts", len(w.forecasts)),
			slog.Int("unscored_candles", len(w.scores)), slog.Any("error", err))
	}
}

// flush stores forecasts, then scores candles, up to the first failure. What is
// refused itself is set aside, lest it keeps all that follows waiting.
func (w *forecastWriter) flush(ctx context.Context) error {
	w.mu.Lock()
	forecasts, scores := w.forecasts, w.scores
	w.forecasts, w.scores = nil, nil
	w.mu.Unlock()
	forecasts, err := w.storeForecasts(ctx, forecasts)
	if err == nil {
		scores, err = w.scoreAll(ctx, scores)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forecasts = append(forecasts, w.forecasts...)
	w.scores = append(scores, w.scores...)
	return err
}

// storeForecasts returns what has to wait, and why.
func (w *forecastWriter) storeForecasts(ctx context.Context, left []forecast.Forecast) ([]forecast.Forecast, error) {
	w.forecastHalving.begin()
	for len(left) > 0 {
		batch := left[:min(len(left), w.forecastHalving.size)]
		err := timed(ctx, func(ctx context.Context) error { return w.store.WriteForecasts(ctx, batch) })
		switch w.forecastHalving.after(len(batch), err) {
		case isStored:
			for k := range batch {
				w.became(batch[k].Symbol, func(c *forecastCounts) { c.stored++ })
			}
		case isHalved:
			continue
		case setAside:
			w.became(batch[0].Symbol, func(c *forecastCounts) { c.refused++ })
			w.log.ErrorContext(ctx, "a forecast cannot be stored and is set aside", slog.String("series", batch[0].Series.String()),
				slog.Time("as_of", batch[0].AsOf), slog.Any("error", err))
		case waits:
			return left, fmt.Errorf("storing %d forecasts: %w", len(batch), err)
		}
		left = left[len(batch):]
	}
	return nil, nil
}

// scoreAll returns what has to wait, and why.
func (w *forecastWriter) scoreAll(ctx context.Context, left []score) ([]score, error) {
	w.scoreHalving.begin()
	for len(left) > 0 {
		s := left[0]
		err := timed(ctx, func(ctx context.Context) error {
			_, err := w.store.ScoreForecasts(ctx, s.series, s.openTime, s.open, s.close)
			return err
		})
		switch w.scoreHalving.after(1, err) {
		case isStored:
			w.became(s.series.Symbol, func(c *forecastCounts) { c.scored++ })
		case setAside:
			w.became(s.series.Symbol, func(c *forecastCounts) { c.scoresRefused++ })
			w.log.ErrorContext(ctx, "the forecasts of a candle cannot be scored and are set aside", slog.String("series", s.series.String()),
				slog.Time("open_time", s.openTime), slog.Any("error", err))
		case waits:
			return left, fmt.Errorf("scoring forecasts of %s: %w", s.series, err)
		}
		left = left[1:]
	}
	return nil, nil
}

// became counts what became of something of a symbol.
func (w *forecastWriter) became(symbol market.Symbol, add func(*forecastCounts)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add(w.counts[symbol])
}

// count fills in what a status says of forecasts.
func (w *forecastWriter) count(symbols []SymbolStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range symbols {
		c := w.counts[symbols[k].Symbol]
		symbols[k].Forecasts = ForecastStatus{
			Stored: c.stored, Held: c.made - c.stored - c.refused - c.dropped, Dropped: c.dropped, Refused: c.refused,
			Scored: c.scored, Unscored: c.closed - c.scored - c.scoresRefused - c.scoresDropped,
			ScoresDropped: c.scoresDropped, ScoresRefused: c.scoresRefused,
		}
	}
}

func (w *forecastWriter) takeDropped() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	dropped := w.dropped
	w.dropped = 0
	return dropped
}
