package timescale

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/backup"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// momentary are the tables that a backup leaves out: the migrations make one of them,
// the others are of processes that run and of browsers that are logged in.
var momentary = []string{
	"schema_migrations", "sessions", "job_processes", "river.river_leader", "river.river_notification",
}

// oldMinutes is the one roll-up that a backup holds rows of, from before the ticks of
// theirs were dropped.
const oldMinutes = "ticks_1m"

// copySettings make COPY's text the same whatever the server's and the user's settings,
// and let a copy last for as long as it takes.
const copySettings = `
	SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC';
	SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1;
	SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`

// Snapshot calls f with the database as of one instant. Writers are not held up by it.
// The schema may be an older one: a backup is what one makes before migrating.
func (d *Database) Snapshot(ctx context.Context, f func(backup.Source) error) error {
	status, err := d.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	if status.Dirty || status.Version == 0 || status.Version > status.Newest {
		return status.Check()
	}
	community, err := d.community(ctx)
	if err != nil {
		return err
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, d.pool.Pool, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, copySettings); err != nil {
			return err
		}
		return f(&snapshot{tx: tx, schema: status.Version, community: community})
	})
	return passing(ctx, err)
}

// snapshot implements backup.Source in a transaction that sees one instant.
type snapshot struct {
	tx        pgx.Tx
	schema    uint
	community bool
	contents  *backup.Contents // once they are known
}

func (s *snapshot) Contents(ctx context.Context) (backup.Contents, error) {
	if s.contents != nil {
		return *s.contents, nil
	}
	contents := backup.Contents{Schema: s.schema, Edition: editionName(s.community)}
	err := s.tx.QueryRow(ctx, `SELECT now()`).Scan(&contents.TakenAt)
	if err == nil {
		contents.Tables, err = storedTables(ctx, s.tx)
	}
	if err != nil {
		return contents, fmt.Errorf("list the tables: %w", err)
	}
	for k, table := range contents.Tables {
		err := s.tx.QueryRow(ctx, `SELECT count(*) FROM `+relationName(table.Name)).Scan(&contents.Tables[k].Rows)
		if err != nil {
			return contents, fmt.Errorf("count the rows of %s: %w", table.Name, err)
		}
	}
	if s.community {
		old := backup.Table{Name: oldMinutes, Columns: oldMinutesColumns}
		err := s.tx.QueryRow(ctx, `SELECT count(*) FROM (`+oldMinutesSQL+`) AS old`).Scan(&old.Rows)
		if err != nil {
			return contents, fmt.Errorf("count the minutes of dropped ticks: %w", err)
		}
		if old.Rows > 0 {
			contents.Tables = append(contents.Tables, old)
		}
	}
	if contents.Sequences, err = s.sequences(ctx); err != nil {
		return contents, fmt.Errorf("read the sequences: %w", err)
	}
	s.contents = &contents
	return contents, nil
}

func (s *snapshot) CopyOut(ctx context.Context, table backup.Table, w io.Writer) (int64, error) {
	// A hypertable's rows are in its chunks, which only a query reads.
	query := "SELECT " + columnList(table.Columns) + " FROM " + relationName(table.Name)
	if table.Name == oldMinutes {
		query = oldMinutesSQL
	}
	tag, err := s.tx.Conn().PgConn().CopyTo(ctx, w, "COPY ("+query+") TO STDOUT")
	return tag.RowsAffected(), err
}

var oldMinutesColumns = []string{"symbol", "open_time", "open", "high", "low", "close", "samples"}

const oldMinutesSQL = `
	SELECT symbol, open_time, open, high, low, close, samples FROM ticks_1m
	WHERE open_time < (SELECT max(dropped_until) FROM dropped_ticks)`

func editionName(community bool) string {
	if community {
		return "timescale"
	}
	return "apache"
}

// storedTables lists the tables that are backed up, those that others refer to first,
// and by name. What is computed from other columns is not stored anew.
func storedTables(ctx context.Context, tx pgx.Tx) ([]backup.Table, error) {
	rows, err := tx.Query(ctx, `
		SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name,
			ARRAY(SELECT a.attname::text FROM pg_attribute AS a
				WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum),
			ARRAY(SELECT CASE fn.nspname WHEN 'public' THEN '' ELSE fn.nspname || '.' END || f.relname
				FROM pg_constraint AS k JOIN pg_class AS f ON f.oid = k.confrelid JOIN pg_namespace AS fn ON fn.oid = f.relnamespace
				WHERE k.conrelid = c.oid AND k.contype = 'f')
		FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('public', 'river') AND c.relkind IN ('r', 'p')
		ORDER BY n.nspname, c.relname`)
	if err != nil {
		return nil, err
	}
	refersTo := map[string][]string{}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (backup.Table, error) {
		var t backup.Table
		var refers []string
		err := row.Scan(&t.Name, &t.Columns, &refers)
		refersTo[t.Name] = refers
		return t, err
	})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t backup.Table) bool { return slices.Contains(momentary, t.Name) })
	var sorted []backup.Table
	for len(all) > 0 {
		waits := func(t backup.Table) bool {
			return slices.ContainsFunc(all, func(other backup.Table) bool {
				return other.Name != t.Name && slices.Contains(refersTo[t.Name], other.Name)
			})
		}
		next := slices.IndexFunc(all, func(t backup.Table) bool { return !waits(t) })
		if next < 0 {
			return nil, market.Errorf(market.Internal, "the tables refer to each other in a circle: %v", all)
		}
		sorted = append(sorted, all[next])
		all = slices.Delete(all, next, next+1)
	}
	return sorted, nil
}

// sequences reads where the numbers of the stored tables' rows are, which no row of the
// snapshot is beyond: it was taken before.
func (s *snapshot) sequences(ctx context.Context) ([]backup.Sequence, error) {
	names, err := sequenceNames(ctx, s.tx)
	if err != nil {
		return nil, err
	}
	sequences := make([]backup.Sequence, len(names))
	for k, name := range names {
		sequences[k].Name = name
		err := s.tx.QueryRow(ctx, `SELECT last_value, is_called FROM `+relationName(name)).Scan(&sequences[k].Last, &sequences[k].Called)
		if err != nil {
			return nil, err
		}
	}
	return sequences, nil
}

// sequenceNames lists the sequences that columns of the stored tables own.
func sequenceNames(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `
		SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || s.relname AS name
		FROM pg_class AS s JOIN pg_namespace AS n ON n.oid = s.relnamespace
		JOIN pg_depend AS d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
		JOIN pg_class AS t ON t.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
		WHERE s.relkind = 'S' AND n.nspname IN ('public', 'river')
			AND CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || t.relname <> ALL ($1)
		ORDER BY n.nspname, s.relname`, momentary)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// relationName quotes a name that may have a schema in front.
func relationName(name string) string {
	return pgx.Identifier(strings.Split(name, ".")).Sanitize()
}

func columnList(columns []string) string {
	quoted := make([]string, len(columns))
	for k, column := range columns {
		quoted[k] = pgx.Identifier{column}.Sanitize()
	}
	return strings.Join(quoted, ", ")
}
