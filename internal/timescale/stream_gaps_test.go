package timescale_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
	"github.com/cryptoboat/cryptoboat/migrations"
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
	if want := []string{`(BTCUSDT,"2024-01-01 00:00:50+00","2024-01-01 00:01:05+00",3,disconnected,0)`}; !slices.Equal(replaced, want) {
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

	// Whatever was dropped for its age had been stored.
	execute(t, d, `
		INSERT INTO dropped_ticks (symbol, samples, first_sample, last_sample, late, dropped_until)
		VALUES ('ETHUSDT', 2, $1, $2, 0, $3), ('SOLUSDT', 0, NULL, NULL, 5, $3)`,
		newYear, newYear.Add(time.Minute), newYear.Add(time.Hour))
	check("ETHUSDT", market.Some(newYear.Add(time.Minute+time.Microsecond)))
	check("SOLUSDT", market.Optional[time.Time]{})
	check("BTCUSDT", market.Some(gap.End.Add(time.Microsecond)))
}

// Two processes follow the market, and what each stores may come in any order.
func TestAPlaceIsMissingIfNoProcessHasIt(t *testing.T) {
	at := func(place int) time.Time { return newYear.Add(time.Duration(place) * 5 * time.Second) }
	fine := sample("BTCUSDT", at(40), 50) // one a second, of which 10 fall on the grid of the others
	for k := range fine {
		fine[k].SampledAt = at(40).Add(time.Duration(k) * time.Second)
	}
	type write struct {
		what string
		do   func(*testing.T, *timescale.Database)
	}
	gap := func(start, end int, reason live.GapReason) write {
		return write{string(reason), func(t *testing.T, d *timescale.Database) {
			writeStreamGap(t, d, streamGap("BTCUSDT", at(start), end-start, reason))
		}}
	}
	ticks := func(ticks []market.Tick) write {
		return write{"ticks", func(t *testing.T, d *timescale.Database) { writeTicks(t, d, ticks) }}
	}
	writes := []write{
		// One has [0, 10) and [60, 70), the other [5, 20) and [30, 35), and [40, 50)
		// more finely.
		ticks(sample("BTCUSDT", at(0), 10)),
		gap(10, 60, live.Disconnected),
		ticks(sample("BTCUSDT", at(60), 10)),
		gap(0, 5, live.NotRunning),
		ticks(sample("BTCUSDT", at(5), 15)),
		gap(20, 30, live.Silent), // within that of the first
		ticks(sample("BTCUSDT", at(30), 5)),
		ticks(fine),
		gap(50, 65, live.DatabaseAway), // beyond it, where the first has samples again
		// Of another symbol, which is no concern of the first's.
		{"a tick of ETHUSDT", func(t *testing.T, d *timescale.Database) { writeTicks(t, d, sample("ETHUSDT", at(55), 1)) }},
	}
	// Of the 50 places of [10, 60), the other has 10 + 5 + 10.
	want := []string{
		`(BTCUSDT,"2024-01-01 00:00:00+00","2024-01-01 00:05:45+00",85,0,25,0,0)`,
		`(ETHUSDT,"2024-01-01 00:04:35+00","2024-01-01 00:04:35+00",1,0,0,0,0)`,
	}
	random := rand.New(rand.NewPCG(1, 2))
	d := timescaletest.Open(t)
	for range 20 {
		execute(t, d, `TRUNCATE ticks, stream_gaps`)
		var order []string
		for _, k := range random.Perm(len(writes)) {
			writes[k].do(t, d)
			order = append(order, writes[k].what)
		}
		if got := ask[string](t, d, coverageSQL); !slices.Equal(got, want) {
			t.Fatalf("written as %s: got %q, want %q", strings.Join(order, ", "), got, want)
		}
	}
}

func TestOfTwoStreamGapsOfOneStartTheLongerStays(t *testing.T) {
	d := timescaletest.Open(t)
	shorter, longer := streamGap("BTCUSDT", newYear, 3, live.Silent), streamGap("BTCUSDT", newYear, 7, live.Disconnected)
	for _, order := range [][]live.StreamGap{{shorter, longer}, {longer, shorter}} {
		execute(t, d, `TRUNCATE stream_gaps`)
		for _, gap := range order {
			writeStreamGap(t, d, gap)
		}
		got := ask[string](t, d, coverageSQL)
		if want := []string{`(BTCUSDT,,,0,0,7,0,0)`}; !slices.Equal(got, want) {
			t.Errorf("of %d and %d places: got %q, want %q", order[0].Missing, order[1].Missing, got, want)
		}
	}
}

