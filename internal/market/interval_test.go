package market

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestFloorAndNext(t *testing.T) {
	for _, test := range []struct {
		interval          Interval
		instant, open, to string
	}{
		{Minute15, "2024-02-29T23:59:59.999Z", "2024-02-29T23:45:00Z", "2024-03-01T00:00:00Z"},
		{Minute15, "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-03-01T00:15:00Z"},
		{Hour8, "2024-03-01T15:00:00Z", "2024-03-01T08:00:00Z", "2024-03-01T16:00:00Z"},
		{Day1, "2024-03-01T15:00:00+09:00", "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z"},
		{Day3, "1970-01-05T00:00:00Z", "1970-01-04T00:00:00Z", "1970-01-07T00:00:00Z"},
		{Week1, "2024-03-03T23:00:00Z", "2024-02-26T00:00:00Z", "2024-03-04T00:00:00Z"}, // a Sunday
		{Week1, "1969-12-31T00:00:00Z", "1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z"},
		{Month1, "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{Month1, "2024-12-31T23:59:00Z", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"},
	} {
		open := test.interval.Floor(at(test.instant))
		if !open.Equal(at(test.open)) || !test.interval.Next(open).Equal(at(test.to)) {
			t.Errorf("%s at %s: from %s to %s, want from %s to %s", test.interval, test.instant,
				open, test.interval.Next(open), test.open, test.to)
		}
	}
}

func TestEveryInstantLiesInItsCandle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.SampledFrom(Intervals()).Draw(t, "interval")
		instant := time.UnixMicro(rapid.Int64Range(-1e15, 5e15).Draw(t, "instant"))
		open := interval.Floor(instant)
		if open.After(instant) || !interval.Next(open).After(instant) {
			t.Fatalf("%s at %s opens at %s", interval, instant, open)
		}
		if !interval.Floor(open).Equal(open) || !interval.Floor(interval.Next(open).Add(-1)).Equal(open) {
			t.Fatalf("%s: the bounds of the candle at %s do not agree", interval, open)
		}
		for _, finer := range Intervals() {
			if !finer.Divides(interval) {
				continue
			}
			parts := 0
			for part := open; part.Before(interval.Next(open)) && parts < 50_000; part = finer.Next(part) {
				parts++
			}
			if !finer.Floor(open).Equal(open) || parts != interval.Parts(finer, open) {
				t.Fatalf("%s in %s at %s: %d parts, Parts says %d", finer, interval, open, parts, interval.Parts(finer, open))
			}
		}
	})
}

func TestDivides(t *testing.T) {
	for _, test := range []struct {
		finer, coarser Interval
		divides        bool
	}{
		{Minute1, Month1, true}, {Minute15, Hour1, true}, {Minute3, Minute5, false}, {Minute15, Minute15, false},
		{Hour1, Minute15, false}, {Hour4, Hour6, false}, {Hour8, Hour12, false}, {Hour8, Day1, true},
		{Day1, Week1, true}, {Day1, Month1, true}, {Day3, Month1, false}, {Day3, Week1, false},
		{Week1, Month1, false}, {Month1, Month1, false}, {Month1, Week1, false},
	} {
		if test.finer.Divides(test.coarser) != test.divides {
			t.Errorf("%s divides %s: %t", test.finer, test.coarser, !test.divides)
		}
	}
}

func TestParseInterval(t *testing.T) {
	for _, name := range []string{"1m", "1M", "15m", "3d"} {
		if i, err := ParseInterval(name); err != nil || string(i) != name {
			t.Errorf("%s: %q, %v", name, i, err)
		}
	}
	for _, name := range []string{"", "15M", "15", "1h ", "m15", "2m"} {
		if _, err := ParseInterval(name); ErrorCode(err) != Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
