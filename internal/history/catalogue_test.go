package history

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestCatalogueKnowsWhatCanBeMade(t *testing.T) {
	day := time.Date(2024, time.March, 6, 0, 0, 0, 0, time.UTC) // a Wednesday
	stored := func(symbol market.Symbol, interval market.Interval, first, last time.Time) StoredSeries {
		return StoredSeries{Series: market.Series{Symbol: symbol, Interval: interval}, First: first, Last: last}
	}
	c := Catalogue{
		stored("BTCUSDT", market.Hour2, day, day.Add(8*time.Hour)),
		stored("BTCUSDT", market.Hour6, day.AddDate(0, 0, -10), day), // longer, but less fresh
		stored("ETHUSDT", market.Day1, day, day.AddDate(0, 0, 1)),
	}
	if got := c.Symbols(); !slices.Equal(got, []market.Symbol{"BTCUSDT", "ETHUSDT"}) {
		t.Errorf("symbols %v", got)
	}
	if got := c.Intervals("BTCUSDT"); !slices.Equal(got, []market.Interval{
		market.Hour2, market.Hour4, market.Hour6, market.Hour8, market.Hour12, market.Day1, market.Day3, market.Week1, market.Month1,
	}) {
		t.Errorf("intervals %v", got)
	}
	for _, test := range []struct {
		series market.Series
		want   Extent
	}{
		{market.Series{Symbol: "BTCUSDT", Interval: market.Hour6}, Extent{
			OpenTimes: market.TimeRange{Start: day.AddDate(0, 0, -10), End: day.Add(12 * time.Hour)},
			Known:     day.Add(10 * time.Hour), Source: market.Hour2,
		}},
		{market.Series{Symbol: "BTCUSDT", Interval: market.Hour2}, Extent{
			OpenTimes: market.TimeRange{Start: day, End: day.Add(10 * time.Hour)},
			Known:     day.Add(10 * time.Hour), Source: market.Hour2,
		}},
		{market.Series{Symbol: "ETHUSDT", Interval: market.Week1}, Extent{
			OpenTimes: market.TimeRange{Start: day.AddDate(0, 0, -2), End: day.AddDate(0, 0, 5)},
			Known:     day.AddDate(0, 0, 2), Source: market.Day1,
		}},
	} {
		if got, err := c.Extent(test.series); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.series, got, err, test.want)
		}
	}
	for _, test := range []struct {
		catalogue Catalogue
		series    market.Series
		says      string
	}{
		{nil, market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}, "import some"},
		{c, market.Series{Symbol: "XRPUSDT", Interval: market.Hour1}, "ask for one of BTCUSDT, ETHUSDT"},
		{c, market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}, "ask for one of 1d, 3d, 1w, 1M"},
	} {
		if _, err := test.catalogue.Extent(test.series); market.ErrorCode(err) != market.NotFound || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.series, err, test.says)
		}
	}
}
