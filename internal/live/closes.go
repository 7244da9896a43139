package live

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// closeWorkers is how many candles are stored at once: all series of an
	// interval close in the same second.
	closeWorkers = 4
	// closesPerSeries bounds how many candles wait to be stored.
	closesPerSeries = 4
)

// closes stores candles as they close. What it cannot store is left to the
// repair.
type closes struct {
	store     CandleStore
	hub       publisher
	repairs   *repairs
	forecasts *forecasts
	clock     Clock
	timing    Timing
	log       *slog.Logger
	queue     chan closedKline
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
		queue: make(chan closedKline, closesPerSeries*len(config.Series)),
	}
}

// take has a candle stored. It does not wait.
func (c *closes) take(ctx context.Context, f *follower, kline Kline) {
	select {
	case c.queue <- closedKline{f, kline}:
	default:
		c.left(ctx, closedKline{f, kline}, market.Errorf(market.Unavailable, "too many candles wait to be stored"))
		c.askRepair(ctx, f)
	}
}

// work stores candles until ctx ends.
func (c *closes) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case closed := <-c.queue:
			c.keepTrying(ctx, closed)
		}
	}
}

func (c *closes) keepTrying(ctx context.Context, closed closedKline) {
	backoff := c.timing.backoff()
	for attempt := 1; ; attempt++ {
		complete, err := c.storeOne(ctx, closed)
		if err == nil {
			if !complete {
				c.askRepair(ctx, closed.follower)
			}
			c.repairs.checkLater(ctx, closed.follower, closed.kline.Candle.OpenTime)
			return
		}
		if ctx.Err() == nil {
			code := market.ErrorCode(err)
			if code != market.Unavailable && (code != market.Internal || attempt == storeAttempts) {
				c.left(ctx, closed, err)
				c.askRepair(ctx, closed.follower)
				return
			}
			wait := backoff.next()
			c.log.WarnContext(ctx, "a closed candle cannot be stored, trying again", slog.Duration("wait", wait), slog.Any("error", err))
			if sleep(ctx, c.clock, wait) {
				continue
			}
		}
		c.take(ctx, closed.follower, closed.kline) // for finish
		return
	}
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
	for {
		select {
		case closed := <-c.queue:
			if _, err := c.storeOne(ctx, closed); err != nil {
				c.left(ctx, closed, err)
			}
		default:
			return
		}
	}
}
