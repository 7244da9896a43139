package timescale_test

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// newReader makes a reader of a database, which goes with the test, and returns its
// name and its own address of the database.
func newReader(t *testing.T, d *timescale.Database, address string) (name, own string) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name = strings.Replace(strings.TrimPrefix(parsed.Path, "/"), "test", "reader", 1) // roles are the whole server's
	if err := d.CreateReader(t.Context(), name, "gannet-41"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.DropReader(context.Background(), name); err != nil && market.ErrorCode(err) != market.NotFound {
			t.Error(err)
		}
	})
	parsed.User = url.UserPassword(name, "gannet-41")
	return name, parsed.String()
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close(context.Background()) })
	return connection
}

func TestAReaderReadsTheMarketAndNothingElse(t *testing.T) {
	address := timescaletest.URL(t)
	d := timescaletest.OpenAt(t, address)
	insert(t, d, btc15m, newYear, 96)
	_, own := newReader(t, d, address)
	reader := connect(t, own)
	for _, relation := range timescale.ReadableRelations() {
		if _, err := reader.Exec(t.Context(), "SELECT * FROM "+relation); err != nil {
			t.Errorf("%s: %v", relation, err)
		}
	}
	var hours int
	if err := reader.QueryRow(t.Context(), `SELECT count(*) FROM candles('BTCUSDT', '1h', '-infinity', 'infinity')`).Scan(&hours); err != nil || hours != 24 {
		t.Errorf("%d hours, %v", hours, err)
	}

	refused := []string{
		`SELECT password_hash FROM users`, `SELECT token_hash FROM tokens`, `SELECT * FROM river.river_job`,
		`SELECT rolpassword FROM pg_authid`, `SELECT pg_read_file('postgresql.conf')`, `COPY candles TO PROGRAM 'true'`,
		`INSERT INTO candles SELECT * FROM candles`, `UPDATE candles SET close = 1`, `DELETE FROM candles`, `TRUNCATE candles`,
		`CREATE TABLE public.mine (a int)`, `DROP VIEW latest_prices`, `CREATE SCHEMA mine`, `CREATE ROLE other`,
		`SELECT drop_chunks('candles', older_than => now())`, `COMMENT ON TABLE candles IS 'x'`, `SELECT setval('models_id_seq', 99)`,
	}
	for _, relation := range timescale.PrivateRelations() {
		refused = append(refused, "SELECT * FROM "+relation)
	}
	for _, statement := range refused {
		// Whether a transaction writes is for the session to say, what it may write is not.
		for _, readOnly := range []string{"on", "off"} {
			if _, err := reader.Exec(t.Context(), "SET default_transaction_read_only = "+readOnly); err != nil {
				t.Fatal(err)
			}
			if _, err := reader.Exec(t.Context(), statement); err == nil {
				t.Errorf("%s went through with default_transaction_read_only = %s", statement, readOnly)
			}
		}
	}
	if n := ask[int64](t, d, `SELECT count(*) FROM candles`)[0]; n != 96-96/17-1 {
		t.Errorf("%d candles are left", n)
	}
}

func TestAReadersSessionsAreBounded(t *testing.T) {
	address := timescaletest.URL(t)
	d := timescaletest.OpenAt(t, address)
	name, own := newReader(t, d, address)
	reader := connect(t, own)
	for setting, want := range map[string]string{
		"default_transaction_read_only": "on", "statement_timeout": "30s",
		"idle_in_transaction_session_timeout": "1min", "timezone": "UTC",
	} {
		var got string
		if err := reader.QueryRow(t.Context(), "SHOW "+setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v", setting, got, err)
		}
	}
	role := ask[string](t, d, `SELECT concat_ws(' ', rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit) FROM pg_roles WHERE rolname = $1`, name)
	if role[0] != "f f f f f 10" {
		t.Errorf("the role is %s", role[0])
	}
}

func TestAReaderIsMadeAgainAndDropped(t *testing.T) {
	address := timescaletest.URL(t)
	d := timescaletest.OpenAt(t, address)
	name, own := newReader(t, d, address)
	execute(t, d, `REVOKE SELECT ON coins FROM `+name) // as if a later migration had brought it
	if err := d.CreateReader(t.Context(), name, ""); err != nil {
		t.Fatal(err)
	}
	reader := connect(t, own) // the password is the old one
	if _, err := reader.Exec(t.Context(), `SELECT FROM coins`); err != nil {
		t.Error(err)
	}
	execute(t, d, `REVOKE SELECT ON coins FROM `+name)
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), `SELECT FROM coins`); err != nil {
		t.Errorf("after migrate up: %v", err)
	}

	if has, err := d.HasReader(t.Context(), name); !has || err != nil {
		t.Errorf("%t, %v", has, err)
	}
	if err := d.DropReader(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), `SELECT FROM coins`); err == nil {
		t.Error("the session of a dropped reader goes on")
	}
	if has, err := d.HasReader(t.Context(), name); has || err != nil {
		t.Errorf("dropped: %t, %v", has, err)
	}
	if err := d.DropReader(t.Context(), name); market.ErrorCode(err) != market.NotFound {
		t.Errorf("dropped again: %v", err)
	}
}

