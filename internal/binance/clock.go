package binance

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// settleTime is how long after its end the exchange may still change a candle.
	settleTime = 2 * time.Second
	// measuredEvery bounds the drift of our monotonic clock: at 100 ppm an hour
	// is a third of a second, well within settleTime.
	measuredEvery = time.Hour
	// usableFor is how long a measurement is good enough while no other can be
	// had: by then the drift may be settleTime's whole.
	usableFor = 24 * time.Hour
	// clockStep is how far our clocks may part before one was set, or the machine
	// slept.
	clockStep = time.Second
	// remeasureTimeout and remeasurePause keep callers from waiting long, or
	// again and again, for a better measurement than they need.
	remeasureTimeout = 10 * time.Second
	remeasurePause   = time.Minute
)

// clock tells the exchange's time as a lower bound: when an answer arrives, at
// least the time that it tells has come, and our monotonic clock says how long
// ago that was.
type clock struct {
	measure func(context.Context) (time.Time, error)
	log     *slog.Logger
	turn    turnstile // held by who measures

	mu       sync.Mutex
	measured measurement // the zero one until there is one
	failed   time.Time   // when an attempt to have a newer one last failed
	told     time.Time   // what now last returned
}

// measurement is what the exchange's clock showed, and when.
type measurement struct {
	exchange time.Time
	received time.Time // with the reading of our monotonic clock
	wall     time.Time // the same by our wall clock alone
}

func newClock(measure func(context.Context) (time.Time, error), log *slog.Logger) *clock {
	return &clock{measure: measure, log: log, turn: newTurnstile()}
}

// now returns an instant that the exchange's clock passed at least settleTime
// ago. It never goes back, so that a candle that once was closed remains so.
func (c *clock) now(ctx context.Context) (time.Time, error) {
	if c.due(time.Now()) {
		if err := c.remeasure(ctx); err != nil {
			return time.Time{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if bound := c.measured.at(time.Now()).Add(-settleTime); bound.After(c.told) {
		c.told = bound
	}
	return c.told, nil
}

// estimate returns the exchange's time, which may be a little later, and whether
// it is known at all. It asks nobody.
func (c *clock) estimate() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.measured.at(time.Now()), !c.measured.received.IsZero()
}

// remeasure asks the exchange, once for all who need it.
func (c *clock) remeasure(ctx context.Context) error {
	if err := c.turn.enter(ctx); err != nil {
		return err
	}
	defer c.turn.leave()
	if !c.due(time.Now()) {
		return nil
	}
	usable := c.usable(time.Now())
	asking := ctx
	if usable {
		limited, cancel := context.WithTimeout(ctx, remeasureTimeout)
		defer cancel()
		asking = limited
	}
	exchange, err := c.measure(asking)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.measured = measurement{exchange: exchange, received: now, wall: now.Round(0)}
		return nil
	case !usable || ctx.Err() != nil:
		return err
	}
	c.failed = now
	c.log.Warn("the exchange's clock could not be measured: the last measurement is used on",
		slog.Time("measured", c.measured.wall.UTC()), slog.Any("error", err))
	return nil
}

// due reports whether the exchange should be asked for its time.
func (c *clock) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.failed.IsZero() && now.Sub(c.failed) < remeasurePause && c.measured.age(now) < usableFor {
		return false
	}
	return c.measured.age(now) >= measuredEvery || c.measured.stepped(now)
}

func (c *clock) usable(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.measured.age(now) < usableFor
}

// at returns the exchange's time as of now, as a lower bound.
func (m measurement) at(now time.Time) time.Time { return m.exchange.Add(now.Sub(m.received)) }

// age is by the clock that says it is older: the monotonic one may stand still
// while the machine sleeps.
func (m measurement) age(now time.Time) time.Duration {
	return max(now.Sub(m.received), now.Round(0).Sub(m.wall))
}

// stepped reports whether our clocks have parted since the measurement.
func (m measurement) stepped(now time.Time) bool {
	return (now.Sub(m.received) - now.Round(0).Sub(m.wall)).Abs() > clockStep
}
