package live

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// accepted says what an event is good for. An event that is neither newer nor
// closes anything is a duplicate, or too late.
type accepted struct {
	newer  bool // it is the newest state of its series
	closes bool // its candle has closed, which was not known before
	// unclosed are the open times of candles that should have closed before the
	// event's candle opened; empty where they all did.
	unclosed market.TimeRange
}

// accept takes in a state if it is newer than all before: by open time, then by
// the exchange's time of the event, for the same event comes twice while two
// connections overlap. Its counts may not shrink, for the exchange's machines
// have clocks that differ. That a candle closed is accepted once, however late.
// The caller holds f.mu.
func (f *follower) accept(kline *Kline, now time.Time) accepted {
	f.events++
	f.lastEvent = market.Some(kline.ReceivedAt)
	open := kline.Candle.OpenTime
	first := f.newest.EventTime.IsZero()
	opens := first || open.After(f.newest.Candle.OpenTime)
	var a accepted
	a.closes = kline.Closed && open.After(f.taken.forgotten) && !f.taken.contains(open)
	a.newer = opens || open.Equal(f.newest.Candle.OpenTime) && (a.closes || f.newest.grewInto(kline))
	if !a.newer && !a.closes {
		f.duplicates++
		return a
	}
	if a.closes {
		f.taken.add(open)
	}
	if !a.newer {
		return a
	}
	if opens {
		unclosed := market.TimeRange{Start: f.newest.Candle.OpenTime, End: open}
		if first {
			unclosed.Start = f.before(open)
		}
		if !f.allClosed(unclosed) {
			a.unclosed = unclosed
		}
	}
	f.newest, f.heard = *kline, now
	return a
}

// grewInto reports whether next can be a later state of the same candle.
func (k *Kline) grewInto(next *Kline) bool {
	trades := k.Candle.Trades.Valid && next.Candle.Trades.Valid && next.Candle.Trades.Value < k.Candle.Trades.Value
	return !k.Closed && next.EventTime.After(k.EventTime) && !trades && next.Candle.Volume >= k.Candle.Volume
}
