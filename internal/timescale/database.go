// Package timescale keeps the service's data in TimescaleDB. Every SQL
// statement of the service stands here, one file per family of tables.
package timescale

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Database is a pool of connections to one TimescaleDB database. It is safe
// for concurrent use; Close it when done.
type Database struct {
	pool    pool
	records chan struct{} // holds a token for each that is being read
}

// errUnreadableURL stands for what the parser says, which may quote the URL, and
// with it the password.
var errUnreadableURL = market.Errorf(market.Invalid,
	"the database URL cannot be read: give it as postgres://USER:PASSWORD@HOST:PORT/DATABASE")

// Open connects to the database at url (postgres://…) and checks that it is a
// TimescaleDB this service can use, which it refuses with an Unavailable error
// that says how to get one. The error never holds the password.
func Open(ctx context.Context, url string) (*Database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errUnreadableURL
	}
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.RuntimeParams["application_name"] = "cryptoboat"
	config.AfterConnect = func(_ context.Context, connection *pgx.Conn) error {
		connection.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		if err != nil {
			return nil, unavailable(err)
		}
		return connection, nil
	}
	connections, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	database := &Database{pool: pool{connections}, records: make(chan struct{}, mostRecords)}
	if err := database.check(ctx); err != nil {
		database.Close()
		return nil, err
	}
	return database, nil
}

// closeWithin is how long the ends of connections are waited for: all that they
// take where the server answers.
const closeWithin = time.Second

// Close ends every connection, for a second at most: a server that does not answer
// any more ends none, and must not keep the process alive.
func (d *Database) Close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		d.pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeWithin):
	}
}

// Ping returns an Unavailable error when the database does not answer.
func (d *Database) Ping(ctx context.Context) error {
	if err := d.pool.Ping(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable marks the failure to reach the server, once.
func unavailable(err error) error {
	if market.ErrorCode(err) == market.Unavailable {
		return err
	}
	return fmt.Errorf("%w (%w)", market.Errorf(market.Unavailable, "the database does not answer"), err)
}

// The oldest release with the columnstore under its present name.
const minimumMajor, minimumMinor = 2, 18

const howToGet = `Get one with "make up" (a container or a private Debian root), ` +
	`or install TimescaleDB from https://docs.tigerdata.com/self-hosted/latest/install/, ` +
	`and give its address in CRYPTOBOAT_DATABASE_URL.`

// check refuses a server that lacks TimescaleDB or has one that is too old.
func (d *Database) check(ctx context.Context) error {
	if err := d.Ping(ctx); err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	var version string
	// The version in use where the extension exists, else the one it would get.
	err := d.pool.QueryRow(ctx, `
		SELECT coalesce((SELECT coalesce(installed_version, default_version)
		                 FROM pg_available_extensions WHERE name = 'timescaledb'), '')`).Scan(&version)
	if err != nil {
		return fmt.Errorf("read the TimescaleDB version: %w", err)
	}
	if version == "" {
		return market.Errorf(market.Unavailable, "the PostgreSQL server has no TimescaleDB. %s", howToGet)
	}
	if !recentEnough(version) {
		return market.Errorf(market.Unavailable,
			"the database has TimescaleDB %s, the oldest that serves is %d.%d. Where the server has a newer one, ALTER EXTENSION timescaledb UPDATE takes it. %s",
			version, minimumMajor, minimumMinor, howToGet)
	}
	return nil
}

func recentEnough(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	minor, _, _ := strings.Cut(parts[1], "-")
	major, errMajor := strconv.Atoi(parts[0])
	minorNumber, errMinor := strconv.Atoi(minor)
	if errMajor != nil || errMinor != nil {
		return false
	}
	return major > minimumMajor || major == minimumMajor && minorNumber >= minimumMinor
}

// community reports whether the edition has continuous aggregates.
func (d *Database) community(ctx context.Context) (bool, error) {
	var license string
	if err := d.pool.QueryRow(ctx, `SHOW timescaledb.license`).Scan(&license); err != nil {
		return false, fmt.Errorf("read the TimescaleDB edition: %w", err)
	}
	return license == "timescale", nil
}
