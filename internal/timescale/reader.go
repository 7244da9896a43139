package timescale

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// readable are the relations that a reader may read beside the roll-ups of candles,
// and private those that none may. A migration that makes another one has to say here
// which it is: a test fails for what is on neither list, so that no secret is given
// away by default.
var (
	readable = []string{
		"candles", "coins", "coverage", "coverage_gaps", "dropped_ticks", "empty_ranges", "exchange_pauses",
		"forecast_accuracy", "forecast_baselines", "forecast_scores", "forecasts", "job_runs", "job_skips",
		"latest_prices", "listings", "market_origin", "model_promotions", "models", "models_in_use",
		"realized_volatility", "stored_series", "stream_coverage", "stream_crypto_data", "stream_gaps", "ticks", "ticks_1m",
	}
	private = []string{"audit_log", "job_processes", "schema_migrations", "sessions", "settings", "tokens", "users"}
)

func readableRelations() []string {
	relations := slices.Clone(readable)
	for _, r := range rollUps {
		relations = append(relations, r.relation)
	}
	return relations
}

// readerMark is the comment by which a role is known for one that CreateReader made.
const readerMark = "Reads the market data of CryptoBoat, made by cryptoboat reader create"

// readerSettings bound what a session of a reader's takes of the server.
var readerSettings = []string{
	"default_transaction_read_only = on",
	"statement_timeout = '30s'",
	"idle_in_transaction_session_timeout = '1min'",
	"timezone = 'UTC'",
}

const readerConnections = 10

var readerName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func checkReaderName(name string) error {
	if !readerName.MatchString(name) || strings.HasPrefix(name, "pg_") {
		return market.Errorf(market.Invalid,
			"%q is no name for a reader: use small letters, digits and _, 63 at most, no digit first and no pg_ in front", name)
	}
	return nil
}

// CreateReader makes a role that logs in and reads the market, the forecasts and the
// jobs of this database, and neither people nor settings. Where there is such a reader,
// it gets whatever later migrations brought, and the password where it is not empty.
// A role of that name that somebody else made is left alone, with a Conflict error.
func (d *Database) CreateReader(ctx context.Context, name, password string) error {
	if err := checkReaderName(name); err != nil {
		return err
	}
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		exists, err := hasReader(ctx, tx, name)
		if err != nil {
			return err
		}
		role := pgx.Identifier{name}.Sanitize()
		var statements []string
		if !exists {
			statements = append(statements,
				"CREATE ROLE "+role, "COMMENT ON ROLE "+role+" IS '"+readerMark+"'")
		}
		statements = append(statements, fmt.Sprintf(
			"ALTER ROLE %s LOGIN NOINHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT %d", role, readerConnections))
		for _, setting := range readerSettings {
			statements = append(statements, "ALTER ROLE "+role+" SET "+setting)
		}
		if password != "" {
			verifier, err := scramVerifier(password)
			if err != nil {
				return err
			}
			statements = append(statements, "ALTER ROLE "+role+" PASSWORD '"+verifier+"'")
		}
		for _, statement := range append(statements, grants(role)...) {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	return readerError("create", name, err)
}

// grants are what makes a reader of a role.
func grants(role string) []string {
	return []string{
		"GRANT USAGE ON SCHEMA public TO " + role,
		"GRANT SELECT ON " + strings.Join(readableRelations(), ", ") + " TO " + role,
	}
}

// HasReader reports whether there is such a reader. For another role of that name the
// error is a Conflict.
func (d *Database) HasReader(ctx context.Context, name string) (bool, error) {
	exists, err := hasReader(ctx, d.pool, name)
	return exists, readerError("look for", name, err)
}

func hasReader(ctx context.Context, in interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}, name string) (bool, error) {
	var mark string
	err := in.QueryRow(ctx, `
		SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1`, name).Scan(&mark)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case mark != readerMark:
		return false, market.Errorf(market.Conflict, "the role %s was not made by cryptoboat reader create: choose another name", name)
	}
	return true, nil
}

// DropReader ends the sessions of a reader and removes it, or returns a NotFound error.
func (d *Database) DropReader(ctx context.Context, name string) error {
	if err := checkReaderName(name); err != nil {
		return err
	}
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		exists, err := hasReader(ctx, tx, name)
		if err != nil {
			return err
		}
		if !exists {
			return market.Errorf(market.NotFound, "there is no reader %s", name)
		}
		role := pgx.Identifier{name}.Sanitize()
		for _, statement := range []string{
			"ALTER ROLE " + role + " NOLOGIN",
			"REVOKE SELECT ON " + strings.Join(readableRelations(), ", ") + " FROM " + role,
			"REVOKE USAGE ON SCHEMA public FROM " + role,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + name + "'",
			"DROP ROLE " + role,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	return readerError("drop", name, err)
}

const dependentObjects = "2BP01"

func readerError(doing, name string, err error) error {
	refusal, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		return nil
	case refusal != nil && refusal.Code == insufficientPrivilege:
		return market.Errorf(market.Unavailable,
			"the user of the database's URL may not %s the reader %s: let a superuser give it CREATEROLE, or use a URL of the owner of the tables (%s)",
			doing, name, refusal.Message)
	case refusal != nil && refusal.Code == dependentObjects:
		return market.Errorf(market.Conflict,
			"the reader %s reads other databases of the server too: drop it there, or let a superuser run DROP OWNED BY %s in them (%s)",
			name, name, refusal.Detail)
	}
	return fmt.Errorf("%s the reader %s: %w", doing, name, err)
}

// renewReaders lets the readers of this database read what migrations brought.
func (d *Database) renewReaders(ctx context.Context) error {
	rows, _ := d.pool.Query(ctx, `
		SELECT rolname FROM pg_roles
		WHERE shobj_description(oid, 'pg_authid') = $1 AND has_table_privilege(oid, 'candles', 'SELECT')
		ORDER BY rolname`, readerMark)
	readers, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the readers: %w", err)
	}
	for _, name := range readers {
		for _, statement := range grants(pgx.Identifier{name}.Sanitize()) {
			if _, err := d.pool.Exec(ctx, statement); err != nil {
				return readerError("renew", name, err)
			}
		}
	}
	return nil
}
