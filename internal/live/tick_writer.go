package live

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// writeTimeout bounds a call of a store, so that one that does not answer at all
// is tried again.
const writeTimeout = 10 * time.Second

// tickWriter stores what a tickBuffer holds.
type tickWriter struct {
	ticks   *tickBuffer
	store   TickStore
	clock   Clock
	every   time.Duration
	backoff backoff
	log     *slog.Logger
	halving halving
}

func newTickWriter(service *Service) *tickWriter {
	config := service.config
	return &tickWriter{
		ticks: service.ticks, store: config.Ticks, clock: config.Clock,
		every: config.Timing.FlushEvery, backoff: config.Timing.backoff(), log: config.Log,
		halving: newHalving(batchSize),
	}
}

// run stores ticks now and then, and as soon as there are many, until ctx ends.
func (w *tickWriter) run(ctx context.Context) {
	wait, full := w.every, w.ticks.full
	for {
		select {
		case <-w.clock.After(wait):
		case <-full:
		case <-ctx.Done():
			return
		}
		err := w.flush(ctx, false)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			wait, full = w.every, w.ticks.full
			w.backoff.reset()
			continue
		}
		wait, full = w.every+w.backoff.next(), nil
		held, dropped := w.ticks.waiting()
		w.log.WarnContext(ctx, "samples cannot be stored, they wait", slog.Int("held", held),
			slog.Int64("dropped", dropped), slog.Duration("wait", wait), slog.Any("error", err))
	}
}

// finish stores all that is left, or says how much of it is lost when ctx ends.
func (w *tickWriter) finish(ctx context.Context) {
	const pause = 100 * time.Millisecond
	for {
		err := w.flush(ctx, true)
		if err == nil {
			return
		}
		select {
		case <-time.After(pause): // not by the market's clock: the process is to end
		case <-ctx.Done():
			held, dropped := w.ticks.waiting()
			w.log.ErrorContext(ctx, "samples are lost, the next start accounts for them", slog.Int("held", held),
				slog.Int64("dropped", dropped), slog.Any("error", err))
			return
		}
	}
}

// flush stores all that waits, up to the first failure.
func (w *tickWriter) flush(ctx context.Context, all bool) error {
	for _, symbol := range w.ticks.unpreceded() {
		err := timed(ctx, func(ctx context.Context) error {
			until, err := w.store.AccountedUntil(ctx, symbol)
			if err == nil {
				w.ticks.precede(symbol, until)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("reading how far the ticks of %s go: %w", symbol, err)
		}
	}
	w.halving.begin()
	for {
		ticks, gap := w.ticks.next(all, w.halving.size)
		switch {
		case len(ticks) > 0:
			err := timed(ctx, func(ctx context.Context) error { return w.store.WriteTicks(ctx, ticks) })
			switch w.halving.after(len(ticks), err) {
			case isStored:
				w.ticks.wrote(true)
			case isHalved:
				w.ticks.wrote(false)
			case setAside:
				w.log.ErrorContext(ctx, "a sample cannot be stored and is set aside", slog.String("series", ticks[0].Series.String()),
					slog.Time("sampled_at", ticks[0].SampledAt), slog.Any("error", err))
				w.ticks.setAside()
			case waits:
				w.ticks.wrote(false)
				return fmt.Errorf("storing %d ticks: %w", len(ticks), err)
			}
		case gap != nil:
			err := timed(ctx, func(ctx context.Context) error { return w.store.WriteStreamGap(ctx, *gap) })
			if err != nil {
				return fmt.Errorf("storing a stream gap of %s: %w", gap.Symbol, err)
			}
			w.ticks.wroteGap(*gap)
		default:
			return nil
		}
	}
}

// timed calls a store, for as long as it may take.
func timed(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return call(ctx)
}
