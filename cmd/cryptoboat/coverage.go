package main

import (
	"context"
	"flag"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func runCoverage(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	longest := flags.Int("holes", 10, "list at most so many holes of a series, the newest ones; -1 for all")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	var symbols []market.Symbol
	if flags.NArg() > 0 {
		if symbols, err = parseSymbols(flags.Args()); err != nil {
			return err
		}
	} else {
		stored, err := database.Catalogue(ctx)
		if err != nil {
			return err
		}
		symbols = stored.Symbols()
		if len(symbols) == 0 {
			fmt.Fprintln(e.out, "nothing is stored: import candle files by cryptoboat import PATH...")
			return nil
		}
	}
	for _, symbol := range symbols {
		coverage, err := database.Coverage(ctx, symbol)
		if err != nil {
			return err
		}
		printCoverage(e, coverage, *longest)
	}
	return nil
}

func printCoverage(e environment, coverage []history.Coverage, longest int) {
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SYMBOL\tINTERVAL\tFIRST\tLAST\tROWS\tHOLES\tMISSING")
	for _, c := range coverage {
		missing := 0
		for _, hole := range c.Holes {
			missing += hole.Missing
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\n", c.Symbol, c.Interval,
			c.First.Format(time.RFC3339), c.Last.Format(time.RFC3339), c.Rows, len(c.Holes), missing)
	}
	table.Flush()
	for _, c := range coverage {
		holes := c.Holes
		if longest >= 0 && len(holes) > longest {
			fmt.Fprintf(e.out, "%s: %d older holes are not listed, -holes -1 lists all\n", c.Series, len(holes)-longest)
			holes = holes[len(holes)-longest:]
		}
		for _, hole := range holes {
			fmt.Fprintf(e.out, "%s: %d missing from %s to %s\n", c.Series, hole.Missing,
				hole.Start.Format(time.RFC3339), hole.End.Format(time.RFC3339))
		}
	}
	fmt.Fprintln(e.out)
}
