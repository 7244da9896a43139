package timescale

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// maintenanceDatabase is there on every server, to connect to while the wanted
// one is not.
const maintenanceDatabase = "postgres"

const (
	unknownDatabase       = "3D000"
	duplicateDatabase     = "42P04"
	insufficientPrivilege = "42501"
)

// CreateDatabase makes the database that url names, unless it is there. Where
// the user may not do that, the error is Unavailable and says who can.
func CreateDatabase(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return errUnreadableURL
	}
	name := config.Database
	connection, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return connection.Close(ctx)
	}
	if pgError, ok := errors.AsType[*pgconn.PgError](err); !ok || pgError.Code != unknownDatabase {
		return fmt.Errorf("open the database: %w", unavailable(err))
	}
	config.Database = maintenanceDatabase
	connection, err = pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open the database: %w", unavailable(err))
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	pgError, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && pgError.Code == duplicateDatabase: // somebody was faster
		return nil
	case ok && pgError.Code == insufficientPrivilege:
		return market.Errorf(market.Unavailable,
			"the user %s may not create the database %s: let a superuser create it, with the extension timescaledb",
			config.User, name)
	case err != nil:
		return fmt.Errorf("create the database %s: %w", name, err)
	}
	return nil
}
