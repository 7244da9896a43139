package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// Where prices and facts come from; what is unset is the public service.
const (
	exchangeVariable    = "BINANCE_REST_URL"
	exchangeKeyVariable = "BINANCE_API_KEY"
	coinsVariable       = "COINGECKO_URL"
	coinsKeyVariable    = "COINGECKO_API_KEY"
)

// openExchange returns a client of the exchange that the environment names. A
// pause that the exchange demands is kept in the database, so that a process
// started anew and others beside it keep to it.
func openExchange(e environment, database *timescale.Database) (*binance.Client, error) {
	return binance.NewClient(binance.Config{
		RESTURL: e.get(exchangeVariable),
		APIKey:  e.get(exchangeKeyVariable),
		Pauses:  database,
		Log:     slog.New(slog.NewTextHandler(e.errors, nil)),
	})
}

// claimDatabase makes sure that simulated candles and real ones never meet in
// one database. It goes before whatever writes candles of the exchange.
func claimDatabase(ctx context.Context, database *timescale.Database, exchange *binance.Client) error {
	origin, err := exchange.Origin(ctx)
	if err != nil {
		return fmt.Errorf("ask the exchange who it is: %w", err)
	}
	return database.ClaimOrigin(ctx, origin)
}