// definitions tells all that a migration may change of views, functions and
// columns, and what is said of them.
func definitions(t *testing.T, d *timescale.Database) string {
	t.Helper()
	return strings.Join(ask[string](t, d, `
		SELECT concat_ws(' ', relname, attname, format_type(atttypid, atttypmod), col_description(c.oid, attnum), obj_description(c.oid, 'pg_class'))
		FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
		UNION ALL
		SELECT concat_ws(' ', viewname, definition) FROM pg_views WHERE schemaname = 'public'
		UNION ALL
		SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
		WHERE connamespace = 'public'::regnamespace
		UNION ALL
		SELECT concat_ws(' ', proname, prosrc, obj_description(p.oid, 'pg_proc')) FROM pg_proc AS p
		WHERE pronamespace = 'public'::regnamespace
		  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND classid = 'pg_proc'::regclass AND deptype = 'e')
		ORDER BY 1`), "\n")
}

// runMigrations executes the migrations of these numbers.
func runMigrations(t *testing.T, d *timescale.Database, from, to int, direction string) {
	t.Helper()
	for number := from; number <= to; number++ {
		names, err := fs.Glob(migrations.Files, fmt.Sprintf("%04d_*.%s.sql", number, direction))
		if err != nil || len(names) != 1 {
			t.Fatalf("migration %d: %v, %v", number, names, err)
		}
		text, err := fs.ReadFile(migrations.Files, names[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Pool().Exec(t.Context(), string(text), pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", names[0], err)
		}
	}
}

// Everything that the account of several processes changed is as before once it
// is undone, on either edition.
func TestTheAccountOfSeveralProcessesCanBeUndone(t *testing.T) {
	const number = 16
	for name, open := range map[string]func(*testing.T) *timescale.Database{
		"Apache": func(t *testing.T) *timescale.Database {
			d, err := timescale.Open(t.Context(), timescaletest.URL(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(d.Close)
			return d
		},
		"Community": community,
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			runMigrations(t, d, 1, number-1, "up")
			before := definitions(t, d)
			execute(t, d, `INSERT INTO stream_gaps VALUES ('BTCUSDT', $1, $2, 12, 'silent')`, newYear, newYear.Add(time.Minute))
			runMigrations(t, d, number, number, "up")
			with := definitions(t, d)
			if with == before {
				t.Fatal("nothing changed")
			}
			insertTicks(t, d, "BTCUSDT", newYear, 5)
			if got := ask[int64](t, d, `SELECT silent FROM stream_coverage`)[0]; got != 7 {
				t.Errorf("%d samples are missing, want 7", got)
			}
			runMigrations(t, d, number, number, "down")
			if after := definitions(t, d); after != before {
				t.Errorf("undone, the schema is\n%s\nit was\n%s", after, before)
			}
			runMigrations(t, d, number, number, "up")
			if again := definitions(t, d); again != with {
				t.Errorf("done again, the schema is\n%s\nit was\n%s", again, with)
			}
		})
	}
}

// Ten thousand gaps over a million ticks of two symbols. In a tenth of the gaps
// another process has sampled.
func BenchmarkStreamCoverage(b *testing.B) {
	for name, sampled := range map[string]bool{"one process": false, "two processes": true} {
		b.Run(name, func(b *testing.B) {
			d := timescaletest.Open(b)
			for _, statement := range []string{
				`INSERT INTO ticks
				SELECT symbol, '15m', at, candle_floor('15m', at), 100, 101, 99, 100, k, k, k, k, k, k, k, at, at
				FROM generate_series(0, 599999) AS k, LATERAL (SELECT TIMESTAMPTZ '2024-01-01Z' + k * INTERVAL '5 seconds' AS at),
				     unnest(ARRAY['BTCUSDT', 'ETHUSDT']) AS symbol
				WHERE k % 120 >= 20 OR ` + strconv.FormatBool(sampled) + ` AND k / 120 % 10 = 0`,
				`INSERT INTO stream_gaps
				SELECT symbol, at, at + INTERVAL '100 seconds', 20, 'disconnected'
				FROM generate_series(0, 599999, 120) AS k, LATERAL (SELECT TIMESTAMPTZ '2024-01-01Z' + k * INTERVAL '5 seconds' AS at),
				     unnest(ARRAY['BTCUSDT', 'ETHUSDT']) AS symbol`,
				`ANALYZE ticks, stream_gaps`,
			} {
				if _, err := d.Pool().Exec(b.Context(), statement); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				var missing int64
				if err := d.Pool().QueryRow(b.Context(), `SELECT sum(disconnected)::bigint FROM stream_coverage`).Scan(&missing); err != nil {
					b.Fatal(err)
				}
				if missing != 200_000 && !sampled || missing != 180_000 && sampled {
					b.Fatalf("%d samples are missing", missing)
				}
			}
		})
	}
}
