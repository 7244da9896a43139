package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/api"
	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/coingecko"
	"github.com/cryptoboat/cryptoboat/internal/dashboard"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// Limits on a connection: no request here takes long to send, and the largest
// answer is a few hundred kilobytes.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	// shutdownTimeout is what requests in flight are given to end, and
	// besideTimeout what the market's last samples and the work on jobs are meanwhile.
	// With what the database's connections take after them it makes less than 5 seconds.
	shutdownTimeout = 3 * time.Second
	besideTimeout   = 3500 * time.Millisecond
	// settingsEvery is how often it is looked whether the settings have changed.
	settingsEvery = 2 * time.Second
)

func runServe(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	address := flags.String("listen", "127.0.0.1:8080", "address to serve on")
	stream := flags.Bool("stream", true, "follow the live market; without it, serve what is stored")
	working := flags.Bool("jobs", true, "work on jobs; without it, others do")
	perMinute := flags.Int("rate-limit", api.RequestsPerMinute, "most requests a minute to the API by one user, or one address without one")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	if *perMinute < 1 || *perMinute > api.MostRequestsPerMinute {
		return market.Errorf(market.Invalid, "-rate-limit is %d: give it as a number from 1 to %d", *perMinute, api.MostRequestsPerMinute)
	}
	logger := slog.New(slog.NewTextHandler(e.errors, nil))
	slog.SetDefault(logger) // what the database reports looks like the rest
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	s, err := newServing(ctx, e, database, *stream, logger)
	if err != nil {
		return err
	}
	if s.reads != database {
		defer s.reads.Close()
	}
	s.perMinute = *perMinute
	handler, err := newHandler(ctx, s)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", *address, err)
	}
	fmt.Fprintf(e.out, "CryptoBoat serves on http://%s\n", publicAddress(listener.Addr()))

	// Whichever of the two ends, for whatever reason, takes the other along, but
	// for a market that cannot be followed: what is stored can be served.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	changes := make(chan followedSeries, 1)
	changes <- followedOf(s.current())
	if *stream {
		options := liveOptions{stream: e.get(streamVariable), clock: exchangeClock{s.exchange}, log: logger}
		exchange := func() (*binance.Client, error) { return s.exchange, nil }
		beside.Go(func() {
			if err := follow(ctx, database, exchange, s.forecaster, s.hub, options, changes); err != nil {
				logger.Error("the market is not followed", slog.Any("error", err))
			}
		})
	}
	if *working {
		beside.Go(func() {
			if err := s.jobs.Run(ctx); err != nil {
				logger.Error("jobs did not end well", slog.Any("error", err))
			}
		})
	}
	beside.Go(func() {
		s.settings.Watch(ctx, s.current(), settingsEvery, func(now settings.Settings) {
			logger.Info("settings have changed")
			s.apply(now)
			select {
			case <-changes: // which nobody has followed yet
			default:
			}
			changes <- followedOf(now)
		})
	})
	ended, late := make(chan struct{}), make(chan struct{})
	go func() {
		beside.Wait()
		close(ended)
	}()
	context.AfterFunc(ctx, func() { time.AfterFunc(besideTimeout, func() { close(late) }) })
	err = serve(ctx, listener, handler, logger)
	stop()
	select {
	case <-ended:
	case <-late:
		logger.Error("what was heard of the market could not be stored in time, the next start accounts for it")
	}
	return err
}

// serving is what a serving process is made of.
type serving struct {
	database   *timescale.Database
	reads      *timescale.Database // of history: a replica, or the database itself
	exchange   *binance.Client
	forecaster *forecast.Forecaster
	settings   *settings.Service
	accounts   *accounts.Service
	jobs       *jobs.Service
	hub        *live.Hub // nil where the market is not followed
	holds      atomic.Pointer[settings.Settings]
	perMinute  int // most requests of a caller
	log        *slog.Logger
}

