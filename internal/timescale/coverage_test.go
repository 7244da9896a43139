package timescale_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestCoverageFindsGaps(t *testing.T) {
	d := timescaletest.Open(t)
	if _, err := d.Coverage(t.Context(), "BTCUSDT", forever); market.ErrorCode(err) != market.NotFound {
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
	window := market.TimeRange{Start: newYear.Add(-20 * time.Minute), End: at(120).Add(time.Minute)}
	coverage, err := d.Coverage(t.Context(), "BTCUSDT", window)
	if err != nil {
		t.Fatal(err)
	}
	pending := func(start, end time.Time, missing int) history.Gap {
		return history.Gap{TimeRange: market.TimeRange{Start: start, End: end}, Missing: missing, Cause: history.Pending}
	}
	offGrid := pending(at(60), at(61), 1)
	offGrid.Cause = history.OffGrid
	december := newYear.AddDate(0, -1, 0)
	wantCoverage := []history.Coverage{
		{
			StoredSeries: want[0], Rows: 96, Window: market.TimeRange{Start: at(-2), End: at(120)},
			Gaps: []history.Gap{
				pending(at(-2), at(0), 2), pending(at(10), at(13), 3), pending(at(50), at(51), 1), offGrid, pending(at(100), at(120), 20),
			},
		},
		{
			StoredSeries: want[1], Rows: 0, Window: market.TimeRange{Start: december, End: newYear},
			Gaps: []history.Gap{pending(december, newYear, 1)},
		},
	}
	if !reflect.DeepEqual(coverage, wantCoverage) {
		t.Errorf("coverage is %+v,\nwant %+v", coverage, wantCoverage)
	}

	coverage, err = d.Coverage(t.Context(), "BTCUSDT", market.TimeRange{Start: newYear, End: newYear.AddDate(0, 6, 20)})
	if err != nil {
		t.Fatal(err)
	}
	march, may := newYear.AddDate(0, 2, 0), newYear.AddDate(0, 4, 0)
	if got := coverage[1]; got.Rows != 4 || !reflect.DeepEqual(got.Gaps, []history.Gap{pending(march, may, 2)}) {
		t.Errorf("coverage by months is %+v", got)
	}
	coverage, err = d.Coverage(t.Context(), "BTCUSDT", market.TimeRange{Start: at(3), End: at(2)})
	if err != nil || coverage[0].Rows != 0 || len(coverage[0].Gaps) != 0 {
		t.Errorf("of an empty window: %+v, %v", coverage, err)
	}
}

func TestCoverageViewsAddUp(t *testing.T) {
	d := timescaletest.Open(t)
	hours := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	days := market.Series{Symbol: "BTCUSDT", Interval: market.Day1}
	stored := map[market.Series][]market.Candle{
		hours: walk(market.Hour1, newYear, 500), days: walk(market.Day1, market.Day1.Floor(history.FirstListing), 700),
	}
	stored[hours][7].OpenTime = stored[hours][7].OpenTime.Add(time.Minute)
	listed := history.FirstListing.AddDate(0, 0, 12)
	if err := d.SetListed(t.Context(), "BTCUSDT", listed); err != nil {
		t.Fatal(err)
	}
	for series, candles := range stored {
		write(t, d, series, candles)
		empty := history.Page{Asked: market.TimeRange{Start: newYear.AddDate(1, 0, 0), End: newYear.AddDate(1, 0, 2)}}
		for k := range 4 {
			empty.Asking = newYear.AddDate(2, 0, k)
			if _, err := d.WritePage(t.Context(), series, empty); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One instant for both: a candle may close between two questions.
	now := ask[time.Time](t, d, `SELECT now()`)[0]
	for series, candles := range stored {
		coverage, err := d.Coverage(t.Context(), "BTCUSDT", market.TimeRange{Start: history.FirstListing, End: now})
		if err != nil {
			t.Fatal(err)
		}
		k := slices.IndexFunc(coverage, func(c history.Coverage) bool { return c.Series == series })
		missing := map[history.GapCause]int{}
		for _, gap := range coverage[k].Gaps {
			missing[gap.Cause] += gap.Missing
		}
		if missing[history.ConfirmedEmpty] == 0 || missing[history.Pending] == 0 {
			t.Errorf("%s: missing are %v", series, missing)
		}
		var got struct {
			first, last                                 time.Time
			rows, expected                              int
			notListed, offGrid, confirmedEmpty, pending int
		}
		err = d.Pool().QueryRow(t.Context(), `
			SELECT first_open_time, last_open_time, rows, expected, not_listed, off_grid, confirmed_empty, pending
			FROM coverage WHERE symbol = $1 AND interval = $2`, series.Symbol, series.Interval).
			Scan(&got.first, &got.last, &got.rows, &got.expected, &got.notListed, &got.offGrid, &got.confirmedEmpty, &got.pending)
		if err != nil {
			t.Fatal(err)
		}
		if !got.first.Equal(candles[0].OpenTime) || !got.last.Equal(candles[len(candles)-1].OpenTime) || got.rows != len(candles) {
			t.Errorf("%s: the view says %+v", series, got)
		}
		if got.notListed != missing[history.NotListed] || got.offGrid != missing[history.OffGrid] || got.confirmedEmpty != missing[history.ConfirmedEmpty] ||
			got.pending < missing[history.Pending] || got.pending > missing[history.Pending]+1 {
			t.Errorf("%s: the view says %+v, want %v", series, got, missing)
		}
		sinceListed := 0
		for _, c := range candles {
			if !c.OpenTime.Before(series.Interval.Floor(listed)) {
				sinceListed++
			}
		}
		if got.expected != sinceListed+got.confirmedEmpty+got.pending {
			t.Errorf("%s: %d are expected, %d of them are stored, of the rest the view says %+v", series, got.expected, sinceListed, got)
		}
		sum := ask[int64](t, d, `SELECT sum(missing)::bigint FROM coverage_gaps WHERE symbol = $1 AND interval = $2`, series.Symbol, series.Interval)[0]
		if want := got.notListed + got.offGrid + got.confirmedEmpty + got.pending; int(sum) != want && int(sum) != want+1 {
			t.Errorf("%s: the gaps of the one view add up to %d, the other says %d", series, sum, want)
		}
	}
}
