package live

import (
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// freshFor is how long the state of a candle may be sampled after it came in.
// The exchange pushes one every second or two while there are trades.
const freshFor = 10 * time.Second

// follower is what is known of one series.
type follower struct {
	series market.Series

	mu     sync.Mutex
	links  int       // open connections that deliver the series
	newest Kline     // accepted; the zero one before the first
	heard  time.Time // when newest was, by the exchange's clock; zero where no connection has been open all the time since
	taken  openTimes // candles whose end was accepted
	stored openTimes // of those, the ones that are stored

	// complete is the open time of the last candle before which, itself included,
	// nothing is missing in store; zero while that is not known of any.
	complete time.Time
	checked  time.Time // open time before which every candle has been checked; zero before the first check

	tasks       []task    // that wait, each once
	working     bool      // a goroutine looks after tasks
	checkPeriod time.Time // that a check was asked for

	lastEvent                  market.Optional[time.Time]
	events, duplicates, closed int64
	filled, corrected, left    int64
}

// linked counts a connection that has been opened, or lost where by is -1.
func (f *follower) linked(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.links += by
	if f.links == 0 {
		f.heard = time.Time{} // what passes from now on is not heard
	}
}

// sample returns the newest state for a place of the sampling grid, or why there
// is none.
func (f *follower) sample(now time.Time) (state Kline, missing GapReason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.links == 0:
		return Kline{}, Disconnected
	case f.heard.IsZero() || now.Sub(f.heard) >= freshFor:
		return Kline{}, Silent
	}
	return f.newest, ""
}

// storedClosed counts a candle as stored when it closed, and reports whether
// everything before it is known to be stored too.
func (f *follower) storedClosed(open time.Time) (complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	f.stored.add(open)
	if open.Before(f.checked) {
		f.checked = open // stored later than it was checked
	}
	f.advance()
	return !open.After(f.complete)
}

// leftOne counts a candle that closed but is left to a repair.
func (f *follower) leftOne() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left++
}

// repaired counts every candle that closed up to an instant as stored.
func (f *follower) repaired(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	open := f.series.Interval.Floor(until)
	if last := f.before(open); last.After(f.complete) {
		f.complete = last
	}
	f.advance()
}

// advance moves complete over candles that were stored before a repair had
// filled what was missing between.
func (f *follower) advance() {
	if f.complete.IsZero() {
		return
	}
	for next := f.series.Interval.Next(f.complete); f.stored.contains(next); next = f.series.Interval.Next(next) {
		f.complete = next
	}
}

// before returns the open time of the candle that closes when one opens.
func (f *follower) before(open time.Time) time.Time {
	return f.series.Interval.Floor(open.Add(-1))
}

// allClosed reports whether every candle that opens in a range, of which the
// start is one's open time, is stored or was seen to close.
func (f *follower) allClosed(opens market.TimeRange) bool {
	for open := opens.Start; open.Before(opens.End); open = f.series.Interval.Next(open) {
		if open.After(f.complete) && !f.taken.contains(open) {
			return false
		}
	}
	return true
}

// openTimes remembers the newest few open times that it was given.
type openTimes struct {
	times     [16]time.Time
	count     int
	forgotten time.Time // newest of those that are not remembered any more
}

func (o *openTimes) contains(t time.Time) bool {
	for _, known := range o.times[:o.count] {
		if known.Equal(t) {
			return true
		}
	}
	return false
}

func (o *openTimes) add(t time.Time) {
	if o.count < len(o.times) {
		o.times[o.count] = t
		o.count++
		return
	}
	oldest := 0
	for k := range o.times {
		if o.times[k].Before(o.times[oldest]) {
			oldest = k
		}
	}
	if o.times[oldest].After(o.forgotten) {
		o.forgotten = o.times[oldest]
	}
	o.times[oldest] = t
}
