package timescale_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// The database knows the calendar as the domain does, whatever the time zone of
// the session.
func TestTheDatabaseFloorsAsTheDomain(t *testing.T) {
	d := timescaletest.Open(t)
	testFloors(t, d)
}

func testFloors(t *testing.T, d *timescale.Database) {
	connection, err := d.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Release()
	if _, err := connection.Exec(t.Context(), `SET timezone = 'America/New_York'`); err != nil {
		t.Fatal(err)
	}
	defer connection.Exec(t.Context(), `SET timezone = 'UTC'`)
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	for _, interval := range market.Intervals() {
		instants := []time.Time{time.Unix(0, 0).UTC(), time.Unix(-1, 0).UTC(), history.FirstListing, newYear, newYear.Add(-time.Microsecond)}
		for range 500 {
			instants = append(instants, time.UnixMicro(random.Int64N(140*365*86400*1e6)-10*365*86400*1e6).UTC())
		}
		rows, _ := connection.Query(t.Context(), `
			SELECT instant, place, candle_next($1, place), candle_places($1, place, candle_floor($1, instant + INTERVAL '9600 hours'))
			FROM (SELECT instant, candle_floor($1, instant) AS place FROM unnest($2::timestamptz[]) AS instant) AS places`,
			interval, instants)
		var instant, place, next time.Time
		var places int
		count := 0
		_, err := pgx.ForEachRow(rows, []any{&instant, &place, &next, &places}, func() error {
			count++
			want := interval.Floor(instant)
			if !place.Equal(want) || !next.Equal(interval.Next(want)) {
				return fmt.Errorf("%s lies in [%s, %s), want it from %s on", instant, place, next, want)
			}
			if interval.Length() >= time.Hour {
				n := 0
				for p := want; p.Before(interval.Floor(instant.Add(9600 * time.Hour))); p = interval.Next(p) {
					n++
				}
				if places != n {
					return fmt.Errorf("%d places in the 9600 hours from %s, want %d", places, place, n)
				}
			}
			return nil
		})
		if err != nil || count != len(instants) {
			t.Errorf("%s: %v, after %d of %d", interval, err, count, len(instants))
		}
	}
}

// known is what gaps are told from.
type known struct {
	opens  []time.Time
	listed market.Optional[time.Time]
	empty  []history.EmptyRange
}

// gaps walks from place to place, which is slow but plain.
func (k known) gaps(interval market.Interval, window market.TimeRange) []history.Gap {
	var gaps []history.Gap
	for place := interval.Floor(window.Start); !interval.Next(place).After(window.End); place = interval.Next(place) {
		if place.Before(window.Start) {
			continue
		}
		gap := history.Gap{TimeRange: market.TimeRange{Start: place, End: interval.Next(place)}, Missing: 1, Cause: history.Pending}
		onGrid, offGrid := false, false
		for _, open := range k.opens {
			onGrid = onGrid || open.Equal(place)
			offGrid = offGrid || open.After(place) && open.Before(gap.End)
		}
		for _, e := range k.empty {
			if e.Contains(place) {
				gap.Asked, gap.LastAsked = e.Asked, market.Some(e.LastAsked)
				if e.Confirmed() {
					gap.Cause = history.ConfirmedEmpty
				}
			}
		}
		switch {
		case onGrid:
			continue
		case k.listed.Valid && place.Before(interval.Floor(k.listed.Value)):
			gap = history.Gap{TimeRange: gap.TimeRange, Missing: 1, Cause: history.NotListed}
		case offGrid:
			gap = history.Gap{TimeRange: gap.TimeRange, Missing: 1, Cause: history.OffGrid}
		}
		if n := len(gaps); n > 0 {
			last := gaps[n-1]
			last.TimeRange, last.Missing = gap.TimeRange, 1
			if gaps[n-1].End.Equal(gap.Start) && last == gap {
				gaps[n-1].End = gap.End
				gaps[n-1].Missing++
				continue
			}
		}
		gaps = append(gaps, gap)
	}
	return gaps
}

func drawKnown(t *rapid.T, interval market.Interval, base time.Time) known {
	const places = 24
	at := func(k int) time.Time {
		place := interval.Floor(base)
		for range k {
			place = interval.Next(place)
		}
		return place
	}
	var k known
	for place := range places {
		switch rapid.SampledFrom([]string{"on grid", "on grid", "missing", "missing", "off grid", "both"}).Draw(t, "candle") {
		case "on grid":
			k.opens = append(k.opens, at(place))
		case "both":
			k.opens = append(k.opens, at(place), at(place).Add(interval.Length()/3))
		case "off grid":
			k.opens = append(k.opens, at(place).Add(interval.Length()/2))
		}
	}
	if rapid.Bool().Draw(t, "listing is known") {
		k.listed = market.Some(at(rapid.IntRange(0, places).Draw(t, "listed")).Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "later")) * time.Second))
	}
	for place := 0; place < places; {
		end := place + rapid.IntRange(1, 6).Draw(t, "places")
		if rapid.Bool().Draw(t, "was empty") {
			k.empty = append(k.empty, history.EmptyRange{
				TimeRange: market.TimeRange{Start: at(place), End: at(end)},
				Asked:     rapid.IntRange(1, 4).Draw(t, "asked"),
				LastAsked: newYear.AddDate(0, 0, rapid.IntRange(0, 1).Draw(t, "last asked")),
			})
		}
		place = end
	}
	return k
}

