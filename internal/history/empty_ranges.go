package history

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// emptyConfirmations is on how many occasions a range must have been empty
// before it counts as confirmed, and occasionsApart how far apart they must be:
// an exchange that answers nonsense for a minute is asked again after it.
const (
	emptyConfirmations = 3
	occasionsApart     = 10 * time.Minute
)

// EmptyRange is a range of a series in which the exchange had no candle when it
// was asked.
type EmptyRange struct {
	market.TimeRange           // on the grid
	Asked            int       // occasions
	LastAsked        time.Time // the newest of them that counted
}

// Confirmed reports whether the range was empty often enough not to be asked for
// again.
func (e EmptyRange) Confirmed() bool { return e.Asked >= emptyConfirmations }

// EmptyAfter returns what is known of empty ranges within page.Asked, oldest
// first, when page is added to known, the ranges that were known before and that
// overlap it. Parts of known that lie outside of page.Asked are returned as they
// were, so that the result replaces all of known. Neighbours of equal history
// are one range.
func EmptyAfter(interval market.Interval, known []EmptyRange, page Page) []EmptyRange {
	var after []EmptyRange
	add := func(r EmptyRange) {
		if r.Empty() {
			return
		}
		if n := len(after); n > 0 && after[n-1].End.Equal(r.Start) && after[n-1].sameHistory(r) {
			after[n-1].End = r.End
			return
		}
		after = append(after, r)
	}
	addPart := func(k EmptyRange, part market.TimeRange) {
		k.TimeRange = overlap(k.TimeRange, part)
		add(k)
	}

	for _, k := range known {
		addPart(k, market.TimeRange{Start: k.Start, End: page.Asked.Start})
	}
	for _, empty := range emptyPlaces(interval, page) {
		for _, k := range known {
			again := overlap(k.TimeRange, empty)
			if again.Empty() {
				continue
			}
			add(EmptyRange{market.TimeRange{Start: empty.Start, End: again.Start}, 1, page.Asking})
			addPart(k.askedAgain(page.Asking), again)
			empty.Start = again.End
		}
		add(EmptyRange{empty, 1, page.Asking})
	}
	for _, k := range known {
		addPart(k, market.TimeRange{Start: page.Asked.End, End: k.End})
	}
	return after
}

// askedAgain returns the range after it was empty once more, which counts only
// if it was long enough after the last time.
func (e EmptyRange) askedAgain(asking time.Time) EmptyRange {
	if asking.Sub(e.LastAsked) >= occasionsApart {
		e.Asked++
		e.LastAsked = asking
	}
	return e
}

func (e EmptyRange) sameHistory(other EmptyRange) bool {
	return e.Asked == other.Asked && e.LastAsked.Equal(other.LastAsked)
}

// emptyPlaces returns the runs of places of a page at which no candle opens,
// oldest first. A candle that opens off the grid stands for the bucket that it
// opens in.
func emptyPlaces(interval market.Interval, page Page) []market.TimeRange {
	var empty []market.TimeRange
	next := page.Asked.Start
	add := func(end time.Time) {
		if next.Before(end) {
			empty = append(empty, market.TimeRange{Start: next, End: end})
		}
	}
	for _, c := range page.Candles {
		open := interval.Floor(c.OpenTime)
		add(open)
		next = interval.Next(open)
	}
	add(page.Asked.End)
	return empty
}
