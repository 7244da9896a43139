package charts

import (
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestSlots(t *testing.T) {
	const present, missing = true, false
	type slot struct {
		openTime time.Time
		present  bool
	}
	at := func(times ...time.Time) []market.Candle {
		candles := make([]market.Candle, len(times))
		for i, t := range times {
			candles[i].OpenTime = t
		}
		return candles
	}
	date := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	offGrid := hours(1).Add(28*time.Minute + 14*time.Second)

	for name, test := range map[string]struct {
		interval market.Interval
		r        market.TimeRange
		candles  []market.Candle
		want     []slot
	}{
		"complete": {market.Hour1, market.TimeRange{Start: hours(0), End: hours(2)}, at(hours(0), hours(1)),
			[]slot{{hours(0), present}, {hours(1), present}}},
		"hole between": {market.Hour1, market.TimeRange{Start: hours(0), End: hours(4)}, at(hours(0), hours(3)),
			[]slot{{hours(0), present}, {hours(1), missing}, {hours(2), missing}, {hours(3), present}}},
		"hole at either end": {market.Hour1, market.TimeRange{Start: hours(0), End: hours(3)}, at(hours(1)),
			[]slot{{hours(0), missing}, {hours(1), present}, {hours(2), missing}}},
		"nothing stored": {market.Hour1, market.TimeRange{Start: hours(0), End: hours(2)}, nil,
			[]slot{{hours(0), missing}, {hours(1), missing}}},
		"off the grid": {market.Hour1, market.TimeRange{Start: hours(0), End: hours(3)}, at(hours(0), offGrid, hours(2)),
			[]slot{{hours(0), present}, {offGrid, present}, {hours(2), present}}},
		"on and off the grid within one interval": {market.Hour1, market.TimeRange{Start: hours(0), End: hours(3)},
			at(hours(0), hours(1), offGrid, hours(2)),
			[]slot{{hours(0), present}, {hours(1), present}, {offGrid, present}, {hours(2), present}}},
		"months": {market.Month1, market.TimeRange{Start: date(2025, 1, 1), End: date(2025, 4, 1)},
			at(date(2025, 1, 1), date(2025, 3, 1)),
			[]slot{{date(2025, 1, 1), present}, {date(2025, 2, 1), missing}, {date(2025, 3, 1), present}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []slot
			for _, s := range Slots(test.interval, test.r, test.candles) {
				got = append(got, slot{s.OpenTime, s.Candle.Valid})
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("slots = %v, want %v", got, test.want)
			}
		})
	}
}
