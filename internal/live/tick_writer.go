package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// writeTimeout bounds a call of a store, so that one that does not answer at all
// is tried again.
const writeTimeout = 10 * time.Second

// storeAttempts is how often a store is asked, within some minutes, to keep what
// it refuses for a reason unknown. A database that is away is waited for.
const storeAttempts = 12

// tickWriter stores what a tickBuffer holds.
type tickWriter struct {
	ticks    *tickBuffer
	store    TickStore
	clock    Clock
	every    time.Duration
	backoff  backoff
	log      *slog.Logger
	refusals int // of one tick, for a reason unknown, since the last that was stored or set aside
}

func newTickWriter(service *Service) *tickWriter {
	config := service.config
	return &tickWriter{
		ticks: service.ticks, store: config.Ticks, clock: config.Clock,
		every: config.Timing.FlushEvery, backoff: config.Timing.backoff(), log: config.Log,
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
		err := w.call(ctx, func(ctx context.Context) error {
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
	for stored := false; ; {
		ticks, gap := w.ticks.next(all)
		switch {
		case len(ticks) > 0:
			err := w.call(ctx, func(ctx context.Context) error { return w.store.WriteTicks(ctx, ticks) })
			switch {
			case err == nil:
				w.ticks.wrote(true)
				w.refusals, stored = 0, true
			case !refused(err):
				w.ticks.wrote(false)
				return fmt.Errorf("storing %d ticks: %w", len(ticks), err)
			case len(ticks) > 1:
				w.ticks.halve()
			case w.hopeless(err, stored):
				w.log.ErrorContext(ctx, "a sample cannot be stored and is set aside", slog.String("series", ticks[0].Series.String()),
					slog.Time("sampled_at", ticks[0].SampledAt), slog.Any("error", err))
				w.ticks.setAside()
				w.refusals = 0
			default:
				w.ticks.wrote(false)
				return fmt.Errorf("storing a tick: %w", err)
			}
		case gap != nil:
			err := w.call(ctx, func(ctx context.Context) error { return w.store.WriteStreamGap(ctx, *gap) })
			if err != nil {
				return fmt.Errorf("storing a stream gap of %s: %w", gap.Symbol, err)
			}
			w.ticks.wroteGap(*gap)
		default:
			return nil
		}
	}
}

// refused reports whether a store has answered that it will not, rather than that
// it cannot now, or nothing at all.
func refused(err error) bool {
	return market.ErrorCode(err) != market.Unavailable && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// hopeless reports whether a tick that was refused alone never will be stored:
// the reason says so, or others can be stored, or it has been tried often. It must
// not keep those behind it waiting.
func (w *tickWriter) hopeless(err error, othersStored bool) bool {
	w.refusals++
	return market.ErrorCode(err) != market.Internal || othersStored || w.refusals >= storeAttempts
}

func (w *tickWriter) call(ctx context.Context, store func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return store(ctx)
}
