package live

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// graceForClose is how long after the next candle opened a candle may be
	// reported closed before it is taken to have been missed.
	graceForClose = 5 * time.Second
	// settledFor is how long after its end a candle is certainly in what a repair
	// fetches: the exchange may still change it for a while.
	settledFor = 5 * time.Second
	// parallelRepairs bounds how many series are repaired at once.
	parallelRepairs = 4
)

// repairs has repaired what was missed, one repair at a time of a series.
type repairs struct {
	repairer Repairer
	clock    Clock
	timing   Timing
	log      *slog.Logger
	slots    chan struct{} // holds a token for every repair that runs
	working  sync.WaitGroup
}

func newRepairs(config Config) *repairs {
	return &repairs{
		repairer: config.Repairer, clock: config.Clock, timing: config.Timing, log: config.Log,
		slots: make(chan struct{}, parallelRepairs),
	}
}

// wait waits for all that was begun, when its context has ended.
func (r *repairs) wait() { r.working.Wait() }

// ask has a series repaired since its last candle that is known to be stored
// with all before it, or since whenever the Repairer thinks fit where none is
// known. It does not wait. While the series is being repaired, it will be once
// more.
func (r *repairs) ask(ctx context.Context, f *follower) {
	f.mu.Lock()
	idle := !f.repairing
	f.repairing, f.repairWanted = true, true
	f.mu.Unlock()
	if idle {
		r.working.Go(func() { r.run(ctx, f) })
	}
}

// suspect has a series repaired unless the candles that open in a range are soon
// known to have closed.
func (r *repairs) suspect(ctx context.Context, f *follower, opens market.TimeRange) {
	r.working.Go(func() {
		if !sleep(ctx, r.clock, graceForClose) {
			return
		}
		f.mu.Lock()
		missed := !f.allClosed(opens)
		f.mu.Unlock()
		if missed {
			r.ask(ctx, f)
		}
	})
}

// run repairs a series until that is not wanted any more, or ctx ends.
func (r *repairs) run(ctx context.Context, f *follower) {
	backoff := r.timing.backoff()
	log := r.log.With(slog.String("series", f.series.String()))
	for {
		since, wanted := f.beginRepair()
		if !wanted {
			return
		}
		began, err := r.repair(ctx, f.series, since)
		if ctx.Err() != nil {
			return
		}
		switch market.ErrorCode(err) {
		case "":
			f.repaired(began.Add(-settledFor))
			backoff.reset()
		case market.Unavailable, market.Internal:
			wait := backoff.next()
			log.WarnContext(ctx, "missed candles cannot be repaired, trying again", slog.Duration("wait", wait), slog.Any("error", err))
			f.wantRepair()
			sleep(ctx, r.clock, wait)
		default:
			log.ErrorContext(ctx, "missed candles cannot be repaired", slog.Any("error", err))
		}
	}
}

// repair repairs a series once and returns when it began to.
func (r *repairs) repair(ctx context.Context, series market.Series, since time.Time) (began time.Time, err error) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return began, context.Cause(ctx)
	}
	defer func() { <-r.slots }()
	began = r.clock.Now()
	return began, r.repairer.Repair(ctx, series, since)
}

// beginRepair returns whether a repair is wanted and since when. Where it is
// not, the caller has stopped looking after it.
func (f *follower) beginRepair() (since time.Time, wanted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted = f.repairWanted
	f.repairing, f.repairWanted = wanted, false
	return f.complete, wanted
}

func (f *follower) wantRepair() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repairWanted = true
}
