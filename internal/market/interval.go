package market

import (
	"slices"
	"strings"
	"time"
)

// Interval is the length of a candle under Binance's name for it, which is
// case-sensitive: 1m is a minute, 1M a month.
type Interval string

// The intervals that Binance publishes, finest first.
const (
	Minute1  Interval = "1m"
	Minute3  Interval = "3m"
	Minute5  Interval = "5m"
	Minute15 Interval = "15m"
	Minute30 Interval = "30m"
	Hour1    Interval = "1h"
	Hour2    Interval = "2h"
	Hour4    Interval = "4h"
	Hour6    Interval = "6h"
	Hour8    Interval = "8h"
	Hour12   Interval = "12h"
	Day1     Interval = "1d"
	Day3     Interval = "3d"
	Week1    Interval = "1w"
	Month1   Interval = "1M"
)

const day = 24 * time.Hour

// monday is the first Monday of the epoch: weeks open on Mondays.
var monday = time.Date(1970, time.January, 5, 0, 0, 0, 0, time.UTC)

// lengths holds every interval but the month, whose length varies.
var lengths = map[Interval]time.Duration{
	Minute1: time.Minute, Minute3: 3 * time.Minute, Minute5: 5 * time.Minute,
	Minute15: 15 * time.Minute, Minute30: 30 * time.Minute,
	Hour1: time.Hour, Hour2: 2 * time.Hour, Hour4: 4 * time.Hour,
	Hour6: 6 * time.Hour, Hour8: 8 * time.Hour, Hour12: 12 * time.Hour,
	Day1: day, Day3: 3 * day, Week1: 7 * day,
}

var intervals = []Interval{
	Minute1, Minute3, Minute5, Minute15, Minute30,
	Hour1, Hour2, Hour4, Hour6, Hour8, Hour12, Day1, Day3, Week1, Month1,
}

// Intervals returns every interval, finest first.
func Intervals() []Interval { return slices.Clone(intervals) }

// ParseInterval returns the interval of that name, or an Invalid error that
// lists the names.
func ParseInterval(name string) (Interval, error) {
	if i := Interval(name); slices.Contains(intervals, i) {
		return i, nil
	}
	names := make([]string, len(intervals))
	for k, i := range intervals {
		names[k] = string(i)
	}
	return "", Errorf(Invalid, "interval %q is unknown: use one of %s (1m is a minute, 1M a month)",
		clip(name), strings.Join(names, ", "))
}

// Length returns the nominal length of the interval; a month counts 30 days
// here, so use Next where the calendar matters.
func (i Interval) Length() time.Duration {
	if i == Month1 {
		return 30 * day
	}
	return lengths[i]
}

// Floor returns the open time of the candle that holds t. Three-day candles
// count from the epoch, weeks open on Monday, months on the 1st, all in UTC.
func (i Interval) Floor(t time.Time) time.Time {
	t = t.UTC()
	switch i {
	case Month1:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	case Week1:
		return floor(t, monday, lengths[i])
	default:
		return floor(t, time.Unix(0, 0).UTC(), lengths[i])
	}
}

func floor(t, origin time.Time, length time.Duration) time.Time {
	past := t.Sub(origin) % length
	if past < 0 {
		past += length
	}
	return t.Add(-past)
}

// Next returns the close time of the candle that opens at open, which is the
// open time of the one after it.
func (i Interval) Next(open time.Time) time.Time {
	if i == Month1 {
		return open.AddDate(0, 1, 0)
	}
	return open.Add(lengths[i])
}

// Divides reports whether candles of interval i fill those of a coarser
// interval exactly: 15m divides 1h, 1w does not divide 1M. Nothing divides
// itself.
func (i Interval) Divides(coarser Interval) bool {
	switch {
	case i == coarser, i == Month1:
		return false
	case coarser == Month1:
		return lengths[i] > 0 && day%lengths[i] == 0
	case i == Day3 && coarser == Week1:
		return false
	default:
		return lengths[i] > 0 && lengths[i] < lengths[coarser] && lengths[coarser]%lengths[i] == 0
	}
}

// Parts returns how many candles of interval source make up the candle of
// interval i that opens at open, when none is missing. It is 1 for i itself.
func (i Interval) Parts(source Interval, open time.Time) int {
	if source == i {
		return 1
	}
	return int(i.Next(open).Sub(open) / lengths[source])
}
