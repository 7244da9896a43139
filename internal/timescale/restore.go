package timescale

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/backup"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const elsewhere = "restore into a new database: name it in CRYPTOBOAT_DATABASE_URL; " +
	"or empty this one by cryptoboat migrate down -delete-all-data"

// Restore implements backup.Target. A database without a schema gets that of the
// backup, and is brought to this program's own when the rows are there.
func (d *Database) Restore(ctx context.Context, contents backup.Contents, fill func(backup.Loader) error) error {
	if err := d.prepareSchema(ctx, contents); err != nil {
		return err
	}
	community, err := d.community(ctx)
	if err != nil {
		return err
	}
	err = d.pool.transaction(ctx, func(tx pgx.Tx) error {
		r := restoring{tx: tx, community: community}
		if err := r.begin(ctx, contents); err != nil {
			return err
		}
		err := fill(func(table backup.Table, rows io.Reader) (int64, error) { return r.load(ctx, table, rows) })
		if err != nil {
			return err
		}
		if err := r.materialize(ctx); err != nil {
			return err
		}
		return r.setSequences(ctx, contents.Sequences)
	})
	if err != nil {
		return err
	}
	if err := d.MigrateUp(ctx); err != nil {
		return err
	}
	return d.refreshNewest(ctx)
}

// prepareSchema makes the schema of a backup in a database that has none, and refuses
// another one.
func (d *Database) prepareSchema(ctx context.Context, contents backup.Contents) error {
	status, err := d.SchemaStatus(ctx)
	switch {
	case err != nil:
		return err
	case contents.Schema > status.Newest:
		return market.Errorf(market.Unavailable, "the backup is of schema %d, newer than this program, which knows %d: use a newer cryptoboat",
			contents.Schema, status.Newest)
	case status.Dirty:
		return status.Check()
	case status.Version == contents.Schema:
		return nil
	case status.Version != 0:
		return market.Errorf(market.Conflict, "the backup is of schema %d, the database has schema %d: %s", contents.Schema, status.Version, elsewhere)
	}
	return d.migrate(ctx, func(m *migrate.Migrate) error { return m.Migrate(contents.Schema) })
}

// restoring is the transaction of a restore.
type restoring struct {
	tx        pgx.Tx
	community bool
	tables    []backup.Table // of the database
}

// begin keeps others from writing and refuses what cannot be restored here.
func (r *restoring) begin(ctx context.Context, contents backup.Contents) error {
	if _, err := r.tx.Exec(ctx, copySettings); err != nil {
		return err
	}
	var err error
	if r.tables, err = storedTables(ctx, r.tx); err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	names := make([]string, len(r.tables))
	for k, table := range r.tables {
		names[k] = relationName(table.Name)
	}
	if _, err := r.tx.Exec(ctx, `LOCK TABLE `+strings.Join(names, ", ")+` IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return fmt.Errorf("lock the tables: %w", err)
	}
	for k, table := range r.tables {
		var filled bool
		if err := r.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+names[k]+`)`).Scan(&filled); err != nil {
			return fmt.Errorf("look into table %s: %w", table.Name, err)
		}
		if filled {
			return market.Errorf(market.Conflict, "the database is not empty, table %s has rows: %s", table.Name, elsewhere)
		}
	}
	for _, table := range contents.Tables {
		if table.Name == oldMinutes && !r.community {
			return market.Errorf(market.Conflict,
				"the backup holds %d minutes of ticks that were dropped for their age, which only TimescaleDB's Community edition keeps: restore it there", table.Rows)
		}
		if err := r.checkTable(table); err != nil {
			return err
		}
	}
	return nil
}

// checkTable refuses a table that the schema does not have just so: a file says what to
// write into, which must be no other table.
func (r *restoring) checkTable(table backup.Table) error {
	if table.Name == oldMinutes && slices.Equal(table.Columns, oldMinutesColumns) {
		return nil
	}
	if !slices.ContainsFunc(r.tables, func(own backup.Table) bool {
		return own.Name == table.Name && slices.Equal(own.Columns, table.Columns)
	}) {
		return market.Errorf(market.Invalid, "the backup has a table %s (%s), which the schema does not have so",
			table.Name, strings.Join(table.Columns, ", "))
	}
	return nil
}

func (r *restoring) load(ctx context.Context, table backup.Table, rows io.Reader) (int64, error) {
	relation := relationName(table.Name)
	if table.Name == oldMinutes {
		var err error
		if relation, err = r.materialized(ctx, oldMinutes); err != nil {
			return 0, err
		}
	}
	tag, err := r.tx.Conn().PgConn().CopyFrom(ctx, rows, "COPY "+relation+" ("+columnList(table.Columns)+") FROM STDIN")
	return tag.RowsAffected(), err
}

// materialized returns the hypertable that holds what a continuous aggregate has stored.
func (r *restoring) materialized(ctx context.Context, aggregate string) (string, error) {
	var relation string
	err := r.tx.QueryRow(ctx, `
		SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
		FROM timescaledb_information.continuous_aggregates WHERE view_name = $1`, aggregate).Scan(&relation)
	if err != nil {
		return "", fmt.Errorf("look for what %s has stored: %w", aggregate, err)
	}
	return relation, nil
}

// materialize fills the continuous aggregates, as a dump of the database would. They
// cannot be refreshed in a transaction, and after it might be too late: where the
// process is killed in between, the first refresh of a new bucket makes them forget
// whatever older one is not stored.
func (r *restoring) materialize(ctx context.Context) error {
	if !r.community {
		return nil
	}
	aggregates := []string{oldMinutes}
	for _, r := range rollUps {
		if r.aggregated {
			aggregates = append(aggregates, r.relation)
		}
	}
	for _, aggregate := range aggregates {
		relation, err := r.materialized(ctx, aggregate)
		if err != nil {
			return err
		}
		// Nothing has been refreshed yet, so that the view computes all that it shows.
		insert := "INSERT INTO " + relation + " SELECT * FROM " + relationName(aggregate)
		if aggregate == oldMinutes {
			insert += " WHERE open_time >= (SELECT coalesce(max(dropped_until), '-infinity') FROM dropped_ticks)"
		}
		if _, err := r.tx.Exec(ctx, insert); err != nil {
			return fmt.Errorf("fill %s: %w", aggregate, err)
		}
	}
	return nil
}

func (r *restoring) setSequences(ctx context.Context, sequences []backup.Sequence) error {
	own, err := sequenceNames(ctx, r.tx)
	if err != nil {
		return fmt.Errorf("list the sequences: %w", err)
	}
	for _, s := range sequences {
		if !slices.Contains(own, s.Name) {
			return market.Errorf(market.Invalid, "the backup has a sequence %s, which the schema does not have", s.Name)
		}
		if _, err := r.tx.Exec(ctx, `SELECT setval($1::text::regclass, $2, $3)`, relationName(s.Name), s.Last, s.Called); err != nil {
			return fmt.Errorf("set the sequence %s: %w", s.Name, err)
		}
	}
	return nil
}

// refreshNewest lets the roll-ups know up to where they are filled, from where on they
// look into the candles themselves.
func (d *Database) refreshNewest(ctx context.Context) error {
	stored, err := d.Catalogue(ctx)
	if err != nil {
		return err
	}
	for _, s := range stored {
		newest := market.TimeRange{Start: s.Last, End: s.Interval.Next(s.Last)}
		if err := d.RefreshRollUps(ctx, s.Series, newest); err != nil {
			return err
		}
	}
	return d.refreshTickRollUp(ctx)
}
