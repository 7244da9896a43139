package live

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Config says what a Service follows and with what. Every field but Forecaster,
// Forecasts and Log is needed; where Timing is zero, it is the usual one.
type Config struct {
	Series      []market.Series // one for each symbol
	SampleEvery time.Duration   // by Clock; divides a minute
	Clock       Clock           // the exchange's
	Dialer      Dialer
	Ticks       TickStore
	Candles     CandleStore
	Repairer    Repairer
	Checker     Checker
	Hub         *Hub
	Forecaster  Forecaster    // nil forecasts nothing
	Forecasts   ForecastStore // nil stores no forecasts
	Timing      Timing
	Log         *slog.Logger // nil logs nothing
}

// seriesOnConnection is how many series share a connection at most. All of them
// are named in its address, of which an exchange may refuse more than some 8,000
// characters: a symbol of 20, the longest there may be, takes 31 with its stream's
// ending and a separator, as in "@kline_15m/", so that these take 7,750.
const seriesOnConnection = 250

// stopWithin bounds how long a service that was told to stop goes on writing.
const stopWithin = 3 * time.Second

// publisher is the part of a Hub that a Service needs.
type publisher interface{ Publish(Update) }

// Service follows the market until it is told to stop.
type Service struct {
	config      Config
	hub         publisher
	followers   []*follower
	supervisors []*supervisor
	repairs     *repairs
	closes      *closes
	forecasts   *forecasts // nil without a Forecaster
	ticks       *tickBuffer
}

// NewService returns a service that does nothing yet.
func NewService(config Config) *Service { return newService(config, config.Hub) }

func newService(config Config, hub publisher) *Service {
	config.Timing = config.Timing.withDefaults()
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{config: config, hub: hub}
	for _, series := range config.Series {
		s.followers = append(s.followers, &follower{series: series})
	}
	s.forecasts = newForecasts(config, hub)
	s.repairs = newRepairs(config, hub, s.forecasts)
	s.closes = newCloses(config, hub, s.repairs, s.forecasts)
	s.ticks = newTickBuffer(config.Series, config.SampleEvery)
	for followers := range slices.Chunk(s.followers, seriesOnConnection) {
		s.supervisors = append(s.supervisors, newSupervisor(s, followers))
	}
	return s
}

// Run follows the market until ctx ends, then writes what it still holds and
// returns nil, within a few seconds. It returns an Invalid error for a Config
// that cannot be followed, and no other. It is called once.
func (s *Service) Run(ctx context.Context) error {
	if err := s.config.validate(); err != nil {
		return err
	}
	var working sync.WaitGroup
	for _, supervisor := range s.supervisors {
		supervisor.link.lost(s.config.Clock.Now())
		working.Go(func() { supervisor.run(ctx) })
	}
	sampler := newSampler(s)
	working.Go(func() { sampler.run(ctx) })
	writer := newTickWriter(s)
	working.Go(func() { writer.run(ctx) })
	if s.forecasts != nil {
		working.Go(func() { s.forecasts.run(ctx) })
		working.Go(func() { s.forecasts.writer.run(ctx) })
	}
	working.Wait()
	s.closes.wait()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	working.Go(func() { writer.finish(ctx) })
	working.Go(func() {
		s.closes.finish(ctx)
		if s.forecasts != nil {
			s.forecasts.writer.finish(ctx)
		}
	})
	working.Go(s.repairs.wait)
	working.Wait()
	return nil
}

// hear takes in what a connection says of a candle. It never waits, so that the
// connection is read as fast as it delivers.
func (s *Service) hear(ctx context.Context, f *follower, kline *Kline, now time.Time) {
	f.mu.Lock()
	heard := f.accept(kline, now)
	if heard.newer {
		price := *kline // the hub keeps it
		// While it is locked, so that two connections cannot swap their prices.
		s.hub.Publish(Update{Symbol: f.series.Symbol, Price: &price})
	}
	f.mu.Unlock()
	if heard.closes {
		s.closes.take(ctx, f, *kline)
	}
	if !heard.unclosed.Empty() {
		s.repairs.suspect(ctx, f, heard.unclosed)
	}
}

func (c Config) validate() error {
	if len(c.Series) == 0 {
		return market.Errorf(market.Invalid, "there is no series to follow: name at least one")
	}
	if c.SampleEvery <= 0 || time.Minute%c.SampleEvery != 0 {
		return market.Errorf(market.Invalid, "samples every %s do not fill a minute: use a period that divides it, such as 5s", c.SampleEvery)
	}
	known := map[market.Symbol]bool{}
	for _, series := range c.Series {
		if series.Interval.Length() == 0 {
			return market.Errorf(market.Invalid, "%s has an unknown interval", series)
		}
		if known[series.Symbol] {
			return market.Errorf(market.Invalid, "%s is to be followed at two intervals: name it once", series.Symbol)
		}
		known[series.Symbol] = true
	}
	return nil
}
