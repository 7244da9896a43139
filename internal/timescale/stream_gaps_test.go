package timescale_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// streamGap is one of missing samples, one every 5 seconds.
func streamGap(symbol market.Symbol, start time.Time, missing int, reason live.GapReason) live.StreamGap {
	return live.StreamGap{
		Symbol: symbol, TimeRange: market.TimeRange{Start: start, End: start.Add(time.Duration(missing) * 5 * time.Second)},
		Missing: missing, Reason: reason,
	}
}

func writeStreamGap(t *testing.T, d *timescale.Database, gap live.StreamGap) {
	t.Helper()
	if err := d.WriteStreamGap(t.Context(), gap); err != nil {
		t.Fatal(err)
	}
}

func TestStreamGapsGrowAndAreCounted(t *testing.T) {
	d := timescaletest.Open(t)
	writeTicks(t, d, sample("BTCUSDT", newYear, 10))
	writeStreamGap(t, d, streamGap("BTCUSDT", newYear.Add(50*time.Second), 1, live.Silent))
	writeStreamGap(t, d, streamGap("BTCUSDT", newYear.Add(50*time.Second), 3, live.Disconnected))
	for k, reason := range []live.GapReason{live.NotRunning, live.Disconnected, live.Silent, live.DatabaseAway} {
		writeStreamGap(t, d, streamGap("BTCUSDT", newYear.Add(time.Duration(k+2)*time.Minute), k+1, reason))
	}
	writeStreamGap(t, d, streamGap("ETHUSDT", newYear, 7, live.NotRunning))
	writeTicks(t, d, sample("SOLUSDT", newYear, 1))
	got := ask[string](t, d, `SELECT c::text FROM stream_coverage AS c ORDER BY symbol`)
	want := []string{
		`(BTCUSDT,"2024-01-01 00:00:00+00","2024-01-01 00:00:45+00",10,1,5,3,4)`,
		`(ETHUSDT,,,0,7,0,0,0)`,
		`(SOLUSDT,"2024-01-01 00:00:00+00","2024-01-01 00:00:00+00",1,0,0,0,0)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	replaced := ask[string](t, d, `SELECT g::text FROM stream_gaps AS g WHERE symbol = 'BTCUSDT' ORDER BY start_time LIMIT 1`)
	if want := []string{`(BTCUSDT,"2024-01-01 00:00:50+00","2024-01-01 00:01:05+00",3,disconnected)`}; !slices.Equal(replaced, want) {
		t.Errorf("the gap that grew is %q, want %q", replaced, want)
	}
}

func TestWhatIsNoStreamGapIsRefused(t *testing.T) {
	d := timescaletest.Open(t)
	for name, gap := range map[string]live.StreamGap{
		"of no length":      {Symbol: "BTCUSDT", TimeRange: market.TimeRange{Start: newYear, End: newYear}, Missing: 1, Reason: live.Silent},
		"of no sample":      {Symbol: "BTCUSDT", TimeRange: days(0, 1), Reason: live.Silent},
		"without a reason":  {Symbol: "BTCUSDT", TimeRange: days(0, 1), Missing: 1},
		"of unknown reason": {Symbol: "BTCUSDT", TimeRange: days(0, 1), Missing: 1, Reason: "tired"},
	} {
		if err := d.WriteStreamGap(t.Context(), gap); err == nil {
			t.Errorf("one %s is stored", name)
		}
	}
}

func TestAccountedUntil(t *testing.T) {
	d := timescaletest.Open(t)
	check := func(symbol market.Symbol, want market.Optional[time.Time]) {
		t.Helper()
		if got, err := d.AccountedUntil(t.Context(), symbol); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", symbol, got, err, want)
		}
	}
	check("BTCUSDT", market.Optional[time.Time]{})
	ticks := sample("BTCUSDT", newYear, 10)
	writeTicks(t, d, ticks)
	check("BTCUSDT", market.Some(ticks[9].SampledAt.Add(time.Microsecond)))
	check("ETHUSDT", market.Optional[time.Time]{})

	gap := streamGap("BTCUSDT", newYear.Add(50*time.Second), 3, live.Silent)
	writeStreamGap(t, d, streamGap("BTCUSDT", newYear.Add(-time.Hour), 5, live.NotRunning))
	check("BTCUSDT", market.Some(ticks[9].SampledAt.Add(time.Microsecond)))
	writeStreamGap(t, d, gap)
	check("BTCUSDT", market.Some(gap.End))
	writeStreamGap(t, d, streamGap("ETHUSDT", newYear, 3, live.Silent))
	check("ETHUSDT", market.Some(newYear.Add(15*time.Second)))

	writeTicks(t, d, sample("BTCUSDT", gap.End, 1))
	check("BTCUSDT", market.Some(gap.End.Add(time.Microsecond)))
}
