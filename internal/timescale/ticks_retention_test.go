package timescale_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

const (
	coverageSQL = `SELECT c::text FROM stream_coverage AS c ORDER BY symbol`
	droppedSQL  = `SELECT concat_ws(' ', symbol, samples, first_sample, last_sample, late, dropped_until) FROM dropped_ticks ORDER BY symbol`
)

// dropOldTicks does what TimescaleDB's scheduler does once a day.
func dropOldTicks(t *testing.T, d *timescale.Database) {
	t.Helper()
	jobs := ask[int32](t, d, `SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'drop_old_ticks'`)
	if len(jobs) != 1 {
		t.Fatalf("%d jobs drop old ticks", len(jobs))
	}
	execute(t, d, `CALL run_job($1)`, jobs[0])
}

// insertTicks stores ticks as a process does that is killed before its refresh.
func insertTicks(t *testing.T, d *timescale.Database, symbol string, start time.Time, count int) {
	t.Helper()
	execute(t, d, `
		INSERT INTO ticks (symbol, interval, sampled_at, open_time, open, high, low, close, volume, exchange_time, received_at)
		SELECT $1, '15m', at, candle_floor('15m', at), 100, 102, 98, 100 + sin(k), k, at, at
		FROM generate_series(0, $3::int - 1) AS k, LATERAL (SELECT $2::timestamptz + k * INTERVAL '5 seconds' AS at)`, symbol, start, count)
}

