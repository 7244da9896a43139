package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// backfillWorkers fetch as many series at once: while one waits for the
// exchange, the other's candles are being written.
const backfillWorkers = 2

func runBackfill(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	options := addFillFlags(flags, market.Minute15)
	from := addTimeFlag(flags, "from", time.Time{}, "first instant wanted (default the listing)")
	if err := options.parse(flags, arguments); err != nil {
		return err
	}
	return fill(ctx, e, options, func(history.Catalogue) ([]history.BackfillRequest, error) {
		var requests []history.BackfillRequest
		for _, symbol := range options.orDefault() {
			requests = append(requests, options.request(market.Series{Symbol: symbol, Interval: *options.interval}, *from))
		}
		return requests, nil
	})
}

func runRepair(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	options := addFillFlags(flags, "")
	from := addTimeFlag(flags, "from", time.Time{}, "first instant to look at (default the listing)")
	if err := options.parse(flags, arguments); err != nil {
		return err
	}
	return fill(ctx, e, options, func(stored history.Catalogue) ([]history.BackfillRequest, error) {
		var requests []history.BackfillRequest
		for _, s := range stored {
			if len(options.symbols) > 0 && !slices.Contains(options.symbols, s.Symbol) ||
				*options.interval != "" && s.Interval != *options.interval {
				continue
			}
			requests = append(requests, options.request(s.Series, *from))
		}
		if len(requests) == 0 {
			return nil, market.Errorf(market.NotFound, "no such candles are stored, so there is nothing to repair: cryptoboat backfill fetches them")
		}
		return requests, nil
	})
}

// fillOptions are what backfill and repair have in common.
type fillOptions struct {
	*symbolOptions
	interval *market.Interval
	to       *time.Time
	recheck  *bool
	dryRun   *bool
}

func addFillFlags(flags *flag.FlagSet, interval market.Interval) *fillOptions {
	o := &fillOptions{symbolOptions: addSymbolFlag(flags)}
	o.interval = addIntervalFlag(flags, interval)
	o.to = addTimeFlag(flags, "to", time.Time{}, "first instant no longer wanted (default now)")
	o.recheck = flags.Bool("recheck", false, "ask again for what the exchange is known not to have")
	o.dryRun = flags.Bool("dry-run", false, "only say what would be asked")
	return o
}

func (o *fillOptions) request(series market.Series, from time.Time) history.BackfillRequest {
	return history.BackfillRequest{
		Series: series, Wanted: market.TimeRange{Start: from, End: *o.to}, Recheck: *o.recheck,
	}
}

// fill asks the exchange for what is missing of each requested series.
func fill(
	ctx context.Context, e environment, options *fillOptions,
	requestsOf func(stored history.Catalogue) ([]history.BackfillRequest, error),
) error {
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	stored, err := database.Catalogue(ctx)
	if err != nil {
		return err
	}
	requests, err := requestsOf(stored)
	if err != nil {
		return err
	}
	exchange, err := openExchange(e, database)
	if err != nil {
		return err
	}
	var store history.Store = database
	claim := database.ClaimOrigin
	if *options.dryRun {
		store, claim = unchanged{database}, database.CheckOrigin
	}
	log := slog.New(slog.NewTextHandler(e.errors, nil))
	if err := introducePatiently(ctx, log, exchange, claim); err != nil {
		return sayingWhen(err)
	}
	backfiller := history.NewBackfiller(exchange, store, log)
	plans := make([]history.BackfillPlan, len(requests))
	for k, request := range requests {
		if plans[k], err = backfiller.Plan(ctx, request); err != nil {
			return sayingWhen(fmt.Errorf("plan %s: %w", request.Series, err))
		}
	}
	printPlans(e, plans, exchange)
	if *options.dryRun {
		return nil
	}
	return sayingWhen(runPlans(ctx, e, backfiller, plans))
}

// unchanged is a store in which planning leaves no trace.
type unchanged struct{ history.Store }

func (unchanged) SetListed(context.Context, market.Symbol, time.Time) error { return nil }

func printPlans(e environment, plans []history.BackfillPlan, exchange *binance.Client) {
	pages := 0
	for _, plan := range plans {
		pages += len(plan.Pages)
		fmt.Fprintf(e.out, "%s: %d candles are missing from %s to %s, %d pages\n", plan.Series, plan.Candles,
			plan.Wanted.Start.Format(time.RFC3339), plan.Wanted.End.Format(time.RFC3339), len(plan.Pages))
	}
	weight := pages * binance.KlinesWeight
	perMinute := exchange.WeightPerMinute()
	eta := time.Duration(float64(weight) / float64(perMinute) * float64(time.Minute))
	fmt.Fprintf(e.out, "%d pages weigh %d; at %d a minute they take at least %s\n",
		pages, weight, perMinute, eta.Round(time.Second))
}

// runPlans runs every plan, some at once, and says what became of each. One
// that fails does not keep the others from being run.
func runPlans(ctx context.Context, e environment, backfiller *history.Backfiller, plans []history.BackfillPlan) error {
	var (
		mutex  sync.Mutex // guards what follows, and the terminal
		pages  = 0
		done   = make([]int, len(plans))
		failed error
	)
	for _, plan := range plans {
		pages += len(plan.Pages)
	}
	started := time.Now()
	bar := newProgress(e.errors, "backfill", int64(pages), "pages")
	queue := make(chan int, len(plans))
	for k := range plans {
		queue <- k
	}
	close(queue)
	var candles int64
	var working sync.WaitGroup
	for range min(backfillWorkers, len(plans)) {
		working.Go(func() {
			for k := range queue {
				report, err := backfiller.Run(ctx, plans[k], func(progress history.BackfillProgress) {
					mutex.Lock()
					defer mutex.Unlock()
					done[k] = progress.Pages
					total := 0
					for _, n := range done {
						total += n
					}
					bar.label = fmt.Sprintf("backfill, now %s of %s", plans[k].Series, progress.Page.Start.Format(time.DateOnly))
					bar.show(int64(total))
				})
				mutex.Lock()
				bar.clear()
				printBackfillReport(e, plans[k].Series, report)
				candles += report.New + report.Unchanged + report.Corrected
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s: %w", plans[k].Series, err))
				}
				mutex.Unlock()
			}
		})
	}
	working.Wait()
	elapsed := time.Since(started)
	fmt.Fprintf(e.out, "%d candles in %s, %.0f/s\n", candles, elapsed.Round(10*time.Millisecond), float64(candles)/max(elapsed.Seconds(), 1e-3))
	return failed
}

func printBackfillReport(e environment, series market.Series, r history.BackfillReport) {
	fmt.Fprintf(e.out, "%s: %d candles new, %d unchanged, %d corrected, in %s",
		series, r.New, r.Unchanged, r.Corrected, r.Duration.Round(10*time.Millisecond))
	if r.StayedEmpty > 0 {
		fmt.Fprintf(e.out, "; the exchange has none at %d places", r.StayedEmpty)
	}
	if r.Retries > 0 {
		fmt.Fprintf(e.out, "; %d attempts were repeated", r.Retries)
	}
	if r.SetAside > 0 {
		fmt.Fprintf(e.out, "; %d pages set aside: the exchange gives no usable answer for them", r.SetAside)
	}
	if left := r.Unfinished - r.SetAside; left > 0 {
		fmt.Fprintf(e.out, "; %d pages not finished: run it again", left)
	}
	fmt.Fprintln(e.out)
	if r.StayPending > 0 {
		fmt.Fprintf(e.out, "%s: %d places stay pending: the exchange had none; run cryptoboat repair in ten minutes or more\n",
			series, r.StayPending)
	}
}
