package main

import (
	"context"
	"log/slog"
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
	before, err := history.Tirelessly(ctx, o.log, "asking the exchange whose candles it has", func() (beginning, error) {
		return begin(ctx, database, exchange)
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	dialer, err := binance.NewStreamDialer(binance.StreamConfig{URL: o.stream, Origin: before.origin, Log: o.log})
	if err != nil {
		return err
	}
	mender := mender{database: database, exchange: exchange, newest: before.newest, clock: o.clock, log: o.log}
	return live.NewService(live.Config{
		Series: o.series, SampleEvery: o.every, Clock: o.clock, Dialer: dialer,
		Ticks: database, Candles: database, Repairer: mender, Checker: mender,
		Hub: hub, Forecaster: forecaster, Forecasts: database, Timing: o.timing, Log: o.log,
	}).Run(ctx)
}

// beginning is what the database holds before the market is followed.
type beginning struct {
	origin history.Origin
	newest map[market.Series]time.Time // open time of the newest candle
}

// begin claims the database for the exchange's kind of candles.
func begin(
	ctx context.Context, database *timescale.Database, exchange func() (*binance.Client, error),
) (beginning, error) {
	client, err := exchange()
	if err != nil {
		return beginning{}, err
	}
	if err := claimDatabase(ctx, database, client); err != nil {
		return beginning{}, err
	}
	origin, err := database.Origin(ctx)
	if err != nil {
		return beginning{}, err
	}
	stored, err := database.Catalogue(ctx)
	if err != nil {
		return beginning{}, err
	}
	before := beginning{origin: origin, newest: map[market.Series]time.Time{}}
	for _, s := range stored {
		before.newest[s.Series] = s.Last
	}
	return before, nil
}

// exchangeClock is the exchange's clock as far as its client has measured it, and
// the machine's before that.
type exchangeClock struct{ client *binance.Client }

// Now is read anew each time: the client measures now and then.
func (c exchangeClock) Now() time.Time {
	if now, known := c.client.Estimate(); known {
		return now
	}
	return time.Now().UTC()
}

func (exchangeClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
