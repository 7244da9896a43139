// Package timescaletest gives tests a real database of their own.
package timescaletest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// Open returns a migrated database that nobody else uses. It is dropped when
// the test ends.
func Open(t testing.TB) *timescale.Database {
	t.Helper()
	return OpenAt(t, URL(t))
}

// OpenAt returns the database at an address, migrated. It is closed when the test ends.
func OpenAt(t testing.TB, address string) *timescale.Database {
	t.Helper()
	database, err := timescale.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	if err := database.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return database
}

// URL returns the address of an empty database that is dropped when the test
// ends, on the server named by CRYPTOBOAT_DATABASE_URL, which "make test" sets.
func URL(t testing.TB) string {
	t.Helper()
	server := os.Getenv("CRYPTOBOAT_DATABASE_URL")
	if server == "" {
		t.Fatal("CRYPTOBOAT_DATABASE_URL is not set: run the tests by make test, " +
			"or export CRYPTOBOAT_DATABASE_URL=$(scripts/database start >/dev/null && scripts/database url)")
	}
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal("CRYPTOBOAT_DATABASE_URL is not a URL")
	}
	name := "cryptoboat_test_" + strings.ToLower(rand.Text())
	administer(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { administer(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	address.Path = "/" + name
	return address.String()
}

func administer(t testing.TB, server, statement string) {
	t.Helper()
	// The test's own context has ended when clean-up runs.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, statement); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", statement, err))
	}
}
