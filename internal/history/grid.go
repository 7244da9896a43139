package history

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// ceil returns the first place on the grid that is not before t.
func ceil(interval market.Interval, t time.Time) time.Time {
	open := interval.Floor(t)
	if open.Before(t) {
		return interval.Next(open)
	}
	return open
}

// placeAfter returns the n-th place after one on the grid.
func placeAfter(interval market.Interval, place time.Time, n int) time.Time {
	if interval == market.Month1 {
		return place.AddDate(0, n, 0)
	}
	return place.Add(time.Duration(n) * interval.Length())
}

// places returns how many places lie in a range on the grid.
func places(interval market.Interval, r market.TimeRange) int64 {
	if interval == market.Month1 {
		return int64(12*(r.End.Year()-r.Start.Year())) + int64(r.End.Month()-r.Start.Month())
	}
	return int64(r.End.Sub(r.Start) / interval.Length())
}

// overlap returns the instants that lie in both ranges. It may be empty.
func overlap(a, b market.TimeRange) market.TimeRange {
	return market.TimeRange{Start: later(a.Start, b.Start), End: earlier(a.End, b.End)}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