// What the Community edition drops is still told by minutes and account, just as
// on the Apache edition, which drops nothing.
func TestOldTicksLiveOnAsMinutes(t *testing.T) {
	d, apache := community(t), timescaletest.Open(t)
	if license := ask[string](t, apache, `SHOW timescaledb.license`)[0]; license != "apache" {
		t.Skipf("the database of the tests is %q, not the Apache edition: nothing to compare with", license)
	}
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	// compare checks how many ticks each symbol has left, and all that is told of
	// those that it has not.
	compare := func(when string, left ...string) {
		t.Helper()
		if got := ask[string](t, d, `SELECT symbol || ' ' || count(*) FROM ticks GROUP BY symbol ORDER BY symbol`); !slices.Equal(got, left) {
			t.Errorf("%s: of ticks are left %q, want %q", when, got, left)
		}
		for _, query := range []string{tickMinutesSQL, coverageSQL} {
			if a, b := ask[string](t, d, query), ask[string](t, apache, query); len(b) == 0 || !slices.Equal(a, b) {
				t.Errorf("%s: %s:\n%s\non Apache\n%s", when, query, strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
		}
	}
	both := func(do func(*timescale.Database)) {
		do(d)
		do(apache)
	}

	second := newYear.AddDate(0, 0, 3) // opens the second chunk
	// Chunks open on 2023-12-28, on 2024-01-04 and every seven days after.
	both(func(d *timescale.Database) {
		writeTicks(t, d, sample("BTCUSDT", newYear, 30))
		writeStreamGap(t, d, streamGap("BTCUSDT", newYear.Add(150*time.Second), 30, live.Silent))
		insertTicks(t, d, "BTCUSDT", newYear.Add(5*time.Minute), 43)
		// Another process has missed some of what is sampled here, and all of what is
		// missed here too.
		writeStreamGap(t, d, streamGap("BTCUSDT", newYear.Add(140*time.Second), 90, live.Disconnected))
		insertTicks(t, d, "ETHUSDT", newYear.Add(6*time.Minute), 7)
		// This one ends when half of the ticks in it are dropped.
		writeStreamGap(t, d, streamGap("BTCUSDT", second.Add(-2*time.Minute), 60, live.NotRunning))
	})
	dropOldTicks(t, d)
	compare("while the newest sample is old itself", "BTCUSDT 73", "ETHUSDT 7")

	// A process that samples again after three months is killed at once.
	both(func(d *timescale.Database) {
		insertTicks(t, d, "BTCUSDT", second.Add(-time.Minute), 25)
		insertTicks(t, d, "BTCUSDT", second.AddDate(0, 0, 90).Add(-time.Minute), 12)
	})
	dropOldTicks(t, d)
	compare("five seconds before the first chunk is old", "BTCUSDT 110", "ETHUSDT 7")
	both(func(d *timescale.Database) { insertTicks(t, d, "BTCUSDT", second.AddDate(0, 0, 90), 1) })
	dropOldTicks(t, d)
	compare("as soon as the first chunk is old", "BTCUSDT 26")
	if got, err := d.AccountedUntil(t.Context(), "ETHUSDT"); err != nil || got != market.Some(newYear.Add(6*time.Minute+30*time.Second+time.Microsecond)) {
		t.Errorf("with all ticks dropped, ETHUSDT is accounted for until %v, %v", got, err)
	}
	dropOldTicks(t, d)
	compare("with nothing more to drop", "BTCUSDT 26")
	both(func(d *timescale.Database) { writeTicks(t, d, sample("BTCUSDT", second.AddDate(0, 0, 91), 30)) })
	compare("after the next write", "BTCUSDT 56")

	// Late ones, at places that were sampled and at others, of no known symbol too.
	for _, symbol := range []string{"BTCUSDT", "SOLUSDT"} {
		insertTicks(t, d, symbol, newYear.Add(time.Second), 5)
		insertTicks(t, d, symbol, newYear.Add(-time.Hour), 5)
	}
	both(func(d *timescale.Database) { writeTicks(t, d, sample("BTCUSDT", second.AddDate(0, 0, 92), 30)) })
	writeTicks(t, d, sample("BTCUSDT", newYear, 2))
	compare("after late writes", "BTCUSDT 98", "SOLUSDT 10")
	dropOldTicks(t, d)
	compare("without the late ones", "BTCUSDT 86")

	// A chunk of the columnstore.
	execute(t, d, `CALL convert_to_columnstore($1::text::regclass)`, ask[string](t, d, `SELECT show_chunks('ticks')::text LIMIT 1`)[0])
	both(func(d *timescale.Database) { writeTicks(t, d, sample("BTCUSDT", second.AddDate(0, 0, 97), 1)) })
	dropOldTicks(t, d)
	compare("with the second chunk old", "BTCUSDT 74")
	want := []string{
		"BTCUSDT 98 2024-01-01 00:00:00+00 2024-01-04 00:01:00+00 12 2024-01-11 00:00:00+00",
		"ETHUSDT 7 2024-01-01 00:06:00+00 2024-01-01 00:06:30+00 0 2024-01-04 00:00:00+00",
		"SOLUSDT 0 10 2024-01-04 00:00:00+00",
	}
	if got := ask[string](t, d, droppedSQL); !slices.Equal(got, want) {
		t.Errorf("the account of dropped ticks is %q, want %q", got, want)
	}

	if got := ask[string](t, apache, droppedSQL); len(got) > 0 {
		t.Errorf("the Apache edition says that it dropped %q", got)
	}
	if n := ask[int64](t, apache, `SELECT count(*) FROM pg_proc WHERE proname = 'drop_old_ticks'`)[0]; n > 0 {
		t.Error("the Apache edition has a procedure that drops ticks")
	}
}

// A clock of the exchange that runs wild must not cost any ticks.
func TestASampleOfTheFutureMakesNoOtherOld(t *testing.T) {
	d := community(t)
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	insertTicks(t, d, "BTCUSDT", now.AddDate(0, 0, -80), 10)
	insertTicks(t, d, "BTCUSDT", now.AddDate(1, 0, 0), 1)
	dropOldTicks(t, d)
	if n := len(storedTicks(t, d)); n != 11 {
		t.Errorf("%d ticks are left", n)
	}
	insertTicks(t, d, "BTCUSDT", now.AddDate(0, 0, -98), 10)
	dropOldTicks(t, d)
	if n := len(storedTicks(t, d)); n != 11 {
		t.Errorf("%d ticks are left after an old one, which shows that the job works", n)
	}
}
