package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
)

func runSimulate(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	address := flags.String("listen", "127.0.0.1:8090", "address to serve on")
	archive := flags.String("archive", "", "folder of recorded candles to play, instead of generated ones")
	weeks := flags.Int("weeks", 0, "weeks to shift a recording by; 0 lets it end now, which another day is another market")
	pairs := flags.Int("pairs", 0, "generated pairs besides the two, for trials under load: P1USDT, P2USDT and so on")
	seed := flags.Uint64("seed", 1, "seed of the generated market; the same seed is the same market for ever")
	script := flags.String("faults", "", "file of scripted faults, as JSON")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is one word too many; %w", flags.Arg(0), errUsage)
	}
	source, err := simulatedMarket(ctx, e, *archive, *weeks, *seed, *pairs)
	if err != nil {
		return err
	}
	faults, err := readScript(*script)
	if err != nil {
		return err
	}
	server := simulator.NewServer(simulator.Config{
		Source: source, Script: faults, Log: slog.New(slog.NewTextHandler(e.errors, nil)),
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", *address, err)
	}
	// The first line is for scripts, which start this with a port of 0.
	host := listener.Addr().String()
	fmt.Fprintf(e.out, "http://%s\n", host)
	fmt.Fprintf(e.out, "The offline exchange. Point CryptoBoat at it by\n"+
		"  export %s=http://%s %s=ws://%s %s=http://%s/api/v3\n"+
		"with a database of its own.\n", exchangeVariable, host, streamVariable, host, coinsVariable, host)
	return server.Serve(ctx, listener)
}

func simulatedMarket(
	ctx context.Context, e environment, archive string, weeks int, seed uint64, more int,
) (simulator.Source, error) {
	if archive == "" {
		pairs := []simulator.Pair{
			{Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT", Listed: history.FirstListing},
			{Symbol: "ETHUSDT", Base: "ETH", Quote: "USDT", Listed: history.FirstListing},
		}
		for k := range more {
			base := fmt.Sprintf("P%d", k+1)
			pairs = append(pairs, simulator.Pair{
				Symbol: market.Symbol(base + "USDT"), Base: base, Quote: "USDT", Listed: history.FirstListing,
			})
		}
		return simulator.NewGenerated(simulator.GeneratedConfig{Seed: seed, Pairs: pairs}), nil
	}
	files, _, err := binance.FindArchives([]string{archive}, market.Series{})
	if err != nil {
		return nil, err
	}
	recorded, err := simulator.NewRecorded(ctx, files, time.Now(), weeks)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(e.errors, "The recording is shifted by %d weeks; -weeks %d gives the same market another day.\n",
		recorded.Weeks(), recorded.Weeks())
	for _, series := range recorded.LeftOut() {
		fmt.Fprintf(e.errors, "%s is not played: its grid does not move by weeks.\n", series)
	}
	return recorded, nil
}

func readScript(path string) (simulator.Script, error) {
	if path == "" {
		return simulator.Script{}, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return simulator.Script{}, market.Errorf(market.Invalid, "there is no file %s: give -faults a script as JSON", path)
	}
	if err != nil {
		return simulator.Script{}, fmt.Errorf("read the script: %w", err)
	}
	script, err := simulator.ParseScript(text)
	if err != nil {
		return simulator.Script{}, fmt.Errorf("read the script %s: %w", path, err)
	}
	return script, nil
}
