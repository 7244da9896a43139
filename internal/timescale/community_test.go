package timescale_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// outOfReach is what scripts/community exits with where npm cannot be reached.
const outOfReach = 69

// community starts TimescaleDB's Community edition, a WebAssembly build in
// memory that serves one connection at a time.
func community(t *testing.T) *timescale.Database {
	t.Helper()
	database, err := timescale.Open(t.Context(), startCommunity(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	return database
}

// startCommunity starts the server and returns its address; with the argument
// "plain" it has no TimescaleDB.
func startCommunity(t *testing.T, arguments ...string) string {
	t.Helper()
	install := exec.CommandContext(t.Context(), "../../scripts/community", "install")
	install.Stderr = os.Stderr
	folder, err := install.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == outOfReach {
		t.Skip("the Community edition cannot be installed: npm is out of reach, see above")
	}
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("node", append([]string{"server.mjs"}, arguments...)...)
	server.Dir = strings.TrimSpace(string(folder))
	server.Stderr = os.Stderr
	lifeline, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lifeline.Close()
		if err := server.Wait(); err != nil {
			t.Error(err)
		}
	})
	var ready struct {
		Port int `json:"port"`
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil || err == io.EOF {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		t.Fatalf("the server said %q: %v", line, err)
	}
	return fmt.Sprintf("postgres://postgres:password@127.0.0.1:%d/postgres?sslmode=disable&pool_max_conns=1", ready.Port)
}

func TestAServerWithoutTimescaleDBIsRefused(t *testing.T) {
	_, err := timescale.Open(t.Context(), startCommunity(t, "plain"))
	if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "has no TimescaleDB. Get one with") {
		t.Errorf("got %v", err)
	}
}

