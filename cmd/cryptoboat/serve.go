package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/api"
	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/dashboard"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// adminVariable holds the password of the administrator.
const adminVariable = "CRYPTOBOAT_ADMIN_PASSWORD"

// Limits on a connection: no request here takes long to send, and the largest
// answer is a few hundred kilobytes.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	// shutdownTimeout is what requests in flight are given to end, and
	// followTimeout what the market's last samples are to be stored meanwhile. With
	// what the database's connections take after them it makes less than 5 seconds.
	shutdownTimeout = 3 * time.Second
	followTimeout   = 3500 * time.Millisecond
)

func runServe(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	address := flags.String("listen", "127.0.0.1:8080", "address to serve on")
	interval := addIntervalFlag(flags, market.Minute15)
	costs := addCostFlags(flags)
	stream := flags.Bool("stream", true, "follow the live market; without it, serve what is stored")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(e.errors, nil))
	slog.SetDefault(logger) // what the database reports looks like the rest
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	client, err := openExchange(e, database)
	if err != nil {
		return err
	}
	forecaster := forecast.NewForecaster(database, database)
	forecaster.ReckonWith(*costs)
	var hub *live.Hub
	if *stream {
		hub = live.NewHub(api.EncodeUpdate)
	}
	handler, err := newHandler(ctx, database, forecaster, hub, e.get(adminVariable), logger)
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
	followed := make(chan struct{})
	if !*stream {
		close(followed)
	} else {
		options := liveOptions{
			stream: e.get(streamVariable), clock: exchangeClock{client}, every: sampleEvery, log: logger,
		}
		for _, symbol := range defaultSymbols {
			options.series = append(options.series, market.Series{Symbol: symbol, Interval: *interval})
		}
		exchange := func() (*binance.Client, error) { return client, nil }
		go func() {
			defer close(followed)
			if err := follow(ctx, database, exchange, forecaster, hub, options); err != nil {
				logger.Error("the market is not followed", slog.Any("error", err))
			}
		}()
	}
	late := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(followTimeout, func() { close(late) }) })
	err = serve(ctx, listener, handler, logger)
	stop()
	select {
	case <-followed:
	case <-late:
		logger.Error("what was heard of the market could not be stored in time, the next start accounts for it")
	}
	return err
}

// newHandler puts the API and the pages on one mux behind one middleware. The
// hub is nil where the market is not followed; streams end with ctx. Without an
// administrator's password nobody can change anything.
func newHandler(
	ctx context.Context, database *timescale.Database, forecaster *forecast.Forecaster, hub *live.Hub,
	adminPassword string, logger *slog.Logger,
) (http.Handler, error) {
	mux := http.NewServeMux()
	dependencies := api.Dependencies{
		History: database, Coins: database, Forecaster: forecaster,
		Records: database, Models: forecaster, Trainer: forecaster, Database: database, AdminPassword: adminPassword,
		Now: time.Now, Stopping: ctx.Done(),
	}
	if hub != nil {
		dependencies.Live = hub
	}
	if err := api.Register(mux, dependencies); err != nil {
		return nil, err
	}
	err := dashboard.Register(mux, dashboard.Dependencies{
		History: database, Coins: database, Forecaster: forecaster, Record: database, Models: forecaster,
		Live: hub != nil, Now: time.Now, Log: logger,
	})
	if err != nil {
		return nil, err
	}
	return api.Wrap(mux, logger), nil
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
