package live

import (
	"cmp"
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

// accept takes in a state if it is newer than all before: by open time, then as
// grewInto says, for the same event comes twice while two connections overlap.
// That a candle closed is accepted once, however late. The caller holds f.mu.
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

// grewInto reports whether next can be a later state of the same candle. What
// tells is how far trading has come, and only where that is equal or unknown the
// exchange's time of the event: its machines have clocks that differ, by minutes
// at worst, and a connection to another one must not have to catch up with them.
func (k *Kline) grewInto(next *Kline) bool {
	trades := compareKnown(k.Candle.Trades, next.Candle.Trades)
	if k.Closed || trades > 0 || next.Candle.Volume < k.Candle.Volume {
		return false
	}
	if order := cmp.Or(compareKnown(k.LastTradeID, next.LastTradeID), trades); order != 0 {
		return order < 0
	}
	return next.EventTime.After(k.EventTime)
}

// compareKnown compares what two states have published, 0 where one has not.
func compareKnown(a, b market.Optional[int64]) int {
	if !a.Valid || !b.Valid {
		return 0
	}
	return cmp.Compare(a.Value, b.Value)
}
