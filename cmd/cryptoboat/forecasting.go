package main

import (
	"context"
	"flag"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// defaultSymbols are followed where nobody names others.
var defaultSymbols = []market.Symbol{"BTCUSDT", "ETHUSDT"}

// intervalFlag is a flag that takes one of Binance's names.
type intervalFlag market.Interval

func (i *intervalFlag) String() string { return string(*i) }

func (i *intervalFlag) Set(name string) error {
	interval, err := market.ParseInterval(name)
	*i = intervalFlag(interval)
	return err
}

func addIntervalFlag(flags *flag.FlagSet, preset market.Interval) *market.Interval {
	interval := preset
	flags.Var((*intervalFlag)(&interval), "interval", "length of the candles, such as 15m")
	return &interval
}

// parseSymbols reads the symbols that are a command's arguments, the default
// ones where there are none.
func parseSymbols(arguments []string) ([]market.Symbol, error) {
	if len(arguments) == 0 {
		return defaultSymbols, nil
	}
	symbols := make([]market.Symbol, len(arguments))
	for k, argument := range arguments {
		symbol, err := market.ParseSymbol(argument)
		if err != nil {
			return nil, err
		}
		symbols[k] = symbol
	}
	return symbols, nil
}

// forEachSymbol parses the flags of a command that forecasts, opens the
// database and calls do with each symbol that the arguments name.
func forEachSymbol(
	ctx context.Context, e environment, flags *flag.FlagSet, arguments []string,
	do func(*forecast.Forecaster, market.Symbol) error,
) error {
	if err := parse(flags, arguments); err != nil {
		return err
	}
	symbols, err := parseSymbols(flags.Args())
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	forecaster := forecast.NewForecaster(database, database)
	for _, symbol := range symbols {
		if err := do(forecaster, symbol); err != nil {
			return err
		}
	}
	return nil
}
