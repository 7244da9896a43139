package timescale_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/backup"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// someOfEverything fills every table that is backed up.
func someOfEverything(t *testing.T, d *timescale.Database) {
	t.Helper()
	for _, series := range []market.Series{btc15m, {Symbol: "ETHUSDT", Interval: market.Minute1}} {
		insert(t, d, series, newYear, 300)
		execute(t, d, `UPDATE candles SET close = 'NaN', volume = 0.1 + 0.2, quote_volume = 1e-300 WHERE open_time = $1`, newYear)
		refresh(t, d, series, market.TimeRange{Start: newYear, End: newYear.Add(300 * series.Interval.Length())})
	}
	model := someModel(t, d)
	if _, err := d.PromoteModel(t.Context(), model.ID, "because"); err != nil {
		t.Fatal(err)
	}
	writeForecasts(t, d, forecastAt(model, 0), forecastAt(model, time.Minute))
	score(t, d, 42_000, 42_050, 2)
	writeTicks(t, d, sample("BTCUSDT", newYear, 100))
	execute(t, d, `INSERT INTO users (username, email, role, password_hash) VALUES ('ann', E'tab\tline\nback\\slash é', 'admin', 'hash')`)
	execute(t, d, `
		INSERT INTO sessions (token_hash, session_id, username, address, created_at, used_at, expires_at) VALUES ('\x00ff', 's', 'ann', '', now(), now(), now())`)
	execute(t, d, `
		INSERT INTO tokens (token_hash, username, name, role, created_at, expires_at) VALUES ('\x0001ff5c0a', 'ann', 'n', 'viewer', now(), now());
		DELETE FROM tokens; -- whose number is never given again
		INSERT INTO tokens (token_hash, username, name, role, created_at, expires_at) VALUES ('\x0001ff5c0b', 'ann', 'n', 'viewer', now(), now());
		INSERT INTO audit_log (actor, address, action, subject, outcome, details) VALUES ('ann', '', 'log_in', 'ann', 'done', '{"a": [1, null]}');
		INSERT INTO settings (name, value, changed_by) VALUES ('symbols', 'BTCUSDT', 'ann');
		INSERT INTO market_origin (origin) VALUES ('simulated');
		INSERT INTO exchange_pauses (until_time, reason, host) VALUES (now(), 'banned', 'x');
		INSERT INTO listings VALUES ('BTCUSDT', '2017-08-17 04:00+00');
		INSERT INTO empty_ranges VALUES ('BTCUSDT', '15m', '2018-01-01', '2018-01-02', 3, now(), true);
		INSERT INTO stream_gaps (symbol, start_time, end_time, missing, reason) VALUES ('BTCUSDT', '2024-01-02', '2024-01-03', 17280, 'silent');
		INSERT INTO coins (coin_id, ticker, name, as_of, price) VALUES ('bitcoin', 'BTC', 'Bitcoin', now(), 1.1);
		INSERT INTO job_skips (job, symbol, scheduled_at, active_run) VALUES ('ingest', 'BTCUSDT', now(), 1);
		INSERT INTO job_processes (process_id) VALUES ('host');
		INSERT INTO river.river_queue (name, paused_at) VALUES ('default', now());
		INSERT INTO river.river_job (state, args, kind, errors, unique_key, unique_states, tags)
		VALUES ('available', '{"job": "ingest"}', 'run', ARRAY['{"error": "x"}'::jsonb], '\x01', B'10101010', '{a,"b c"}')`)
}

// rowsOf is what all tables and roll-ups hold, by name. The tables that a backup leaves
// out are left out.
func rowsOf(t *testing.T, d *timescale.Database) map[string]string {
	t.Helper()
	rows := map[string]string{}
	relations := ask[string](t, d, `
		SELECT CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname
		FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
		WHERE nspname IN ('public', 'river') AND relkind = 'r'
			AND relname NOT IN ('schema_migrations', 'sessions', 'job_processes', 'river_leader', 'river_notification')`)
	for _, relation := range append(append(relations, "ticks_1m"), timescale.RollUpRelations()...) {
		rows[relation] = ask[string](t, d, `SELECT count(*) || ' ' || coalesce(md5(string_agg(r::text, ';' ORDER BY r::text COLLATE "C")), '') FROM `+relation+` AS r`)[0]
	}
	for _, sequence := range ask[string](t, d, `SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE schemaname IN ('public', 'river') AND sequencename <> 'river_notification_id_seq'`) {
		rows[sequence] = ask[string](t, d, `SELECT last_value || ' ' || is_called FROM `+sequence)[0]
	}
	return rows
}

