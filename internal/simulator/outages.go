package simulator

import (
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// outage is a time in which the exchange traded nothing.
type outage struct {
	start, end int64 // whole minutes, in milliseconds since 1970
	// slips says that the candles in which trading resumes open there and not on
	// the grid.
	slips bool
}

// slippingUpTo is the coarsest interval whose candles open off the grid after an
// outage that slips.
const slippingUpTo = market.Minute30

// outages are those of Binance in which no pair was traded, oldest first, to the
// minute where its published candles tell and to the hour elsewhere. The short
// ones of February 2018 stand for the days after the long one, when candles
// opened off the grid.
var outages = []outage{
	during("2017-09-06 17:00", "2017-09-06 23:00"),
	during("2018-01-04 04:00", "2018-01-04 05:00"),
	slipping("2018-02-08 01:00", "2018-02-09 09:28"),
	slipping("2018-02-09 10:13", "2018-02-09 10:22"),
	slipping("2018-02-09 12:58", "2018-02-09 13:11"),
	slipping("2018-02-09 19:25", "2018-02-09 19:38"),
	slipping("2018-02-10 03:31", "2018-02-10 03:52"),
	during("2018-06-26 02:00", "2018-06-26 12:00"),
	during("2018-06-27 13:00", "2018-06-27 14:00"),
	during("2018-07-04 01:00", "2018-07-04 08:00"),
	during("2018-10-19 06:00", "2018-10-19 09:00"),
	during("2018-11-14 02:00", "2018-11-14 09:00"),
	during("2019-03-12 02:00", "2019-03-12 08:00"),
	during("2019-05-15 03:00", "2019-05-15 13:00"),
	during("2019-08-15 02:00", "2019-08-15 10:00"),
	during("2019-11-13 02:00", "2019-11-13 04:00"),
	during("2019-11-25 02:00", "2019-11-25 04:00"),
	during("2020-02-09 02:00", "2020-02-09 03:00"),
	during("2020-02-19 12:00", "2020-02-19 17:00"),
	during("2020-03-04 10:00", "2020-03-04 11:00"),
	during("2020-04-25 02:00", "2020-04-25 04:00"),
	during("2020-06-28 02:00", "2020-06-28 05:00"),
	during("2020-11-30 06:00", "2020-11-30 07:00"),
	during("2020-12-21 14:10", "2020-12-21 18:00"),
	during("2020-12-25 02:00", "2020-12-25 03:00"),
	during("2021-02-11 03:45", "2021-02-11 05:00"),
	during("2021-03-06 02:00", "2021-03-06 03:30"),
	during("2021-04-20 02:00", "2021-04-20 04:30"),
	during("2021-04-25 04:05", "2021-04-25 08:45"),
	during("2021-08-13 02:00", "2021-08-13 06:00"),
	during("2021-09-29 07:00", "2021-09-29 09:00"),
	during("2023-03-24 12:40", "2023-03-24 14:00"),
}

func during(start, end string) outage {
	return outage{start: minute(start).UnixMilli(), end: minute(end).UnixMilli()}
}

func slipping(start, end string) outage {
	o := during(start, end)
	o.slips = true
	return o
}

func minute(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err) // a typing error in the list above
	}
	return t
}

// outagesOn returns the outages that overlap the range, oldest first.
func outagesOn(start, end int64) []outage {
	first, _ := slices.BinarySearchFunc(outages, start, func(o outage, start int64) int {
		if o.end <= start {
			return -1
		}
		return 1
	})
	last := first
	for last < len(outages) && outages[last].start < end {
		last++
	}
	return outages[first:last]
}

// slipsAt reports whether a candle of an interval in which the first trade is at
// an instant opens there, off the grid.
func slipsAt(interval market.Interval, first int64) bool {
	return interval.Length() <= slippingUpTo.Length() && slices.ContainsFunc(outages, func(o outage) bool {
		return o.slips && o.end == first
	})
}
