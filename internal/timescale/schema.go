package timescale

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/migrations"
)

// SchemaStatus says how far a database's schema has come.
type SchemaStatus struct {
	Version uint // number of the last migration applied; 0 for none
	Newest  uint // number of the last one known
	Dirty   bool // the migration of that number failed and has to be looked at
}

// Check returns nil for the schema that this program works with, else an
// Unavailable error that says what to do.
func (s SchemaStatus) Check() error {
	switch {
	case s.Dirty:
		return market.Errorf(market.Unavailable,
			"migration %d failed halfway: mend what it says, then set version and dirty in schema_migrations to the last whole one and false",
			s.Version)
	case s.Version < s.Newest:
		return market.Errorf(market.Unavailable, "the schema is at %d of %d: run cryptoboat migrate up", s.Version, s.Newest)
	case s.Version > s.Newest:
		return market.Errorf(market.Unavailable,
			"the schema is at %d, newer than this program, which knows %d: use a newer cryptoboat", s.Version, s.Newest)
	}
	return nil
}

// MigrateUp applies every migration that is missing, and lets readers read what they
// brought. Two at a time wait for each other.
func (d *Database) MigrateUp(ctx context.Context) error {
	status, err := d.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	if status.Dirty || status.Version > status.Newest {
		return status.Check()
	}
	if err := d.migrate(ctx, (*migrate.Migrate).Up); err != nil {
		return err
	}
	return d.renewReaders(ctx)
}

// MigrateDown undoes every migration and with it deletes all data.
func (d *Database) MigrateDown(ctx context.Context) error {
	return d.migrate(ctx, (*migrate.Migrate).Down)
}

func (d *Database) migrate(ctx context.Context, run func(*migrate.Migrate) error) error {
	m, err := d.migrator(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer stop()
	err = run(m)
	if err == nil {
		err = ctx.Err() // a graceful stop between two migrations is no error to it
	}
	if err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	return nil
}

// SchemaStatus reads the schema's version. It waits for no migration and writes
// nothing.
func (d *Database) SchemaStatus(ctx context.Context) (SchemaStatus, error) {
	newest, err := newestMigration()
	if err != nil {
		return SchemaStatus{}, err
	}
	status := SchemaStatus{Newest: newest}
	var migrated bool
	err = d.pool.QueryRow(ctx, `SELECT to_regclass('schema_migrations') IS NOT NULL`).Scan(&migrated)
	if err == nil && migrated {
		err = d.pool.QueryRow(ctx, `SELECT greatest(version, 0), dirty FROM schema_migrations`).Scan(&status.Version, &status.Dirty)
		if errors.Is(err, pgx.ErrNoRows) { // every migration was undone
			err = nil
		}
	}
	if err != nil {
		return SchemaStatus{}, fmt.Errorf("read the schema's version: %w", err)
	}
	return status, nil
}

func (d *Database) migrator(ctx context.Context) (*migrate.Migrate, error) {
	source, err := iofs.New(migrations.Files, ".")
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	driver, err := pgxmigrate.WithInstance(stdlib.OpenDBFromPool(d.pool.Pool), &pgxmigrate.Config{})
	if err != nil {
		return nil, fmt.Errorf("prepare the migrations: %w", err)
	}
	m, err := migrate.NewWithInstance("migrations", source, "pgx5", driver)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the migrations: %w", err), driver.Close())
	}
	return m, nil
}

func newestMigration() (uint, error) {
	source, err := iofs.New(migrations.Files, ".")
	if err != nil {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	defer source.Close()
	newest, err := source.First()
	for err == nil {
		var next uint
		if next, err = source.Next(newest); err == nil {
			newest = next
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	return newest, nil
}