func differences(a, b map[string]string) string {
	var all []string
	for name := range a {
		if a[name] != b[name] {
			all = append(all, fmt.Sprintf("%s: %s became %s", name, a[name], b[name]))
		}
	}
	if len(a) != len(b) {
		all = append(all, fmt.Sprintf("%d relations became %d", len(a), len(b)))
	}
	return strings.Join(all, "; ")
}

func takeBackup(t *testing.T, d *timescale.Database) []byte {
	t.Helper()
	var file bytes.Buffer
	err := d.Snapshot(t.Context(), func(source backup.Source) error {
		_, err := backup.Write(t.Context(), source, &file, func(int64, int64) {})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func openEmpty(t *testing.T) *timescale.Database {
	t.Helper()
	d, err := timescale.Open(t.Context(), timescaletest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestABackupIsRestoredRowByRow(t *testing.T) {
	d := timescaletest.Open(t)
	someOfEverything(t, d)
	before := rowsOf(t, d)
	for name, rows := range before {
		// dropped_ticks is of the Community edition.
		if strings.HasPrefix(rows, "0 ") && name != "dropped_ticks" {
			t.Errorf("%s is empty: the test says nothing of it", name)
		}
	}
	file := takeBackup(t, d)
	for name, restored := range map[string]*timescale.Database{"without a schema": openEmpty(t), "migrated": timescaletest.Open(t)} {
		if _, err := backup.Restore(t.Context(), bytes.NewReader(file), restored); err != nil {
			t.Fatal(err)
		}
		if diff := differences(before, rowsOf(t, restored)); diff != "" {
			t.Errorf("a database %s: %s", name, diff)
		}
		if n := ask[int64](t, restored, `SELECT count(*) FROM sessions`)[0]; n != 0 {
			t.Errorf("%d sessions are restored", n)
		}
		if status, err := restored.SchemaStatus(t.Context()); err != nil || status.Check() != nil {
			t.Errorf("%+v, %v", status, err)
		}
	}
}

func TestABackupOfAnOlderSchemaIsBroughtUpToDate(t *testing.T) {
	d := timescaletest.Open(t)
	m, err := d.Migrator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const older = 23
	if err := m.Migrate(older); err != nil {
		t.Fatal(err)
	}
	insert(t, d, btc15m, newYear, 100)
	file, restored := takeBackup(t, d), openEmpty(t)
	contents, err := backup.Restore(t.Context(), bytes.NewReader(file), restored)
	if err != nil || contents.Schema != older {
		t.Fatalf("%+v, %v", contents, err)
	}
	if status, err := restored.SchemaStatus(t.Context()); err != nil || status.Check() != nil {
		t.Errorf("%+v, %v", status, err)
	}
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := differences(rowsOf(t, d), rowsOf(t, restored)); diff != "" {
		t.Error(diff)
	}
	if err := openEmpty(t).Snapshot(t.Context(), nil); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("of a database without a schema: %v", err)
	}
}

// A snapshot is of one instant, whatever is written while it is copied.
func TestABackupIsOfOneInstant(t *testing.T) {
	d := timescaletest.Open(t)
	someOfEverything(t, d)
	before := rowsOf(t, d)
	var file bytes.Buffer
	err := d.Snapshot(t.Context(), func(source backup.Source) error {
		_, err := backup.Write(t.Context(), disturbed{source, d, t}, &file, func(int64, int64) {})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	restored := openEmpty(t)
	if _, err := backup.Restore(t.Context(), &file, restored); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, rowsOf(t, restored)); diff != "" {
		t.Error(diff)
	}
}

// disturbed changes the database before each table is copied.
type disturbed struct {
	backup.Source
	d *timescale.Database
	t *testing.T
}

func (s disturbed) CopyOut(ctx context.Context, table backup.Table, w io.Writer) (int64, error) {
	execute(s.t, s.d, `UPDATE candles SET volume = volume + 1`)
	execute(s.t, s.d, `INSERT INTO listings VALUES ($1, now())`, table.Name)
	return s.Source.CopyOut(ctx, table, w)
}

var errFillBroke = errors.New("the file broke off")

func TestARestoreIsWholeOrNothing(t *testing.T) {
	d := timescaletest.Open(t)
	someOfEverything(t, d)
	before, file := rowsOf(t, d), takeBackup(t, d)
	restored := openEmpty(t)
	var seen backup.Contents
	var tables int
	for stop := range 18 {
		_, err := backup.Restore(t.Context(), bytes.NewReader(file), breaking{restored, stop, &seen})
		if !errors.Is(err, errFillBroke) {
			t.Fatalf("broken off at table %d: %v", stop, err)
		}
		tables = len(seen.Tables)
		for _, table := range seen.Tables {
			if n := ask[int64](t, restored, `SELECT count(*) FROM `+table.Name)[0]; n != 0 {
				t.Fatalf("broken off at table %d: %s has %d rows", stop, table.Name, n)
			}
		}
	}
	if tables < 18 {
		t.Errorf("there are %d tables", tables)
	}
	if _, err := backup.Restore(t.Context(), bytes.NewReader(file), restored); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, rowsOf(t, restored)); diff != "" {
		t.Error(diff)
	}
}

// breaking fails when so many tables are loaded.
type breaking struct {
	backup.Target
	stop int
	seen *backup.Contents
}

func (b breaking) Restore(ctx context.Context, contents backup.Contents, fill func(backup.Loader) error) error {
	*b.seen = contents
	return b.Target.Restore(ctx, contents, func(load backup.Loader) error {
		loaded := 0
		return fill(func(table backup.Table, r io.Reader) (int64, error) {
			if loaded++; loaded > b.stop {
				return 0, errFillBroke
			}
			return load(table, r)
		})
	})
}

func TestARestoreIsRefusedWhereItDoesNotFit(t *testing.T) {
	d := timescaletest.Open(t)
	insert(t, d, btc15m, newYear, 10)
	file := takeBackup(t, d)
	refused := func(name string, target *timescale.Database, change func(*backup.Contents), code market.Code, says string) {
		t.Helper()
		_, err := backup.Restore(t.Context(), bytes.NewReader(file), changed{target, change})
		if market.ErrorCode(err) != code || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	as := func(*backup.Contents) {}
	refused("a database with rows", d, as, market.Conflict, "is not empty, table candles has rows: restore into a new database")
	empty := openEmpty(t)
	refused("a backup of the future", empty, func(c *backup.Contents) { c.Schema = 9999 }, market.Unavailable, "use a newer cryptoboat")
	refused("one with minutes of dropped ticks", empty, func(c *backup.Contents) {
		c.Tables = append(c.Tables, backup.Table{Name: "ticks_1m", Rows: 7})
	}, market.Conflict, "only TimescaleDB's Community edition keeps")
	refused("one that names another table", empty, func(c *backup.Contents) { c.Tables[0].Name = "pg_authid" }, market.Invalid, "a table pg_authid (")
	refused("one that names another column", empty, func(c *backup.Contents) { c.Tables[0].Columns[0] = "x" }, market.Invalid, "which the schema does not have so")
	refused("one that names another sequence", empty, func(c *backup.Contents) { c.Sequences[0].Name = "x" }, market.Invalid, "a sequence x")
	refused("one of an older schema", empty, func(c *backup.Contents) { c.Schema = 3 }, market.Conflict, "the backup is of schema 3, the database has schema")
}

// changed restores a backup whose contents say something else.
type changed struct {
	backup.Target
	change func(*backup.Contents)
}

func (c changed) Restore(ctx context.Context, contents backup.Contents, fill func(backup.Loader) error) error {
	c.change(&contents)
	return c.Target.Restore(ctx, contents, fill)
}
