package binance

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
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
	// doubtful is how far a measurement may be off our wall clock, or off the last
	// measurement run on, before it needs a second one that says the same within
	// agreement.
	doubtful  = 30 * time.Second
	agreement = 5 * time.Second
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
// ago. It does not go back, so that a candle that once was closed remains so,
// unless a measurement turns out to have been wrong.
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
	measured, err := c.confirmed(asking)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		if measured.at(now).Before(c.measured.at(now).Add(-doubtful)) && !c.measured.received.IsZero() {
			c.told = time.Time{} // by two measurements that agree, what it followed from was wrong
		}
		c.measured = measured
		return nil
	case !usable || ctx.Err() != nil:
		return err
	}
	c.failed = now
	c.log.Warn("the exchange's clock could not be measured: the last measurement is used on",
		slog.Time("measured", c.measured.wall.UTC()), slog.Any("error", err))
	return nil
}

// confirmed returns a measurement that there is no reason to doubt, or a second
// one that bears the first out. One that does not is an Unavailable error.
func (c *clock) confirmed(ctx context.Context) (measurement, error) {
	first, err := c.read(ctx)
	if err != nil || !c.doubts(first) {
		return first, err
	}
	second, err := c.read(ctx)
	if err != nil {
		return measurement{}, err
	}
	if apart := second.exchange.Sub(first.at(second.received)); apart.Abs() > agreement {
		return measurement{}, market.Errorf(market.Unavailable,
			"the exchange tells two times that are %s apart: which one is right cannot be known", apart.Abs().Round(time.Second))
	}
	return second, nil
}

func (c *clock) read(ctx context.Context) (measurement, error) {
	exchange, err := c.measure(ctx)
	now := time.Now()
	return measurement{exchange: exchange, received: now, wall: now.Round(0)}, err
}

func (c *clock) doubts(m measurement) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.exchange.Sub(m.wall).Abs() > doubtful ||
		!c.measured.received.IsZero() && m.exchange.Sub(c.measured.at(m.received)).Abs() > doubtful
}

// refute forgets what is known where the exchange has shown that now had not come
// when it was told. Told less since, it is known better already.
func (c *clock) refute(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.told.Before(now) {
		c.measured, c.failed, c.told = measurement{}, time.Time{}, time.Time{}
	}
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
