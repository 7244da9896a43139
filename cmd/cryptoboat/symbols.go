package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// symbolOptions are the symbols that a command line names, each once.
type symbolOptions struct {
	symbols []market.Symbol // empty for the default
}

func addSymbolFlag(flags *flag.FlagSet) *symbolOptions {
	o := &symbolOptions{}
	flags.Func("symbol", "a pair such as BTCUSDT; may be given several times, or as arguments", o.add)
	return o
}

func (o *symbolOptions) add(name string) error {
	symbol, err := market.ParseSymbol(name)
	if err == nil && !slices.Contains(o.symbols, symbol) {
		o.symbols = append(o.symbols, symbol)
	}
	return err
}

// parse reads a command's flags, and its arguments as symbols.
func (o *symbolOptions) parse(flags *flag.FlagSet, arguments []string) error {
	if err := parse(flags, arguments); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		if strings.HasPrefix(name, "-") {
			return fmt.Errorf("%s comes too late: flags go before symbols; %w", name, errUsage)
		}
		if err := o.add(name); err != nil {
			return err
		}
	}
	return nil
}

// orDefault returns the symbols that are followed where none is named.
func (o *symbolOptions) orDefault() []market.Symbol {
	if len(o.symbols) == 0 {
		return defaultSymbols
	}
	return o.symbols
}