func newServing(ctx context.Context, e environment, database *timescale.Database, stream bool, log *slog.Logger) (*serving, error) {
	s := &serving{database: database, log: log, perMinute: api.RequestsPerMinute, settings: settings.NewService(database, log)}
	var err error
	if s.accounts, err = accounts.NewService(database, time.Now); err != nil {
		return nil, err
	}
	if err := ensureAdmin(ctx, e, s.accounts, database); err != nil {
		return nil, err
	}
	if s.exchange, err = openExchange(e, database); err != nil {
		return nil, err
	}
	coins, err := coingecko.NewClient(coingecko.Config{URL: e.get(coinsVariable), APIKey: e.get(coinsKeyVariable)})
	if err != nil {
		return nil, err
	}
	holds, err := s.settings.Get(ctx)
	if err != nil {
		return nil, err
	}
	s.forecaster = forecast.NewForecaster(database, database)
	if stream {
		s.hub = live.NewHub(api.EncodeUpdate)
	}
	s.holds.Store(&holds)
	if s.jobs, err = newJobs(workers{
		database: database, exchange: s.exchange, coins: coins, forecaster: s.forecaster,
		settings: s.settings, accounts: s.accounts, hub: s.hub, current: s.current, now: time.Now, log: log,
	}, holds); err != nil {
		return nil, err
	}
	s.forecaster.ReckonWith(forecast.Costs{Fee: holds.Fee, Spread: holds.Spread})
	s.reads, err = openReads(ctx, e, database, log)
	return s, err
}

// current returns the settings that hold.
func (s *serving) current() settings.Settings { return *s.holds.Load() }

// apply makes everything but the stream go by other settings.
func (s *serving) apply(now settings.Settings) {
	s.holds.Store(&now)
	s.forecaster.ReckonWith(forecast.Costs{Fee: now.Fee, Spread: now.Spread})
	s.jobs.Change(planOf(now))
}

// ensureAdmin makes sure that somebody can change the service. The password that it
// makes is printed where people look, once, and to no log.
func ensureAdmin(ctx context.Context, e environment, people *accounts.Service, database *timescale.Database) error {
	has, err := database.HasAdmin(ctx)
	if err != nil || has {
		return err
	}
	made, err := people.EnsureAdmin(ctx, e.get(adminVariable))
	if err != nil {
		return fmt.Errorf("make the first admin with the password of %s: %w", adminVariable, err)
	}
	if made != "" {
		fmt.Fprintf(e.out, "The first admin is %s with the password %s, which is shown this once: change it by \"cryptoboat users password %s\"\n",
			accounts.FirstAdmin, made, accounts.FirstAdmin)
	}
	return nil
}

// newHandler puts the API and the pages on one mux behind one middleware. Streams end
// with ctx.
func newHandler(ctx context.Context, s *serving) (http.Handler, error) {
	mux := http.NewServeMux()
	dependencies := api.Dependencies{
		History: s.reads, Coins: s.reads, Forecaster: s.forecaster,
		Records: s.reads, Models: s.forecaster, Database: s.database,
		Accounts: s.accounts, Settings: s.settings, Current: s.current,
		Jobs: s.jobs, Schedule: s.jobs, Runs: s.database,
		Now: time.Now, Stopping: ctx.Done(),
	}
	if s.hub != nil {
		dependencies.Live = s.hub
	}
	if s.reads != s.database {
		dependencies.Replica = replicaLag{reads: s.reads, primary: s.database}
	}
	if err := api.Register(mux, dependencies); err != nil {
		return nil, err
	}
	err := dashboard.Register(mux, dashboard.Dependencies{
		History: s.reads, Coins: s.reads, Forecaster: s.forecaster, Record: s.reads, Models: s.forecaster,
		Accounts: s.accounts, Settings: s.settings, Jobs: s.jobs, Schedule: s.jobs, Runs: s.database,
		Live: s.hub != nil, Now: time.Now, Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	return api.Wrap(api.NewRateLimiter(s.perMinute).Limit(mux), s.accounts, s.current, s.log), nil
}

// serve answers requests until ctx ends, then lets those in flight finish for
// shutdownTimeout and cuts off the rest.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ConnContext:       api.ConnContext, // a stream bounds what its connection holds
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		// ctx has ended, which must not end the requests in flight.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			logger.Warn("requests are cut off that did not end in time", slog.Duration("waited", shutdownTimeout))
			err = server.Close()
		}
		stopped <- err
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// publicAddress is what a person on this machine types.
func publicAddress(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
