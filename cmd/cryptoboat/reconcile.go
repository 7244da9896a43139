package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func runReconcile(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	options := addSymbolFlag(flags)
	interval := addIntervalFlag(flags, market.Minute15)
	from := addTimeFlag(flags, "from", time.Time{}, "first instant to compare (default the listing)")
	to := addTimeFlag(flags, "to", time.Time{}, "first instant no longer compared (default now)")
	mend := flags.Bool("mend", false, "store what is missing or different as the exchange has it")
	most := flags.Int("differences", 20, "show at most so many differences of a series; -1 for all")
	if err := options.parse(flags, arguments); err != nil {
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
	log := slog.New(slog.NewTextHandler(e.errors, nil))
	// Even where nothing is written: it makes no sense to compare real candles
	// with simulated ones.
	if err := introducePatiently(ctx, log, exchange, database.ClaimOrigin); err != nil {
		return sayingWhen(err)
	}
	backfiller := history.NewBackfiller(exchange, database, log)
	var failed error
	for _, symbol := range options.orDefault() {
		err := reconcile(ctx, e, backfiller, database, *most, history.ReconcileRequest{
			Series: market.Series{Symbol: symbol, Interval: *interval},
			Wanted: market.TimeRange{Start: *from, End: *to},
			Mend:   *mend,
		})
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return sayingWhen(failed)
}

// reconcile compares one series and shows most differences at most, all of them
// where most is negative.
func reconcile(
	ctx context.Context, e environment, backfiller *history.Backfiller, stored history.StoredCandles,
	most int, request history.ReconcileRequest,
) error {
	bar := newProgress(e.errors, "reconciliation of "+request.Series.String(), 0, "pages")
	differences := 0
	report, err := backfiller.Reconcile(ctx, stored, request, func(d history.Difference) {
		if differences++; most < 0 || differences <= most {
			bar.clear()
			printDifference(e.out, request.Series, d)
		}
	}, func(r history.ReconcileReport) {
		bar.total = int64(r.Pages + r.Unfinished)
		bar.show(int64(r.Pages))
	})
	bar.clear()
	if more := differences - most; most >= 0 && more > 0 {
		fmt.Fprintf(e.out, "%s: %d more differences are not shown, -differences -1 shows all\n", request.Series, more)
	}
	switch {
	case !report.Compared.Empty():
		printReconciliation(e.out, request, report)
	case err == nil:
		fmt.Fprintf(e.out, "%s: there is nothing to compare: no candle of the range is listed and closed\n", request.Series)
	}
	return err
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
	if r.Unfinished > 0 {
		fmt.Fprintf(w, "; %d pages not compared: run it again", r.Unfinished)
	}
	fmt.Fprintln(w)
}
