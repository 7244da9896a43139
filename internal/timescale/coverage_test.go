package timescale_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestCoverageFindsHoles(t *testing.T) {
	d := timescaletest.Open(t)
	if _, err := d.Coverage(t.Context(), "BTCUSDT"); market.ErrorCode(err) != market.NotFound {
		t.Errorf("coverage of nothing: %v", err)
	}
	candles := walk(market.Minute15, newYear, 100)
	candles[60].OpenTime = candles[60].OpenTime.Add(7 * time.Minute) // off the grid, as in February 2018
	write(t, d, btc15m, append(append(candles[:10:10], candles[13:50]...), candles[51:]...))
	months := market.Series{Symbol: "BTCUSDT", Interval: market.Month1}
	monthly := walk(market.Month1, newYear, 6)
	write(t, d, months, append(monthly[:2:2], monthly[4:]...))
	write(t, d, market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}, walk(market.Hour1, newYear, 1))

	stored, err := d.Catalogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := func(k int) time.Time { return newYear.Add(time.Duration(k) * 15 * time.Minute) }
	want := history.Catalogue{
		{Series: btc15m, First: at(0), Last: at(99)},
		{Series: months, First: newYear, Last: newYear.AddDate(0, 5, 0)},
		{Series: market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}, First: newYear, Last: newYear},
	}
	if !reflect.DeepEqual(stored, want) {
		t.Errorf("stored are %v, want %v", stored, want)
	}
	coverage, err := d.Coverage(t.Context(), "BTCUSDT")
	if err != nil {
		t.Fatal(err)
	}
	wantCoverage := []history.Coverage{
		{StoredSeries: want[0], Rows: 96, Holes: []history.Hole{
			{TimeRange: market.TimeRange{Start: at(10), End: at(13)}, Missing: 3},
			{TimeRange: market.TimeRange{Start: at(50), End: at(51)}, Missing: 1},
		}},
		{StoredSeries: want[1], Rows: 4, Holes: []history.Hole{
			{TimeRange: market.TimeRange{Start: newYear.AddDate(0, 2, 0), End: newYear.AddDate(0, 4, 0)}, Missing: 2},
		}},
	}
	if !reflect.DeepEqual(coverage, wantCoverage) {
		t.Errorf("coverage is %+v,\nwant %+v", coverage, wantCoverage)
	}
}
