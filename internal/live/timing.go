package live

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// Timing holds the periods of the supervision, by Config.Clock.
type Timing struct {
	SilentAfter    time.Duration // without an event of a symbol, the connection is replaced; a minute
	RotateAfter    time.Duration // age by which a connection is replaced, before the exchange cuts it; 23 hours
	Overlap        time.Duration // longest that a connection is still heard for while its successor begins; 10 seconds
	StableAfter    time.Duration // age at which a connection resets the backoff; a minute
	FirstBackoff   time.Duration // 500 milliseconds
	LongestBackoff time.Duration // a minute
	FlushEvery     time.Duration // that ticks are written at; 5 seconds
}

func (t Timing) withDefaults() Timing {
	return Timing{
		SilentAfter:    cmp.Or(t.SilentAfter, time.Minute),
		RotateAfter:    cmp.Or(t.RotateAfter, 23*time.Hour),
		Overlap:        cmp.Or(t.Overlap, 10*time.Second),
		StableAfter:    cmp.Or(t.StableAfter, time.Minute),
		FirstBackoff:   cmp.Or(t.FirstBackoff, 500*time.Millisecond),
		LongestBackoff: cmp.Or(t.LongestBackoff, time.Minute),
		FlushEvery:     cmp.Or(t.FlushEvery, 5*time.Second),
	}
}

// backoff says how long to wait after failures that follow one another.
type backoff struct {
	first, longest time.Duration
	bound          time.Duration // of the next wait; 0 after a success
}

func (t Timing) backoff() backoff { return backoff{first: t.FirstBackoff, longest: t.LongestBackoff} }

// next returns anything up to a bound that doubles, so that those who failed
// together do not try again together.
func (b *backoff) next() time.Duration {
	bound := min(max(b.bound, b.first), b.longest)
	b.bound = 2 * bound
	return rand.N(bound + 1)
}

func (b *backoff) reset() { b.bound = 0 }

// sleep waits by a clock and reports whether it did to the end.
func sleep(ctx context.Context, clock Clock, d time.Duration) bool {
	select {
	case <-clock.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
