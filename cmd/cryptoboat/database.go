package main

import (
	"context"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

const databaseVariable = "CRYPTOBOAT_DATABASE_URL"

func openDatabase(ctx context.Context, e environment) (*timescale.Database, error) {
	url := e.get(databaseVariable)
	if url == "" {
		return nil, market.Errorf(market.Invalid,
			"%s is not set: start a database by make up and export %s=$(scripts/database url)",
			databaseVariable, databaseVariable)
	}
	return timescale.Open(ctx, url)
}