func TestRolesOfOthersAreLeftAlone(t *testing.T) {
	d := timescaletest.Open(t)
	owner := ask[string](t, d, `SELECT current_user::text`)[0]
	if err := d.CreateReader(t.Context(), owner, "x"); market.ErrorCode(err) != market.Conflict {
		t.Errorf("making %s a reader: %v", owner, err)
	}
	if err := d.DropReader(t.Context(), owner); market.ErrorCode(err) != market.Conflict {
		t.Errorf("dropping %s: %v", owner, err)
	}
	for _, name := range []string{"", "Reader", "pg_reader", "1st", "a b", `a"; DROP TABLE candles; --`, strings.Repeat("a", 64)} {
		if err := d.CreateReader(t.Context(), name, "x"); market.ErrorCode(err) != market.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Whoever adds a relation decides whether readers may read it.
func TestEveryRelationIsReadableOrPrivate(t *testing.T) {
	d := timescaletest.Open(t)
	known := slices.Sorted(slices.Values(append(timescale.ReadableRelations(), timescale.PrivateRelations()...)))
	there := ask[string](t, d, `
		SELECT relname::text FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f') ORDER BY relname COLLATE "C"`)
	if !slices.Equal(known, there) {
		t.Errorf("reader.go lists\n%v,\nthere are\n%v", known, there)
	}
}

func TestTheServerTakesOurPasswordVerifier(t *testing.T) {
	d := timescaletest.Open(t)
	err := pgx.BeginFunc(t.Context(), d.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL password_encryption = 'scram-sha-256'; CREATE ROLE cryptoboat_scram_test PASSWORD 'gannet-41'`); err != nil {
			return err
		}
		var theirs string
		if err := tx.QueryRow(t.Context(), `SELECT rolpassword FROM pg_authid WHERE rolname = 'cryptoboat_scram_test'`).Scan(&theirs); err != nil {
			return err
		}
		parts := strings.FieldsFunc(theirs, func(r rune) bool { return r == '$' || r == ':' })
		iterations, err := strconv.Atoi(parts[1])
		if err != nil {
			return err
		}
		salt, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil {
			return err
		}
		if ours, err := timescale.ScramVerifierOf("gannet-41", salt, iterations); err != nil || ours != theirs {
			t.Errorf("ours is %s (%v), theirs %s", ours, err, theirs)
		}
		return tx.Rollback(t.Context())
	})
	if err != nil && err != pgx.ErrTxClosed {
		t.Fatal(err)
	}
	if err := d.CreateReader(t.Context(), "cryptoboat_reader_of_a_test", "pass wörd"); market.ErrorCode(err) != market.Invalid {
		t.Errorf("a password beyond ASCII: %v", err)
	}
}

// testReader is of the Community edition, whose roll-ups are no plain views.
func testReader(t *testing.T, d *timescale.Database) {
	insert(t, d, btc15m, newYear, 96)
	refresh(t, d, btc15m, days(0, 1))
	if err := d.CreateReader(t.Context(), "community_reader", "gannet-41"); err != nil {
		t.Fatal(err)
	}
	execute(t, d, `SET ROLE community_reader`)
	for _, relation := range timescale.ReadableRelations() {
		if _, err := d.Pool().Exec(t.Context(), "SELECT * FROM "+relation); err != nil {
			t.Errorf("%s: %v", relation, err)
		}
	}
	if n := ask[int64](t, d, `SELECT count(*) FROM candles('BTCUSDT', '1h', '-infinity', 'infinity')`)[0]; n != 24 {
		t.Errorf("%d hours", n)
	}
	if _, err := d.Pool().Exec(t.Context(), `SELECT * FROM users`); err == nil {
		t.Error("a reader reads users")
	}
	execute(t, d, `RESET ROLE`)
	if err := d.DropReader(t.Context(), "community_reader"); err != nil {
		t.Error(err)
	}
}
