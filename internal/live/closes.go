package live

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// parallelCloses is how many candles are stored at once: all series of an
	// interval close in the same second.
	parallelCloses = 4
	// closesPerSeries bounds how many candles of a series wait to be stored.
	closesPerSeries = 4
)

// closes stores candles as they close, those of a series one after the other, by
// open time. A series that waits for the database, or because of a candle that it
// refuses, keeps no other waiting. What cannot be stored is left to the repair.
type closes struct {
	store     CandleStore
	hub       publisher
	repairs   *repairs
	forecasts *forecasts
	clock     Clock
	timing    Timing
	log       *slog.Logger
	slots     chan struct{} // holds a token for every candle that is being stored
	working   sync.WaitGroup

	mu      sync.Mutex
	waiting map[*follower][]Kline // a goroutine looks after each that is there, and stores its first
}

// closedKline is the last state of a candle.
type closedKline struct {
	follower *follower
	kline    Kline
}

func newCloses(config Config, hub publisher, repairs *repairs, forecasts *forecasts) *closes {
	return &closes{
		store: config.Candles, hub: hub, repairs: repairs, forecasts: forecasts,
		clock: config.Clock, timing: config.Timing, log: config.Log,
		slots: make(chan struct{}, parallelCloses), waiting: map[*follower][]Kline{},
	}
}

// wait waits until nothing is being stored any more, when its context has ended.
func (c *closes) wait() { c.working.Wait() }

// take has a candle stored. It does not wait.
func (c *closes) take(ctx context.Context, f *follower, kline Kline) {
	c.mu.Lock()
	queue := c.waiting[f]
	full, idle := len(queue) == closesPerSeries, len(queue) == 0
	if !full {
		at := len(queue)
		for at > 1 && kline.Candle.OpenTime.Before(queue[at-1].Candle.OpenTime) { // the first is being stored
			at--
		}
		c.waiting[f] = slices.Insert(queue, at, kline)
	}
	c.mu.Unlock()
	switch {
	case full:
		f.leftOne()
		c.left(ctx, closedKline{f, kline}, market.Errorf(market.Unavailable, "too many candles wait to be stored"))
		c.askRepair(ctx, f)
	case idle:
		c.working.Go(func() { c.work(ctx, f) })
	}
}

// work stores the candles of a series until none waits, or ctx ends.
func (c *closes) work(ctx context.Context, f *follower) {
	for {
		first, waits := c.first(f)
		if !waits || !c.keepTrying(ctx, closedKline{f, first}) {
			return
		}
		c.removeFirst(f)
	}
}

// first returns what waits longest of a series. Where nothing does, the caller
// has stopped looking after it.
func (c *closes) first(f *follower) (first Kline, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting[f]) == 0 {
		delete(c.waiting, f)
		return Kline{}, false
	}
	return c.waiting[f][0], true
}

func (c *closes) removeFirst(f *follower) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[f] = slices.Delete(c.waiting[f], 0, 1)
}

// keepTrying stores a candle or leaves it to the repair. It returns false when
// ctx ends before.
func (c *closes) keepTrying(ctx context.Context, closed closedKline) bool {
	backoff := c.timing.backoff()
	for attempt := 1; ; attempt++ {
		complete, err := c.storeInTurn(ctx, closed)
		if err == nil {
			if !complete {
				c.askRepair(ctx, closed.follower)
			}
			c.repairs.checkLater(ctx, closed.follower, closed.kline.Candle.OpenTime)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		code := market.ErrorCode(err)
		if code != market.Unavailable && (code != market.Internal || attempt == storeAttempts) {
			closed.follower.leftOne()
			c.left(ctx, closed, err)
			c.askRepair(ctx, closed.follower)
			return true
		}
		wait := backoff.next()
		c.log.WarnContext(ctx, "a closed candle cannot be stored, trying again", slog.Duration("wait", wait), slog.Any("error", err))
		if !sleep(ctx, c.clock, wait) {
			return false
		}
	}
}

// storeInTurn stores a candle when it may.
func (c *closes) storeInTurn(ctx context.Context, closed closedKline) (complete bool, err error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { <-c.slots }()
	return c.storeOne(ctx, closed)
}

// storeOne stores a candle, tells subscribers, and has its forecasts scored. It
// reports whether all before the candle is known to be stored too.
func (c *closes) storeOne(ctx context.Context, closed closedKline) (complete bool, err error) {
	series, candle := closed.follower.series, closed.kline.Candle
	timed, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := c.store.StoreClosed(timed, series, candle); err != nil {
		return false, fmt.Errorf("storing the candle of %s that opened at %s: %w", series, candle.OpenTime.Format(time.RFC3339), err)
	}
	complete = closed.follower.storedClosed(candle.OpenTime)
	c.hub.Publish(Update{Symbol: series.Symbol, Candle: &closed.kline})
	if c.forecasts != nil {
		c.forecasts.writer.score(score{series, candle.OpenTime, candle.Open, candle.Close})
	}
	return complete, nil
}

// left says that a candle was not stored.
func (c *closes) left(ctx context.Context, closed closedKline, err error) {
	c.log.ErrorContext(ctx, "a closed candle is left to the repair", slog.String("series", closed.follower.series.String()),
		slog.Time("open_time", closed.kline.Candle.OpenTime), slog.Any("error", err))
}

// askRepair asks for a repair unless the service is stopping.
func (c *closes) askRepair(ctx context.Context, f *follower) {
	if ctx.Err() == nil {
		c.repairs.ask(ctx, f, repair)
	}
}

// finish tries to store what waits, once. The next start repairs the rest.
func (c *closes) finish(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f, queue := range c.waiting {
		for _, kline := range queue {
			if _, err := c.storeOne(ctx, closedKline{f, kline}); err != nil {
				c.left(ctx, closedKline{f, kline}, err)
			}
		}
	}
	clear(c.waiting)
}
