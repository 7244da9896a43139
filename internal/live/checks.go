package live

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// checkEvery is how often at most candles that closed have their series checked.
	checkEvery = 15 * time.Minute
	// checkSpread is how long it takes at most from when a candle is settled until it
	// is checked, so that series that close together are not all asked for at once.
	checkSpread = time.Minute
	// checkedBack is how far back a check goes at least: what another process stored
	// right before it was killed has nobody else to check it.
	checkedBack = 24 * time.Hour
)

// checkLater has a series checked soon after a candle of it was stored as it
// closed, unless one is to be already that closed in the same quarter of an hour.
// What the stream says of a candle's end is believed at first only.
func (r *repairs) checkLater(ctx context.Context, f *follower, open time.Time) {
	if f.checkDue(f.series.Interval.Next(open).Truncate(checkEvery)) {
		r.working.Go(func() {
			if sleep(ctx, r.clock, settledFor+rand.N(checkSpread)) {
				r.ask(ctx, f, check)
			}
		})
	}
}

// checkDue reports whether no check was asked for in a period, which it then is.
func (f *follower) checkDue(period time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := period.After(f.checkPeriod)
	if due {
		f.checkPeriod = period
	}
	return due
}

// checkSince returns the open time from which a check is due, zero for the first.
func (f *follower) checkSince(now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if dayAgo := now.Add(-checkedBack); dayAgo.Before(f.checked) {
		return dayAgo
	}
	return f.checked
}

// checkedUntil counts every candle that closed up to an instant as checked.
func (f *follower) checkedUntil(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = f.series.Interval.Floor(until)
}