func TestGapsAreAsTheyAreDefined(t *testing.T) {
	d := timescaletest.Open(t)
	rapid.Check(t, func(r *rapid.T) {
		interval := rapid.SampledFrom(market.Intervals()).Draw(r, "interval")
		series := market.Series{Symbol: "BTCUSDT", Interval: interval}
		// Where a chunk ends, a leap year begins, the grid of three days meets a month.
		base := rapid.SampledFrom([]time.Time{newYear, history.FirstListing, time.Date(2020, time.February, 27, 23, 50, 0, 0, time.UTC)}).Draw(r, "base")
		k := drawKnown(r, interval, base)
		store(t, d, series, k)

		instant := func(name string) time.Time {
			place := rapid.IntRange(-4, 30).Draw(r, name)
			return interval.Floor(base).Add(time.Duration(place)*interval.Length() + time.Duration(rapid.IntRange(-1, 1).Draw(r, "off the grid"))*time.Second)
		}
		window := market.TimeRange{Start: instant("start"), End: instant("end")}
		got, err := d.Gaps(t.Context(), series, window)
		if err != nil {
			r.Fatal(err)
		}
		want := k.gaps(interval, window)
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			r.Fatalf("the gaps of %s in %v are\n%+v, want\n%+v", series, window, got, want)
		}
	})
}

// store makes what is known of a series all that the database holds of it.
func store(t *testing.T, d *timescale.Database, series market.Series, k known) {
	t.Helper()
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM candles`)
	batch.Queue(`DELETE FROM empty_ranges`)
	batch.Queue(`DELETE FROM listings`)
	batch.Queue(`INSERT INTO candles SELECT $1, $2, open_time, 1, 1, 1, 1, 0 FROM unnest($3::timestamptz[]) AS open_time`,
		series.Symbol, series.Interval, k.opens)
	for _, e := range k.empty {
		batch.Queue(`INSERT INTO empty_ranges VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			series.Symbol, series.Interval, e.Start, e.End, e.Asked, e.LastAsked, e.Confirmed())
	}
	if k.listed.Valid {
		batch.Queue(`INSERT INTO listings VALUES ($1, $2)`, series.Symbol, k.listed.Value)
	}
	if err := d.Pool().SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNothingStoredIsOneGap(t *testing.T) {
	d := timescaletest.Open(t)
	gaps, err := d.Gaps(t.Context(), btc15m, days(0, 1))
	want := []history.Gap{{TimeRange: days(0, 1), Missing: 96, Cause: history.Pending}}
	if err != nil || !reflect.DeepEqual(gaps, want) {
		t.Errorf("%+v, %v; want %+v", gaps, err, want)
	}
	_, err = d.Gaps(t.Context(), market.Series{Symbol: "BTCUSDT", Interval: "1H"}, days(0, 1))
	if err == nil || !strings.Contains(err.Error(), "1H is unknown") {
		t.Errorf("of an interval that is none: %v", err)
	}
}

// Gaps must be read from the key, and from the chunks of the window alone.
func TestGapsAreReadFromTheKey(t *testing.T) {
	d := timescaletest.Open(t)
	execute(t, d, `
		INSERT INTO candles SELECT 'BTCUSDT', '15m', open_time, 1, 1, 1, 1, 0
		FROM generate_series($1::timestamptz, $2, INTERVAL '15 minutes') AS open_time`, days(0, 0).Start, days(1000, 0).Start)
	config, err := pgx.ParseConfig(d.Pool().Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	var plan string
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		if strings.Contains(notice.Message, "WITH opened") && !strings.Contains(notice.Message, "PL/pgSQL") {
			plan += notice.Message
		}
	}
	connection, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	for _, statement := range []string{
		`LOAD 'auto_explain'`, `SET auto_explain.log_min_duration = 0`, `SET auto_explain.log_nested_statements = on`,
		`SET client_min_messages = log`,
	} {
		if _, err := connection.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	// More often than a plan is made for the values at hand.
	for range 7 {
		plan = ""
		if _, err := connection.Exec(t.Context(), `SELECT candle_gaps($1, $2, $3, $4)`,
			btc15m.Symbol, btc15m.Interval, days(500, 0).Start, days(520, 0).Start); err != nil {
			t.Fatal(err)
		}
	}
	_, plan, found := strings.Cut(plan, "ORDER BY 1") // the end of the query's text
	if chunks := strings.Count(plan, "_candles_pkey"); !found || chunks == 0 || chunks > 4 || strings.Contains(plan, "Seq Scan on _hyper") {
		t.Errorf("%d chunks are read, by the plan\n%s", chunks, plan)
	}
}
