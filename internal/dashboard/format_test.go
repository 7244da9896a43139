package dashboard

import (
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestFormatNumber(t *testing.T) {
	for _, test := range []struct {
		value    float64
		decimals int
		want     string
		signed   string
	}{
		{0, 2, "0.00", "0.00"},
		{999.994, 2, "999.99", "+999.99"},
		{999.996, 2, "1,000.00", "+1,000.00"},
		{1234567.891, 2, "1,234,567.89", "+1,234,567.89"},
		{-1234.5, 1, "−1,234.5", "−1,234.5"},
		{-123, 0, "−123", "−123"},
		{-0.004, 2, "0.00", "0.00"},
		{0.004, 2, "0.00", "0.00"},
	} {
		if got := formatNumber(test.value, test.decimals); got != test.want {
			t.Errorf("formatNumber(%v, %d) = %q, want %q", test.value, test.decimals, got, test.want)
		}
		if got := formatSigned(test.value, test.decimals); got != test.signed {
			t.Errorf("formatSigned(%v, %d) = %q, want %q", test.value, test.decimals, got, test.signed)
		}
	}
}

func TestDecimals(t *testing.T) {
	for _, test := range []struct {
		prices [4]float64
		want   int
	}{
		{[4]float64{1, 2, 0.5, 1}, 2},
		{[4]float64{107146.51, 107200, 107000.1, 107100}, 2},
		{[4]float64{1, 2, 0.00012, 1}, 5},
		{[4]float64{1, 2, 1.0 / 3, 1}, 8},
	} {
		candle := market.Candle{Open: test.prices[0], High: test.prices[1], Low: test.prices[2], Close: test.prices[3]}
		if got := decimals([]market.Candle{candle}); got != test.want {
			t.Errorf("decimals(%v) = %d, want %d", test.prices, got, test.want)
		}
	}
}

func TestFormatAge(t *testing.T) {
	for _, test := range []struct {
		age  time.Duration
		want string
	}{
		{0, "less than two minutes ago"},
		{119 * time.Second, "less than two minutes ago"},
		{31 * time.Minute, "31 minutes ago"},
		{119 * time.Minute, "119 minutes ago"},
		{2 * time.Hour, "2 hours ago"},
		{47 * time.Hour, "47 hours ago"},
		{48 * time.Hour, "2 days ago"},
		{1200 * 24 * time.Hour, "1,200 days ago"},
		{-3 * time.Hour, "in 3 hours"},
	} {
		want := spaces.ReplaceAllString(test.want, " ")
		got := spaces.ReplaceAllString(formatAge(midnight.Add(-test.age), midnight), " ")
		if got != want {
			t.Errorf("age of %v = %q, want %q", test.age, got, want)
		}
	}
}

func TestFormatHalves(t *testing.T) {
	for span, want := range map[time.Duration]string{
		4 * time.Hour: "4 hours", 36 * time.Hour: "36 hours", 60 * time.Hour: "2.5 days", 240 * time.Hour: "10 days",
	} {
		if got := spaces.ReplaceAllString(formatHalves(span), " "); got != want {
			t.Errorf("formatHalves(%v) = %q, want %q", span, got, want)
		}
	}
}

func TestChartWindow(t *testing.T) {
	first := time.Date(2017, time.August, 17, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		interval market.Interval
		newest   time.Time
		first    time.Time
		bars     int
	}{
		{market.Minute1, midnight, first, 2880},
		{market.Minute15, midnight, first, 2880},
		{market.Hour1, midnight, first, 720},
		{market.Hour4, midnight, first, 180},
		{market.Day1, midnight, first, 120},
		{market.Week1, market.Week1.Floor(midnight), market.Week1.Floor(first), 120},
		{market.Month1, midnight, midnight.AddDate(-20, 0, 0), 120},
		{market.Month1, midnight, midnight.AddDate(0, -5, 0), 6}, // no more are stored
	} {
		r := chartWindow(test.interval, market.TimeRange{Start: test.first, End: test.interval.Next(test.newest)})
		bars := 0
		for open := r.Start; open.Before(r.End); open = test.interval.Next(open) {
			bars++
		}
		if bars != test.bars || !r.Start.Equal(test.interval.Floor(r.Start)) || !r.Contains(test.newest) {
			t.Errorf("%s: %d bars from %s to %s, want %d whole ones up to the newest",
				test.interval, bars, r.Start, r.End, test.bars)
		}
	}
}
