package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func runReconcile(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	interval := addIntervalFlag(flags, market.Minute15)
	from := addTimeFlag(flags, "from", time.Time{}, "first instant to compare (default the listing)")
	to := addTimeFlag(flags, "to", time.Time{}, "first instant no longer compared (default now)")
	mend := flags.Bool("mend", false, "store what is missing or different as the exchange has it")
	most := flags.Int("differences", 20, "list at most so many differences of a series; -1 for all")
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
	exchange, err := openExchange(e, database)
	if err != nil {
		return err
	}
	// Even where nothing is written: it makes no sense to compare real candles
	// with simulated ones.
	if err := claimDatabase(ctx, database, exchange); err != nil {
		return err
	}
	backfiller := history.NewBackfiller(exchange, database, slog.New(slog.NewTextHandler(e.errors, nil)))
	for _, symbol := range slices.Compact(symbols) {
		request := history.ReconcileRequest{
			Series: market.Series{Symbol: symbol, Interval: *interval},
			Wanted: market.TimeRange{Start: *from, End: *to},
			Mend:   *mend,
		}
		listed := 0
		report, err := backfiller.Reconcile(ctx, database, request, func(d history.Difference) {
			if listed++; *most < 0 || listed <= *most {
				printDifference(e.out, request.Series, d)
			}
		})
		if more := listed - *most; *most >= 0 && more > 0 {
			fmt.Fprintf(e.out, "%s: %d more differences are not listed, -differences -1 lists all\n", request.Series, more)
		}
		printReconciliation(e.out, request, report)
		if err != nil {
			return err
		}
	}
	return nil
}

func printDifference(w io.Writer, series market.Series, d history.Difference) {
	fmt.Fprintf(w, "%s: %s ", series, d.OpenTime.Format(time.RFC3339))
	switch d.Kind {
	case history.MissingHere:
		fmt.Fprint(w, "is missing here")
	case history.UnknownToExchange:
		fmt.Fprint(w, "is unknown to the exchange")
	case history.Different:
		for k, field := range d.Fields {
			if k > 0 {
				fmt.Fprint(w, ", ")
			}
			stored := "absent"
			if field.Stored.Valid {
				stored = strconv.FormatFloat(field.Stored.Value, 'f', -1, 64)
			}
			fmt.Fprintf(w, "%s is %s, the exchange has %s", field.Field, stored, strconv.FormatFloat(field.Exchange, 'f', -1, 64))
		}
	}
	fmt.Fprintln(w)
}

func printReconciliation(w io.Writer, request history.ReconcileRequest, r history.ReconcileReport) {
	fmt.Fprintf(w, "%s from %s to %s: %d candles equal, %d missing here, %d different, %d unknown to the exchange",
		request.Series, r.Compared.Start.Format(time.RFC3339), r.Compared.End.Format(time.RFC3339),
		r.Equal, r.Missing, r.Different, r.Unknown)
	if request.Mend {
		fmt.Fprintf(w, "; %d stored, %d corrected", r.New, r.Corrected)
	}
	fmt.Fprintln(w)
}
