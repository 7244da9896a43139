package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

const streamVariable = "BINANCE_WS_URL"

// sampleEvery is how often the live price is sampled into the database.
const sampleEvery = 5 * time.Second

// claimEvery is how long it takes, on average, until an exchange that could not
// be reached is asked again whose candles it has.
const claimEvery = 10 * time.Second

// repairedAtFirst bounds how far back a series is repaired of which nothing is
// stored: a longer past is the backfill's.
const repairedAtFirst = 7 * 24 * time.Hour

// liveOptions say what serve follows.
type liveOptions struct {
	series []market.Series
	stream string // address, the public one where empty
	clock  live.Clock
	every  time.Duration // between samples
	timing live.Timing
	log    *slog.Logger
}

// follow keeps to the market until ctx ends. It begins once the exchange has
// told whose candles it has, which must be the kind that the database holds.
func follow(
	ctx context.Context, database *timescale.Database, exchange func() (*binance.Client, error),
	forecaster *forecast.Forecaster, hub *live.Hub, o liveOptions,
) error {
	origin, err := claimInTime(ctx, database, exchange, o.log)
	if err != nil || ctx.Err() != nil {
		return err
	}
	dialer, err := binance.NewStreamDialer(binance.StreamConfig{URL: o.stream, Origin: origin, Log: o.log})
	if err != nil {
		return err
	}
	return live.NewService(live.Config{
		Series: o.series, SampleEvery: o.every, Clock: o.clock, Dialer: dialer,
		Ticks: database, Candles: database, Repairer: repairer{database, exchange, o.log},
		Hub: hub, Forecaster: forecaster, Forecasts: database, Timing: o.timing, Log: o.log,
	}).Run(ctx)
}

// claimInTime claims the database for the exchange's kind of candles, waiting
// for an exchange that cannot be reached.
func claimInTime(
	ctx context.Context, database *timescale.Database, exchange func() (*binance.Client, error), log *slog.Logger,
) (history.Origin, error) {
	for {
		client, err := exchange()
		if err != nil {
			return "", err
		}
		if err = claimDatabase(ctx, database, client); err == nil {
			return database.Origin(ctx)
		}
		if market.ErrorCode(err) != market.Unavailable {
			return "", err
		}
		log.Warn("the exchange cannot be reached, trying again", slog.Any("error", err))
		select {
		case <-time.After(claimEvery/2 + rand.N(claimEvery)):
		case <-ctx.Done():
			return "", nil
		}
	}
}

// repairer fetches what the stream missed.
type repairer struct {
	database *timescale.Database
	exchange func() (*binance.Client, error)
	log      *slog.Logger
}

// Repair implements live.Repairer. A zero since means the newest stored candle.
func (r repairer) Repair(ctx context.Context, series market.Series, since time.Time) error {
	exchange, err := r.exchange()
	if err != nil {
		return err
	}
	if since.IsZero() {
		stored, err := r.database.Catalogue(ctx)
		if err != nil {
			return err
		}
		since = time.Now().Add(-repairedAtFirst)
		for _, s := range stored {
			if s.Series == series {
				since = s.Last
			}
		}
	}
	backfiller := history.NewBackfiller(exchange, r.database, r.log)
	plan, err := backfiller.Plan(ctx, history.BackfillRequest{Series: series, Wanted: market.TimeRange{Start: since}})
	if err != nil {
		return fmt.Errorf("plan the repair of %s: %w", series, err)
	}
	_, err = backfiller.Run(ctx, plan, func(history.BackfillProgress) {})
	return err
}

// systemClock is the machine's, which is taken to agree with the exchange's.
type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now().UTC() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
