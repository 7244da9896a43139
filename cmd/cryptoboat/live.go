package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// refusedWait is how long it takes until an exchange is asked again that refused
// to say whose candles it has: what blocks a machine for asking too much goes on
// blocking one that asks.
const refusedWait = time.Minute

// liveOptions say what serve follows.
type liveOptions struct {
	stream string // address, the public one where empty
	clock  live.Clock
	timing live.Timing
	log    *slog.Logger
}

// followedSeries are the series that are followed, and how often each is sampled.
type followedSeries struct {
	series []market.Series
	every  time.Duration
}

func followedOf(s settings.Settings) followedSeries {
	f := followedSeries{every: s.SampleEvery}
	for _, symbol := range s.Symbols {
		f.series = append(f.series, market.Series{Symbol: symbol, Interval: s.StreamInterval})
	}
	return f
}

func (f followedSeries) equal(other followedSeries) bool {
	return f.every == other.every && slices.Equal(f.series, other.series)
}

// handOver is how long what was followed before goes on being followed beside what is
// from now on, so that no sample is missed in between. What both of them hear is
// stored once.
const handOver = 10 * time.Second

// follow keeps to the market until ctx ends: to what changes tells last, of which the
// first is there from the beginning. It begins once the exchange has told whose
// candles it has, which must be the kind that the database holds: for anything else
// that is in the way, it waits.
func follow(
	ctx context.Context, database *timescale.Database, exchange func() (*binance.Client, error),
	forecaster *forecast.Forecaster, hub *live.Hub, o liveOptions, changes <-chan followedSeries,
) error {
	before, err := beginTirelessly(ctx, database, exchange, o)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	dialer, err := binance.NewStreamDialer(binance.StreamConfig{URL: o.stream, Origin: before.origin, Pauses: database, Log: o.log})
	if err != nil {
		return err
	}
	mender := mender{database: database, exchange: exchange, stored: before.stored, clock: o.clock, log: o.log}
	var following sync.WaitGroup
	defer following.Wait()
	failed := make(chan error, 1)
	stop := func() {}
	defer func() { stop() }()
	var now followedSeries
	for {
		select {
		case next := <-changes:
			if next.equal(now) {
				continue
			}
			now = next
			running, cancel := context.WithCancel(ctx)
			service := live.NewService(live.Config{
				Series: now.series, SampleEvery: now.every, Clock: o.clock, Dialer: dialer,
				Ticks: database, Candles: database, Repairer: mender, Checker: mender,
				Hub: hub, Forecaster: forecaster, Forecasts: database, Timing: o.timing, Log: o.log,
			})
			following.Go(func() {
				if err := service.Run(running); err != nil {
					select {
					case failed <- err:
					default: // one is enough
					}
				}
			})
			old := stop
			overlap := time.AfterFunc(handOver, old)
			stop = func() {
				overlap.Stop()
				old()
				cancel()
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// beginning is what the database holds before the market is followed.
type beginning struct {
	origin history.Origin
	stored map[market.Series]history.StoredSeries
}

// beginTirelessly is begin, again and again until it succeeds, the exchange has
// the other kind of candles or an address is wrong, or ctx ends. Anything else may
// pass, a refusal too: a firewall forgets, and a region may be served tomorrow.
func beginTirelessly(
	ctx context.Context, database *timescale.Database, exchange func() (*binance.Client, error), o liveOptions,
) (beginning, error) {
	for {
		before, err := history.Tirelessly(ctx, o.log, "asking the exchange whose candles it has", func() (beginning, error) {
			return begin(ctx, database, exchange)
		})
		switch market.ErrorCode(err) {
		case "", market.Conflict, market.Invalid:
			return before, err
		}
		if ctx.Err() != nil {
			return beginning{}, context.Cause(ctx)
		}
		o.log.ErrorContext(ctx, "the market is not followed yet, the exchange is asked again",
			slog.Duration("wait", refusedWait), slog.Any("error", err))
		select {
		case <-o.clock.After(refusedWait):
		case <-ctx.Done():
		}
	}
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
	before := beginning{origin: origin, stored: map[market.Series]history.StoredSeries{}}
	for _, s := range stored {
		before.stored[s.Series] = s
	}
	return before, nil
}

// exchangeClock is the exchange's clock as far as its client has measured it, and
// the machine's before that.
type exchangeClock struct{ client *binance.Client }

// Now is read anew each time: the client measures now and then. It has no reading
// of the monotonic clock, which may stand still while the machine sleeps, so that
// a difference of two instants holds the sleep between them.
func (c exchangeClock) Now() time.Time {
	now, known := c.client.Estimate()
	if !known {
		now = time.Now()
	}
	return now.UTC().Round(0)
}

func (exchangeClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
