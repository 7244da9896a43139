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
	options := addSymbolFlag(flags)
	longest := flags.Int("gaps", 10, "show at most so many gaps of a series, the newest ones; -1 for all")
	from := addTimeFlag(flags, "from", history.FirstListing, "first instant to look at")
	to := addTimeFlag(flags, "to", time.Time{}, "first instant no longer looked at (default now)")
	if err := options.parse(flags, arguments); err != nil {
		return err
	}
	window, err := coverageWindow(*from, *to, time.Now().UTC())
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	symbols := options.symbols
	if len(symbols) == 0 {
		stored, err := database.Catalogue(ctx)
		if err != nil {
			return err
		}
		symbols = stored.Symbols()
		if len(symbols) == 0 {
			fmt.Fprintln(e.out, "nothing is stored: cryptoboat backfill fetches candles, cryptoboat import PATH... reads files of them")
			return nil
		}
	}
	for _, symbol := range symbols {
		coverage, err := database.Coverage(ctx, symbol, window)
		if err != nil {
			return err
		}
		printCoverage(e, coverage, *longest)
	}
	return nil
}

// coverageWindow returns the range to look at, as the API takes it: what has not
// happened yet is not missing.
func coverageWindow(from, to, now time.Time) (market.TimeRange, error) {
	window := market.TimeRange{Start: from, End: to}
	if to.IsZero() || to.After(now) {
		window.End = now
	}
	if window.Empty() {
		return window, market.Errorf(market.Invalid,
			"there is nothing to look at from %s on: -from must lie before -to, and before now", from.Format(time.RFC3339))
	}
	return window, nil
}

func printCoverage(e environment, coverage []history.Coverage, longest int) {
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SYMBOL\tINTERVAL\tFIRST\tLAST\tROWS\tPENDING\tCONFIRMED EMPTY\tOFF GRID\tNOT LISTED")
	for _, c := range coverage {
		missing := map[history.GapCause]int{}
		for _, gap := range c.Gaps {
			missing[gap.Cause] += gap.Missing
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", c.Symbol, c.Interval,
			c.First.Format(time.RFC3339), c.Last.Format(time.RFC3339), c.Rows,
			missing[history.Pending], missing[history.ConfirmedEmpty], missing[history.OffGrid], missing[history.NotListed])
	}
	table.Flush()
	for _, c := range coverage {
		gaps := c.Gaps
		if longest >= 0 && len(gaps) > longest {
			fmt.Fprintf(e.out, "%s: %d older gaps are not shown, -gaps -1 shows all\n", c.Series, len(gaps)-longest)
			gaps = gaps[len(gaps)-longest:]
		}
		for _, gap := range gaps {
			fmt.Fprintf(e.out, "%s: %d missing from %s to %s, %s\n", c.Series, gap.Missing,
				gap.Start.Format(time.RFC3339), gap.End.Format(time.RFC3339), describeCause(gap))
		}
	}
	fmt.Fprintln(e.out)
}

func describeCause(gap history.Gap) string {
	switch {
	case gap.Cause == history.Pending && gap.Asked == 0:
		return "pending: not asked for yet"
	case gap.Cause == history.Pending:
		return fmt.Sprintf("pending: the exchange had none on %d occasion(s), last at %s", gap.Asked, gap.LastAsked.Value.Format(time.RFC3339))
	case gap.Cause == history.ConfirmedEmpty:
		return fmt.Sprintf("confirmed empty: the exchange had none on %d occasions", gap.Asked)
	case gap.Cause == history.OffGrid:
		return "off the grid: a candle is there but opens later"
	default:
		return "not listed yet"
	}
}
