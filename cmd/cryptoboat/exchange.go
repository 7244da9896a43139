package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
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
	return introduce(ctx, exchange, database.ClaimOrigin)
}

// introduce calls claim with the kind of candles that the exchange has.
func introduce(
	ctx context.Context, exchange *binance.Client, claim func(context.Context, history.Origin) error,
) error {
	origin, err := exchange.Origin(ctx)
	if err != nil {
		return fmt.Errorf("ask the exchange who it is: %w", err)
	}
	return claim(ctx, origin)
}

// introducePatiently is introduce for the first contact of a command, which one
// bad answer need not end.
func introducePatiently(
	ctx context.Context, log *slog.Logger, exchange *binance.Client, claim func(context.Context, history.Origin) error,
) error {
	_, err := history.Patiently(ctx, log, "asking the exchange who it is", func() (struct{}, error) {
		return struct{}{}, introduce(ctx, exchange, claim)
	})
	return err
}

// sayingWhen adds to a failure that a pause brought when to try again.
func sayingWhen(err error) error {
	paused, ok := errors.AsType[*history.PausedError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%w\nthe exchange asked us to wait until %s: run it again then",
		err, paused.Pause.Until.UTC().Format(time.RFC3339))
}
