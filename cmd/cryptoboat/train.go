package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// shownFeatures is how many features a training lists, the most important ones.
const shownFeatures = 8

func runTrain(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	interval := addIntervalFlag(flags, market.Minute15)
	from := addTimeFlag(flags, "from", history.FirstListing, "first candle to learn from")
	to := addTimeFlag(flags, "to", time.Time{}, "end of the candles to learn from, exclusive; now by default")
	costs := addCostFlags(flags)
	return forEachSymbol(ctx, e, flags, arguments, func(forecaster *forecast.Forecaster, symbol market.Symbol) error {
		forecaster.ReckonWith(*costs)
		series := market.Series{Symbol: symbol, Interval: *interval}
		end := *to
		if end.IsZero() {
			end = time.Now().UTC()
		}
		var bar *progress
		started := time.Now()
		model, known, err := forecaster.Train(ctx, series, market.TimeRange{Start: *from, End: end}, func(done, total int) {
			if bar == nil {
				bar = newProgress(e.errors, "training of "+series.String(), int64(total), "trees")
			}
			bar.show(int64(done))
		})
		if bar != nil {
			bar.clear()
		}
		if err != nil {
			return err
		}
		if known {
			fmt.Fprintf(e.out, "%s: model %d has learnt from these %d samples already; it is %s\n", series, model.ID, model.Rows, useOf(model))
			return nil
		}
		printTraining(e.out, model, time.Since(started))
		return nil
	})
}

// printTraining says what a training made of candles, and what it is worth.
func printTraining(w io.Writer, m forecast.Model, took time.Duration) {
	fmt.Fprintf(w, "%s: model %d learnt from %d samples of candles (%d candles could not be used), %s to %s, in %s; its file has %s MB\n",
		m.Series, m.ID, m.Rows, m.Skipped, m.Window.Start.Format(time.DateOnly), m.Window.End.Format(time.DateOnly),
		took.Round(100*time.Millisecond), megabytes(m.Bytes))
	fmt.Fprintf(w, "%s and %s: %s\n", verdictOf(m), useOf(m), m.Verdict.Reason)
	if !m.Verdict.Promoted {
		fmt.Fprintf(w, "cryptoboat models -promote %d puts it to use all the same\n", m.ID)
	}
	if m.Metrics.Rows == 0 {
		return
	}
	fmt.Fprintf(w, "On candles from %s to %s, by a training that had not seen them (losses and widths in basis points):\n",
		m.Metrics.Fold.Start.Format(time.DateOnly), m.Metrics.Fold.End.Format(time.DateOnly))
	printMetricsHead(w)
	printMetrics(w, "newest", m.Metrics.Scores, m.Metrics.Quarters)
	if trades := m.Metrics.Trading; trades.Costs != nil {
		fmt.Fprintln(w, describeTrading(trades, *trades.Costs))
	}
	printImportance(w, m.Importance[:min(shownFeatures, len(m.Importance))])
}

func printImportance(w io.Writer, features []forecast.Importance) {
	fmt.Fprintln(w, "What the pinball loss would rise by, in basis points, without knowing")
	for _, feature := range features {
		fmt.Fprintf(w, "  %-24s %+.4f\n", feature.Feature, feature.PinballLoss)
	}
}

func verdictOf(m forecast.Model) string {
	if m.Verdict.Promoted {
		return "Promoted"
	}
	return "Not promoted"
}

func useOf(m forecast.Model) string {
	if m.InUseSince.Valid {
		return "in use"
	}
	return "not in use"
}

// megabytes is the size of a model's file.
func megabytes(bytes int64) string {
	if bytes == 0 {
		return "pruned"
	}
	return fmt.Sprintf("%.1f", float64(bytes)/1e6)
}
