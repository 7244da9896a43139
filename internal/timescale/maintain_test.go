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

// What TimescaleDB's scheduler does once a day is done where it does not run, too.
func TestOldRowsArePackedAndDropped(t *testing.T) {
	d := community(t)
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Hour)
	old := walk(market.Hour1, now.AddDate(-3, 0, 0), 200*24)
	hours := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	write(t, d, hours, slices.Concat(old, walk(market.Hour1, now.AddDate(0, 0, -9), 9*24)))
	if packed, err := d.PackCandles(t.Context()); err != nil || packed != int64(len(old)) {
		t.Errorf("%d of %d old candles are packed, %v", packed, len(old), err)
	}
	if got := read(t, d, hours, market.TimeRange{Start: old[0].OpenTime, End: now.AddDate(-1, 0, 0)}, 1e6); !slices.Equal(got, old) {
		t.Errorf("%d candles came back from the columnstore, or other ones than the %d stored", len(got), len(old))
	}
	if packed, err := d.PackCandles(t.Context()); err != nil || packed != 0 {
		t.Errorf("once more: %d candles are packed, %v", packed, err)
	}

	insertTicks(t, d, "BTCUSDT", now.AddDate(0, 0, -120), 30)
	insertTicks(t, d, "BTCUSDT", now.Add(-time.Hour), 10)
	if dropped, err := d.DropOldTicks(t.Context()); err != nil || dropped != 30 {
		t.Errorf("%d old ticks are dropped, %v", dropped, err)
	}
	if dropped, err := d.DropOldTicks(t.Context()); err != nil || dropped != 0 {
		t.Errorf("once more: %d ticks are dropped, %v", dropped, err)
	}
}

func TestTheApacheEditionPacksAndDropsNothing(t *testing.T) {
	d := timescaletest.Open(t)
	if license := ask[string](t, d, `SHOW timescaledb.license`)[0]; license != "apache" {
		t.Skipf("the database of the tests is %q, not the Apache edition", license)
	}
	write(t, d, btc15m, walk(market.Minute15, newYear.AddDate(-3, 0, 0), 10))
	insertTicks(t, d, "BTCUSDT", newYear.AddDate(-3, 0, 0), 10)
	packed, err := d.PackCandles(t.Context())
	if err != nil || packed != 0 {
		t.Errorf("%d candles are packed, %v", packed, err)
	}
	dropped, err := d.DropOldTicks(t.Context())
	if err != nil || dropped != 0 || len(storedTicks(t, d)) != 10 {
		t.Errorf("%d ticks are dropped, %v", dropped, err)
	}
}

func TestFilesOfOldModelsAreRemoved(t *testing.T) {
	d := timescaletest.Open(t)
	ether := market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}
	used := saveModel(t, d, modelOf("used", newYear.AddDate(0, 1, 0)), "its file", inPlaceOf(0))
	var want []string
	for _, series := range []market.Series{btc15m, ether} {
		for _, hash := range []string{"a", "b", "c"} {
			m := modelOf(hash, newYear.AddDate(0, 1, 0))
			m.Series = series
			saveModel(t, d, m, "its file", nothing)
			if hash != "a" {
				want = append(want, string(series.Symbol)+" "+hash)
			}
		}
	}
	want = append([]string{"BTCUSDT used"}, want...)
	if removed, err := d.PruneModelFiles(t.Context(), 2); err != nil || removed != 2 {
		t.Errorf("%d files are removed, %v", removed, err)
	}
	kept := ask[string](t, d, `SELECT symbol || ' ' || data_hash FROM models WHERE bytes IS NOT NULL ORDER BY id`)
	if !slices.Equal(kept, want) {
		t.Errorf("the files of %q are kept, want %q", kept, want)
	}
	if m, err := d.Model(t.Context(), used.ID); err != nil || !m.InUseSince.Valid {
		t.Errorf("the one in use is %+v, %v", m, err)
	}
	if removed, err := d.PruneModelFiles(t.Context(), 2); err != nil || removed != 0 {
		t.Errorf("once more: %d files are removed, %v", removed, err)
	}
}

func TestRangesToRecheckAreThoseThatWaitLongest(t *testing.T) {
	d := timescaletest.Open(t)
	ether := market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}
	known := []struct {
		series  market.Series
		start   time.Time
		asked   int
		daysAgo int
	}{
		{btc15m, days(0, 0).Start, 3, 40},
		{btc15m, days(1, 1).Start, 3, 29}, // not long ago
		{btc15m, days(2, 2).Start, 2, 50}, // asked for again by every backfill
		{btc15m, days(3, 3).Start, 5, 31},
		{ether, days(0, 0).Start, 3, 60},
	}
	now := days(100, 100).Start
	for _, k := range known {
		execute(t, d, `
			INSERT INTO empty_ranges (symbol, interval, start_time, end_time, asked, last_asked, confirmed) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			k.series.Symbol, k.series.Interval, k.start, k.start.Add(2*time.Hour), k.asked, now.AddDate(0, 0, -k.daysAgo), k.asked > 2)
	}
	var want []history.BackfillRequest
	for _, k := range []int{4, 0, 3} {
		r := market.TimeRange{Start: known[k].start, End: known[k].start.Add(2 * time.Hour)}
		want = append(want, history.BackfillRequest{Series: known[k].series, Wanted: r, Recheck: true})
	}
	for _, limit := range []int{10, 3, 2} {
		got, err := d.RangesToRecheck(t.Context(), now.AddDate(0, 0, -30), limit)
		if expected := want[:min(limit, len(want))]; err != nil || !reflect.DeepEqual(got, expected) {
			t.Errorf("at most %d: %+v, %v; want %+v", limit, got, err, expected)
		}
	}
}
