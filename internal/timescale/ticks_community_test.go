package timescale_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

const tickMinutesSQL = `SELECT r::text FROM ticks_1m AS r ORDER BY symbol, open_time`

// tickMinutes computes what ticks_1m should hold.
func tickMinutes(t *testing.T, d *timescale.Database) []string {
	t.Helper()
	return ask[string](t, d, `
		SELECT (symbol, time_bucket('1 minute', sampled_at), first(close, sampled_at), max(close), min(close), last(close, sampled_at), count(*))::text
		FROM ticks GROUP BY symbol, time_bucket('1 minute', sampled_at) ORDER BY symbol, time_bucket('1 minute', sampled_at)`)
}

func testTickRollUp(t *testing.T, d *timescale.Database) {
	apache := timescaletest.Open(t)
	check := func(when string, complete int) {
		t.Helper()
		got := ask[string](t, d, tickMinutesSQL)
		if want := tickMinutes(t, d); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %d minutes %v, want %d %v", when, len(got), got, len(want), want)
		}
		stored := materialized[int64](t, d, "ticks_1m", `SELECT count(*) FROM ticks_1m`)[0]
		if int(stored) != complete {
			t.Errorf("%s: %d minutes are materialized, want %d", when, stored, complete)
		}
	}
	ticks := sample("BTCUSDT", newYear, 12*30)
	late, others := ticks[48:60], sample("ETHUSDT", newYear.Add(time.Hour), 100)
	writeTicks(t, apache, ticks[:18])
	writeTicks(t, d, ticks[:18])
	check("a minute and a half", 1)

	// A process was killed after it had stored the next ones, before the refresh.
	for _, database := range []*timescale.Database{apache, d} {
		execute(t, database, `
			INSERT INTO ticks SELECT symbol, interval, sampled_at + INTERVAL '90 seconds', open_time, open, high, low, close, volume,
				quote_volume, trades, taker_buy_volume, taker_buy_quote_volume, first_trade_id, last_trade_id, exchange_time, received_at
			FROM ticks`)
	}
	check("by a process that was killed", 1)
	if said := writeWithoutRefresh(t, d, ticks[60:96]); !strings.Contains(said, "ticks_1m") || !strings.Contains(said, "level=WARN") {
		t.Errorf("of a refresh that failed is logged %q", said)
	}
	check("with a refresh that failed", 1)
	writeTicks(t, d, ticks[96:])
	check("after both", 27)
	writeTicks(t, d, late)
	check("late ones", 28)
	writeTicks(t, d, others)
	check("of another symbol", 29+8)

	writeTicks(t, apache, slices.Concat(late, ticks[60:], others))
	columns := `SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_name = 'ticks_1m' ORDER BY ordinal_position`
	for _, query := range []string{tickMinutesSQL, columns, `SELECT s::text FROM stream_crypto_data AS s`, `SELECT c::text FROM stream_coverage AS c ORDER BY symbol`} {
		if a, b := ask[string](t, d, query), ask[string](t, apache, query); len(a) == 0 || !slices.Equal(a, b) {
			t.Errorf("%s: %d rows, on Apache %d, or other ones", query, len(a), len(b))
		}
	}
	testTicksInColumnstore(t, d, len(storedTicks(t, apache)))
}

// writeWithoutRefresh stores ticks while ticks_1m cannot be brought up to date,
// and returns what is logged.
func writeWithoutRefresh(t *testing.T, d *timescale.Database, ticks []market.Tick) string {
	t.Helper()
	var said strings.Builder
	usual := slog.Default()
	defer slog.SetDefault(usual)
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, nil)))
	execute(t, d, `ALTER MATERIALIZED VIEW ticks_1m RENAME TO ticks_1m_away`)
	defer execute(t, d, `ALTER MATERIALIZED VIEW ticks_1m_away RENAME TO ticks_1m`)
	writeTicks(t, d, ticks)
	return said.String()
}

// testTicksInColumnstore packs what is stored, writes it again, and drops it.
func testTicksInColumnstore(t *testing.T, d *timescale.Database, count int) {
	t.Helper()
	if n := ask[int64](t, d, `SELECT count(*) FROM timescaledb_information.jobs WHERE hypertable_name = 'ticks' AND proc_name LIKE '%compression%'`)[0]; n != 1 {
		t.Errorf("%d policies move ticks to the columnstore", n)
	}
	before := storedTicks(t, d)
	minutes := ask[string](t, d, tickMinutesSQL)
	for _, chunk := range ask[string](t, d, `SELECT show_chunks('ticks')::text`) {
		execute(t, d, `CALL convert_to_columnstore($1::text::regclass, if_not_columnstore => true)`, chunk)
	}
	writeTicks(t, d, before)
	if after := storedTicks(t, d); len(after) != count || !slices.Equal(after, before) {
		t.Errorf("%d ticks are in the columnstore, want %d, or other values", len(after), count)
	}
	// Ticks that are dropped live on as minutes.
	writeTicks(t, d, sample("BTCUSDT", newYear.AddDate(0, 1, 0), 2))
	execute(t, d, `SELECT drop_chunks('ticks', $1::timestamptz)`, newYear.AddDate(0, 0, 20))
	writeTicks(t, d, sample("BTCUSDT", newYear.AddDate(0, 1, 1), 2))
	if n := len(storedTicks(t, d)); n != 4 {
		t.Fatalf("%d ticks are left", n)
	}
	after := ask[string](t, d, `SELECT r::text FROM ticks_1m AS r WHERE open_time < $1 ORDER BY symbol, open_time`, newYear.AddDate(0, 0, 1))
	if !slices.Equal(after, minutes) {
		t.Errorf("of dropped ticks %d minutes are left, want %d, or other ones", len(after), len(minutes))
	}
}
