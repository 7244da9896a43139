package market

import "time"

// TimeRange is the half-open range of instants [Start, End), in UTC.
type TimeRange struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Empty reports whether no instant lies in the range.
func (r TimeRange) Empty() bool { return !r.Start.Before(r.End) }

// Contains reports whether t lies in the range.
func (r TimeRange) Contains(t time.Time) bool { return !t.Before(r.Start) && t.Before(r.End) }
