package main

import (
	"context"
	"flag"
	"strings"

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

// addForecastSymbolFlag adds -symbol, which takes several with commas between them
// too.
func addForecastSymbolFlag(flags *flag.FlagSet) *symbolOptions {
	o := &symbolOptions{}
	flags.Func("symbol", "a pair such as BTCUSDT; several with commas, or given several times, or as arguments (default BTCUSDT,ETHUSDT)",
		func(names string) error {
			for name := range strings.SplitSeq(names, ",") {
				if err := o.add(strings.TrimSpace(name)); err != nil {
					return err
				}
			}
			return nil
		})
	return o
}

// forEachSymbol parses the flags of a command that forecasts, opens the
// database and calls do with each symbol that the command line names.
func forEachSymbol(
	ctx context.Context, e environment, flags *flag.FlagSet, arguments []string,
	do func(*forecast.Forecaster, market.Symbol) error,
) error {
	options := addForecastSymbolFlag(flags)
	if err := options.parse(flags, arguments); err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	forecaster := forecast.NewForecaster(database, database)
	for _, symbol := range options.orDefault() {
		if err := do(forecaster, symbol); err != nil {
			return err
		}
	}
	return nil
}
