package main

import (
	"context"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// openDatabase opens the database that the environment names and checks that its
// schema is the one this program works with.
func openDatabase(ctx context.Context, e environment) (*timescale.Database, error) {
	database, err := connectDatabase(ctx, e)
	if err != nil {
		return nil, err
	}
	status, err := database.SchemaStatus(ctx)
	if err == nil {
		err = status.Check()
	}
	if err != nil {
		database.Close()
		return nil, err
	}
	return database, nil
}

// connectDatabase opens the database whatever its schema.
func connectDatabase(ctx context.Context, e environment) (*timescale.Database, error) {
	url, err := databaseURL(e)
	if err != nil {
		return nil, err
	}
	return timescale.Open(ctx, url)
}

// createDatabase makes the database that the environment names, if need be.
func createDatabase(ctx context.Context, e environment) error {
	url, err := databaseURL(e)
	if err != nil {
		return err
	}
	return timescale.CreateDatabase(ctx, url)
}

func databaseURL(e environment) (string, error) {
	url := e.get(databaseVariable)
	if url == "" {
		return "", market.Errorf(market.Invalid,
			"%s is not set: start a database by make up and export %s=$(scripts/database url)",
			databaseVariable, databaseVariable)
	}
	return url, nil
}