func execute(t *testing.T, d *timescale.Database, sql string, arguments ...any) {
	t.Helper()
	if _, err := d.Pool().Exec(t.Context(), sql, arguments...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func ask[T any](t *testing.T, d *timescale.Database, sql string, arguments ...any) []T {
	t.Helper()
	rows, err := d.Pool().Query(t.Context(), sql, arguments...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	answers, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answers
}

// insert makes count candles of the series with prices that no rounding leaves
// alone. Some lack what a plain source does not publish, some are missing.
func insert(t *testing.T, d *timescale.Database, series market.Series, start time.Time, count int) {
	t.Helper()
	execute(t, d, `
		INSERT INTO candles
		SELECT $1, $2, $3::timestamptz + k * $4::text::interval,
		       100 + sin(k), 101.5 + sin(k), 98.25 + sin(k), 100 + sin(k + 1), 0.1 + k % 7,
		       CASE WHEN k % 50 < 45 THEN 33.3 * (k % 11) END, CASE WHEN k % 50 < 45 THEN k % 13 END, 0.07, 7.7
		FROM generate_series(0, $5::int - 1) AS k WHERE k % 17 <> 3`,
		series.Symbol, series.Interval, start, fmt.Sprintf("%d seconds", int(series.Interval.Length().Seconds())), count)
}

func days(from, to int) market.TimeRange {
	return market.TimeRange{Start: newYear.AddDate(0, 0, from), End: newYear.AddDate(0, 0, to)}
}

func TestCommunityEdition(t *testing.T) {
	d := community(t)
	for range 2 {
		if err := d.MigrateUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if license := ask[string](t, d, `SHOW timescaledb.license`)[0]; license != "timescale" {
			t.Fatalf("this is not the Community edition but %q", license)
		}
		aggregates := ask[string](t, d, `SELECT view_name::text FROM timescaledb_information.continuous_aggregates ORDER BY view_name`)
		if got := strings.Join(aggregates, " "); got != "candles_15m candles_1d candles_1h candles_1mo candles_1w candles_4h ticks_1m" {
			t.Fatalf("the continuous aggregates are %s", got)
		}
		if err := d.MigrateDown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *timescale.Database)
	}{
		{"a refresh brings just the touched buckets up to date", testRefresh},
		{"the tail is real-time", testRealTimeTail},
		{"the rows are those of the Apache edition", testSameRows},
		{"the function candles gives the rows of the reader", testCandlesFunction},
		{"a reader reads the roll-ups", testReader},
		{"a refresh of what has not changed is cheap", testRefreshUnchanged},
		{"gaps are those of the Apache edition", testSameGaps},
		{"pages are stored over the columnstore", testPagesOverColumnstore},
		{"ticks are rolled up as they are written", testTickRollUp},
		{"old candles move to the columnstore and can be corrected there", testColumnstore},
	} {
		t.Run(test.name, func(t *testing.T) {
			execute(t, d, `DELETE FROM candles; DELETE FROM empty_ranges; DELETE FROM listings`)
			if err := d.RefreshRollUps(t.Context(), market.Series{Symbol: "X", Interval: market.Minute1}, days(-400, 400)); err != nil {
				t.Fatal(err)
			}
			test.run(t, d)
		})
	}
}

func refresh(t *testing.T, d *timescale.Database, series market.Series, touched market.TimeRange) {
	t.Helper()
	if err := d.RefreshRollUps(t.Context(), series, touched); err != nil {
		t.Fatal(err)
	}
}

// materialized reads what an aggregate has stored, without its real-time tail.
func materialized[T any](t *testing.T, d *timescale.Database, relation, sql string, arguments ...any) []T {
	t.Helper()
	execute(t, d, `ALTER MATERIALIZED VIEW `+relation+` SET (timescaledb.materialized_only = true)`)
	defer execute(t, d, `ALTER MATERIALIZED VIEW `+relation+` SET (timescaledb.materialized_only = false)`)
	return ask[T](t, d, sql, arguments...)
}

func testRefresh(t *testing.T, d *timescale.Database) {
	insert(t, d, btc15m, newYear, 40*96)
	for _, level := range []struct {
		relation string
		buckets  int64
	}{{"candles_15m", 40*96 - 40*96/17 - 1}, {"candles_1h", 40 * 24}, {"candles_4h", 40 * 6}, {"candles_1d", 40}, {"candles_1w", 6}, {"candles_1mo", 2}} {
		count := `SELECT count(*) FROM ` + level.relation + ` WHERE symbol = 'BTCUSDT'`
		if n := materialized[int64](t, d, level.relation, count)[0]; n != 0 {
			t.Errorf("%s holds %d buckets before any refresh", level.relation, n)
		}
	}
	refresh(t, d, btc15m, days(0, 40))
	for _, level := range []struct {
		relation string
		buckets  int64
	}{{"candles_1h", 40 * 24}, {"candles_4h", 40 * 6}, {"candles_1d", 40}, {"candles_1w", 6}, {"candles_1mo", 2}} {
		count := `SELECT count(*) FROM ` + level.relation + ` WHERE symbol = 'BTCUSDT'`
		if n := materialized[int64](t, d, level.relation, count)[0]; n != level.buckets {
			t.Errorf("%s holds %d buckets, want %d", level.relation, n, level.buckets)
		}
	}

	// Two days are corrected, the buckets of one are refreshed.
	execute(t, d, `UPDATE candles SET high = 500 WHERE open_time = $1 OR open_time = $2`, days(5, 5).Start, days(20, 20).Start)
	refresh(t, d, btc15m, market.TimeRange{Start: days(5, 5).Start, End: days(5, 5).Start.Add(15 * time.Minute)})
	for relation, width := range map[string]string{"candles_15m": "15 minutes", "candles_1h": "1 hour", "candles_4h": "4 hours", "candles_1d": "1 day", "candles_1w": "1 week"} {
		got := materialized[time.Time](t, d, relation, `SELECT open_time FROM `+relation+` WHERE high = 500`)
		want := ask[time.Time](t, d, `SELECT time_bucket($1::text::interval, $2::timestamptz)`, width, days(5, 5).Start)
		if len(got) != 1 || !got[0].Equal(want[0]) {
			t.Errorf("%s: the correction shows at %v, want just %v", relation, got, want)
		}
	}
	refresh(t, d, btc15m, days(20, 21))
	if got := ask[int64](t, d, `SELECT count(*) FROM candles_1d WHERE high = 500`)[0]; got != 2 {
		t.Errorf("%d days show their correction after the second refresh", got)
	}
}

func testRealTimeTail(t *testing.T, d *timescale.Database) {
	insert(t, d, btc15m, newYear, 10*96)
	refresh(t, d, btc15m, days(0, 10))
	// Well behind the newest bucket of any aggregate, where its tail begins.
	insert(t, d, btc15m, days(100, 100).Start, 2*96)
	for _, relation := range []string{"candles_15m", "candles_1h", "candles_4h", "candles_1d", "candles_1w", "candles_1mo"} {
		got := ask[int64](t, d, `SELECT sum(parts)::bigint FROM `+relation+` WHERE open_time >= $1`, days(90, 90).Start)[0]
		if want := ask[int64](t, d, `SELECT count(*) FROM candles WHERE open_time >= $1`, days(90, 90).Start)[0]; got != want {
			t.Errorf("%s shows %d of %d candles that came after its refresh", relation, got, want)
		}
	}
}

func testSameRows(t *testing.T, d *timescale.Database) {
	apache := timescaletest.Open(t)
	if license := ask[string](t, apache, `SHOW timescaledb.license`)[0]; license != "apache" {
		t.Skipf("the database of the tests is %q, not the Apache edition: nothing to compare with", license)
	}
	for _, database := range []*timescale.Database{d, apache} {
		for _, series := range []market.Series{
			{Symbol: "BTCUSDT", Interval: market.Minute1}, {Symbol: "BTCUSDT", Interval: market.Minute30},
			{Symbol: "ETHUSDT", Interval: market.Hour1}, {Symbol: "ETHUSDT", Interval: market.Day1}, btc15m,
		} {
			// Some eleven weeks of each, or a day of minutes, over the turn of a year.
			count := min(1500, int(80*24*time.Hour/series.Interval.Length()))
			start := newYear.Add(-time.Duration(count/2) * series.Interval.Length())
			insert(t, database, series, series.Interval.Floor(start), count)
			refresh(t, database, series, market.TimeRange{Start: start, End: start.Add(time.Duration(count) * series.Interval.Length())})
		}
	}
	total := 0
	for _, relation := range timescale.RollUpRelations() {
		columns := `SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position`
		if a, b := ask[string](t, d, columns, relation), ask[string](t, apache, columns, relation); strings.Join(a, ", ") != strings.Join(b, ", ") {
			t.Errorf("%s has the columns %v, on Apache %v", relation, a, b)
		}
		rows := `SELECT r::text FROM ` + relation + ` AS r ORDER BY symbol, source_interval, open_time`
		a, b := ask[string](t, d, rows), ask[string](t, apache, rows)
		total += len(a)
		if len(a) != len(b) || len(a) == 0 {
			t.Errorf("%s has %d rows, on Apache %d", relation, len(a), len(b))
			continue
		}
		for k := range a {
			if a[k] != b[k] {
				t.Errorf("%s: %s, on Apache %s", relation, a[k], b[k])
				break
			}
		}
	}
	t.Logf("compared %d rows of %d relations", total, len(timescale.RollUpRelations()))

	for _, interval := range []market.Interval{market.Minute15, market.Hour1, market.Day1, market.Week1, market.Month1} {
		series := market.Series{Symbol: "BTCUSDT", Interval: interval}
		a, errA := d.Candles(t.Context(), series, days(-365, 365), math.MaxInt32)
		b, errB := apache.Candles(t.Context(), series, days(-365, 365), math.MaxInt32)
		if errA != nil || errB != nil || fmt.Sprint(a) != fmt.Sprint(b) || len(a) == 0 {
			t.Errorf("%s reads as %d candles (%v), on Apache as %d (%v)", series, len(a), errA, len(b), errB)
		}
	}
}

// testRefreshUnchanged refreshes a long range again, as a run does that asks for
// what it has.
func testRefreshUnchanged(t *testing.T, d *timescale.Database) {
	const candles = 4 * 365 * 24
	hours := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	insert(t, d, hours, newYear, candles)
	touched := market.TimeRange{Start: newYear, End: newYear.Add(candles * time.Hour)}
	timed := func() time.Duration {
		start := time.Now()
		refresh(t, d, hours, touched)
		return time.Since(start)
	}
	// What a refresh rewrites has another version afterwards.
	versions := func() string {
		var all []string
		for _, relation := range ask[string](t, d, `
			SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
			FROM timescaledb_information.continuous_aggregates ORDER BY view_name`) {
			all = append(all, ask[string](t, d, `SELECT md5(coalesce(string_agg(c::text, ' ' ORDER BY c::text), '')) FROM (SELECT tableoid, ctid, xmin FROM `+relation+`) AS c`)[0])
		}
		return strings.Join(all, " ")
	}
	first := timed()
	before := versions()
	second := timed()
	if after := versions(); after != before {
		t.Error("a refresh rewrote what had not changed")
	}
	t.Logf("%d candles: the first refresh took %s, the second %s", candles, first.Round(time.Millisecond), second.Round(time.Millisecond))
	if second > first/4 {
		t.Errorf("the second refresh took %s, the first %s", second, first)
	}
	execute(t, d, `UPDATE candles SET high = 500 WHERE open_time = $1`, newYear)
	refresh(t, d, hours, touched)
	if versions() == before {
		t.Error("a refresh rewrote nothing after a change")
	}
}

func testSameGaps(t *testing.T, d *timescale.Database) {
	testFloors(t, d)
	apache := timescaletest.Open(t)
	minute := func(k int) time.Time { return newYear.Add(time.Duration(k) * time.Minute) }
	window := market.TimeRange{Start: newYear.AddDate(0, 0, -3), End: newYear.AddDate(0, 0, 30)}
	var gaps [2][]history.Gap
	for k, database := range []*timescale.Database{d, apache} {
		insert(t, database, btc15m, newYear, 20*96)
		execute(t, database, `UPDATE candles SET open_time = open_time + INTERVAL '1 minute' WHERE open_time = $1`, minute(15))
		if err := database.SetListed(t.Context(), "BTCUSDT", newYear.AddDate(0, 0, -1)); err != nil {
			t.Fatal(err)
		}
		for occasion := range 3 {
			writePage(t, database, btc15m, history.Page{
				Asked: market.TimeRange{Start: minute(45), End: minute(60)}, Asking: newYear.AddDate(0, 0, occasion),
			})
		}
		var err error
		if gaps[k], err = database.Gaps(t.Context(), btc15m, window); err != nil {
			t.Fatal(err)
		}
		if n := ask[int64](t, database, `SELECT pending FROM coverage`)[0]; n < 100 {
			t.Errorf("the view knows of %d pending candles", n)
		}
	}
	if len(gaps[0]) < 100 || !reflect.DeepEqual(gaps[0], gaps[1]) {
		t.Errorf("the gaps are %+v,\non Apache %+v", gaps[0], gaps[1])
	}
}

// testPagesOverColumnstore asks again for candles that have moved to the
// columnstore, some of which are new and some corrected.
func testPagesOverColumnstore(t *testing.T, d *timescale.Database) {
	candles := walk(market.Minute15, newYear, 5000)
	stored := slices.DeleteFunc(slices.Clone(candles), func(c market.Candle) bool { return c.OpenTime.Unix()/900%97 == 0 })
	write(t, d, btc15m, stored)
	for _, chunk := range ask[string](t, d, `SELECT show_chunks('candles')::text`) {
		execute(t, d, `CALL convert_to_columnstore($1::text::regclass, if_not_columnstore => true)`, chunk)
	}
	unpacked := func() (rows int64) {
		for _, chunk := range ask[string](t, d, `SELECT show_chunks('candles')::text`) {
			rows += ask[int64](t, d, `SELECT count(*) FROM ONLY `+chunk)[0]
		}
		return rows
	}
	for page := range slices.Chunk(stored, history.PageLimit) {
		if result := writePage(t, d, btc15m, pageOf(btc15m, page)); result.Unchanged != int64(len(page)) {
			t.Errorf("the same page: %+v", result)
		}
	}
	if rows := unpacked(); rows != 0 {
		t.Errorf("pages of what is stored unpacked %d candles", rows)
	}
	candles[100].High *= 2
	candles[101].Trades = market.Optional[int64]{}
	var total history.WriteResult
	for page := range slices.Chunk(candles, history.PageLimit) {
		result := writePage(t, d, btc15m, pageOf(btc15m, page))
		total.New += result.New
		total.Corrected += result.Corrected
		refresh(t, d, btc15m, result.Touched)
	}
	if unpacked() == 0 {
		t.Error("a correction unpacked nothing, so that the test above tells nothing")
	}
	if int(total.New) != len(candles)-len(stored) || total.Corrected != 1 {
		t.Errorf("in all %+v, want %d new and one corrected", total, len(candles)-len(stored))
	}
	candles[101].Trades = stored[slices.IndexFunc(stored, func(c market.Candle) bool { return c.OpenTime.Equal(candles[101].OpenTime) })].Trades
	if got, err := d.StoredCandles(t.Context(), btc15m, forever, 6000); err != nil || !slices.Equal(got, candles) {
		t.Errorf("%d candles are stored, %v; want %d", len(got), err, len(candles))
	}
	if gaps, err := d.Gaps(t.Context(), btc15m, pageOf(btc15m, candles).Asked); err != nil || len(gaps) != 0 {
		t.Errorf("gaps are left: %+v, %v", gaps, err)
	}
	// A page of news alone beside what is packed.
	more := walk(market.Minute15, candles[4999].OpenTime.Add(15*time.Minute), 1000)
	if result := writePage(t, d, btc15m, pageOf(btc15m, more)); result.New != 1000 {
		t.Errorf("new candles behind the columnstore: %+v", result)
	}
}

func testColumnstore(t *testing.T, d *timescale.Database) {
	settings := ask[string](t, d, `
		SELECT segmentby || ' / ' || orderby FROM timescaledb_information.hypertable_compression_settings
		WHERE hypertable = 'candles'::regclass`)
	if len(settings) != 1 || !strings.HasPrefix(settings[0], "symbol,interval / open_time") {
		t.Errorf("the columnstore's settings are %v", settings)
	}
	if n := ask[int64](t, d, `SELECT count(*) FROM timescaledb_information.jobs WHERE hypertable_name = 'candles' AND proc_name LIKE '%compression%'`)[0]; n != 1 {
		t.Errorf("%d policies move candles to the columnstore", n)
	}
	insert(t, d, btc15m, newYear, 20*96)
	refresh(t, d, btc15m, days(0, 20))
	before := ask[string](t, d, `SELECT c::text FROM candles AS c ORDER BY open_time`)
	for _, chunk := range ask[string](t, d, `SELECT show_chunks('candles')::text`) {
		execute(t, d, `CALL convert_to_columnstore($1::text::regclass, if_not_columnstore => true)`, chunk)
	}
	if n := ask[int64](t, d, `SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'candles' AND is_compressed`)[0]; n == 0 {
		t.Fatal("no chunk was moved to the columnstore")
	}
	if after := ask[string](t, d, `SELECT c::text FROM candles AS c ORDER BY open_time`); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Error("candles changed on their way to the columnstore")
	}
	// More candles than the columnstore unpacks in one go unless told to.
	minutes := market.Series{Symbol: "ETHUSDT", Interval: market.Minute1}
	many := walk(market.Minute1, newYear, 105_000)
	write(t, d, minutes, many)
	for _, chunk := range ask[string](t, d, `SELECT show_chunks('candles')::text`) {
		execute(t, d, `CALL convert_to_columnstore($1::text::regclass, recompress => true, if_not_columnstore => true)`, chunk)
	}
	if result := write(t, d, minutes, many); result.Unchanged != int64(len(many)) {
		t.Errorf("the same candles over the columnstore: %+v", result)
	}

	candles := read(t, d, btc15m, days(0, 1), 100)
	candles[0].High = 777
	if result := write(t, d, btc15m, candles); result.Corrected != 1 || result.New != 0 || int(result.Unchanged) != len(candles)-1 {
		t.Errorf("a correction in the columnstore: %+v", result)
	}
	if n := ask[int64](t, d, `SELECT count(*) FROM candles_1d WHERE high = 777`)[0]; n != 1 {
		t.Error("a correction in the columnstore does not show in the roll-up")
	}
}
