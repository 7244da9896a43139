package live

import (
	"context"
	"log/slog"
	"slices"
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
	// parallelRepairs bounds how many series are repaired or checked at once.
	parallelRepairs = 4
)

// task is what a series can need to be true to the exchange.
type task string

const (
	repair task = "repair" // fetch what was missed
	check  task = "check"  // compare what the stream delivered
)

// repairs has series repaired and checked, one task at a time of each.
type repairs struct {
	repairer  Repairer
	checker   Checker
	hub       publisher
	forecasts *forecasts // nil scores none
	clock     Clock
	timing    Timing
	log       *slog.Logger
	slots     chan struct{} // holds a token for every task that runs
	working   sync.WaitGroup
}

func newRepairs(config Config, hub publisher, forecasts *forecasts) *repairs {
	return &repairs{
		repairer: config.Repairer, checker: config.Checker, hub: hub, forecasts: forecasts,
		clock: config.Clock, timing: config.Timing, log: config.Log,
		slots: make(chan struct{}, parallelRepairs),
	}
}

// wait waits for all that was begun, when its context has ended.
func (r *repairs) wait() { r.working.Wait() }

// ask has a task done. It does not wait. While the same task of the series is
// being done, it will be once more.
//
// A repair goes back to the last candle that is known to be stored with all before
// it, or to whatever the Repairer thinks fit where none is known.
func (r *repairs) ask(ctx context.Context, f *follower, wanted task) {
	f.mu.Lock()
	idle := !f.working
	f.working = true
	f.want(wanted)
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
			r.ask(ctx, f, repair)
		}
	})
}

// run does the tasks of a series until there are none, or ctx ends.
func (r *repairs) run(ctx context.Context, f *follower) {
	backoff := r.timing.backoff()
	log := r.log.With(slog.String("series", f.series.String()))
	for {
		next, wanted := f.nextTask()
		if !wanted {
			return
		}
		err := r.do(ctx, f, next)
		if ctx.Err() != nil {
			return
		}
		switch market.ErrorCode(err) {
		case "":
			backoff.reset()
		case market.Unavailable, market.Internal:
			wait := backoff.next()
			log.WarnContext(ctx, "stored candles cannot be mended, trying again", slog.String("task", string(next)),
				slog.Duration("wait", wait), slog.Any("error", err))
			f.wantAgain(next)
			sleep(ctx, r.clock, wait)
		default:
			log.ErrorContext(ctx, "stored candles cannot be mended", slog.String("task", string(next)), slog.Any("error", err))
		}
	}
}

// do does a task once.
func (r *repairs) do(ctx context.Context, f *follower, wanted task) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.slots }()
	began := r.clock.Now()
	mended := func(candles []Mended) { r.mended(ctx, f, candles) }
	if wanted == check {
		err := r.checker.Check(ctx, f.series, f.checkSince(began), mended)
		if err == nil {
			f.checkedUntil(began.Add(-settledFor))
		}
		return err
	}
	err := r.repairer.Repair(ctx, f.series, f.repairSince(), mended)
	if err == nil {
		f.repaired(began.Add(-settledFor))
	}
	return err
}

// mended tells of candles that were stored behind the stream's back, and has
// their forecasts scored. While there are more to be scored than can wait, it
// does.
func (r *repairs) mended(ctx context.Context, f *follower, candles []Mended) {
	candles = f.countMended(candles)
	if len(candles) == 0 {
		return
	}
	filled := 0
	for _, c := range candles {
		if !c.Corrected {
			filled++
		}
	}
	r.log.InfoContext(ctx, "stored candles are mended", slog.String("series", f.series.String()),
		slog.Int("filled", filled), slog.Int("corrected", len(candles)-filled),
		slog.Time("first", candles[0].OpenTime), slog.Time("last", candles[len(candles)-1].OpenTime))
	now := r.clock.Now()
	for _, c := range candles {
		if u, recent := mendedUpdate(f.series, c.Candle, now); recent {
			r.hub.Publish(u)
		}
		if r.forecasts != nil {
			r.forecasts.writer.awaitRoom(ctx)
			r.forecasts.writer.score(score{f.series, c.OpenTime, c.Open, c.Close})
		}
	}
}

// want adds a task to those that wait. The caller holds f.mu.
func (f *follower) want(wanted task) {
	if !slices.Contains(f.tasks, wanted) {
		f.tasks = append(f.tasks, wanted)
	}
}

func (f *follower) wantAgain(failed task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.want(failed)
}

// nextTask returns the task that waits longest. Where there is none, the caller
// has stopped looking after them.
func (f *follower) nextTask() (next task, wanted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.working = len(f.tasks) > 0
	if !f.working {
		return "", false
	}
	next, f.tasks = f.tasks[0], f.tasks[1:]
	return next, true
}

func (f *follower) repairSince() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.complete
}

// countMended counts candles, without those that the stream has brought
// meanwhile, and returns them.
func (f *follower) countMended(candles []Mended) []Mended {
	f.mu.Lock()
	defer f.mu.Unlock()
	var news []Mended
	for _, c := range candles {
		switch {
		case c.Corrected:
			f.corrected++
		case f.stored.contains(c.OpenTime):
			continue
		default:
			f.filled++
		}
		news = append(news, c)
	}
	return news
}
