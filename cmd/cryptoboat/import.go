package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// importWorkers store files at the same time: one parses while the other's rows
// are being written, beyond which two cores gain nothing.
const importWorkers = 2

func runImport(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	symbolName := flags.String("symbol", "", "symbol of files whose names do not say it, such as BTCUSDT")
	interval := addIntervalFlag(flags, "")
	quiet := flags.Bool("q", false, "print no line for a file of which nothing was corrected or refused")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return fmt.Errorf("name the files or folders to import; %w", errUsage)
	}
	var series market.Series
	if (*symbolName == "") != (*interval == "") {
		return fmt.Errorf("-symbol and -interval go together; %w", errUsage)
	}
	if *symbolName != "" {
		symbol, err := market.ParseSymbol(*symbolName)
		if err != nil {
			return err
		}
		series = market.Series{Symbol: symbol, Interval: *interval}
	}
	files, ignored, err := binance.FindArchives(flags.Args(), series)
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	if err := database.ClaimOrigin(ctx, history.Real); err != nil {
		return err
	}

	var total, done int64
	for _, file := range files {
		total += file.Bytes
	}
	bar := newProgress(e.errors, fmt.Sprintf("import of %d files", len(files)), total/1024, "KiB")
	summary, err := history.Import(ctx, files, database, importWorkers, func(file history.FileReport) {
		done += file.Bytes
		if file.Err != nil || !*quiet || file.Corrected > 0 {
			bar.clear()
			printFileReport(e.out, file)
		}
		bar.show(done / 1024)
	})
	bar.clear()
	printSummary(e.out, summary, len(ignored))
	if err != nil {
		return err
	}
	if summary.Failed > 0 {
		return errReported
	}
	return nil
}

func printFileReport(w io.Writer, file history.FileReport) {
	if file.Err != nil {
		fmt.Fprintf(w, "%s: REFUSED, nothing of it is stored: %v\n", file.Name, file.Err)
		for _, row := range file.Refused {
			fmt.Fprintf(w, "  line %d: %s\n", row.Line, row.Reason)
		}
		if more := file.RefusedRows - int64(len(file.Refused)); more > 0 {
			fmt.Fprintf(w, "  and %d more\n", more)
		}
		return
	}
	fmt.Fprintf(w, "%s: %d new, %d unchanged, %d corrected (%s)\n",
		file.Name, file.New, file.Unchanged, file.Corrected, file.Duration.Round(time.Millisecond))
}

func printSummary(w io.Writer, s history.Summary, ignored int) {
	fmt.Fprintf(w, "%d files in %s: %d candles new, %d unchanged, %d corrected",
		s.Files, s.Duration.Round(10*time.Millisecond), s.New, s.Unchanged, s.Corrected)
	if s.Failed > 0 {
		fmt.Fprintf(w, "; %d files REFUSED with %d bad rows", s.Failed, s.RefusedRows)
	}
	if s.Unfinished > 0 {
		fmt.Fprintf(w, "; %d files not finished: run it again", s.Unfinished)
	}
	if ignored > 0 {
		fmt.Fprintf(w, "; %d other files ignored", ignored)
	}
	fmt.Fprintln(w)
}
