package main

import (
	"context"
	"flag"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func runEvaluate(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	interval := addIntervalFlag(flags, market.Minute15)
	learn := addTimeFlag(flags, "learn-from", history.FirstListing, "learn from no candle that opened before")
	from := addTimeFlag(flags, "from", time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC), "first candle to forecast")
	to := addTimeFlag(flags, "to", time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC), "end of the candles to forecast, exclusive")
	err := forEachSymbol(ctx, e, flags, arguments, func(forecaster *forecast.Forecaster, symbol market.Symbol) error {
		series := market.Series{Symbol: symbol, Interval: *interval}
		fmt.Fprintf(e.out, "%s, each month by a model trained on the candles before it\n", series)
		table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(table, "month\trows\tskill %\thit %\tBrier\tpinball\tEWMA\tHAR\tcover 80\tcover 90\tHAR 80\tHAR 90\twidth 80\tHAR\t\n")
		whole, err := forecaster.Evaluate(ctx, series, *learn, market.TimeRange{Start: *from, End: *to}, func(m forecast.Metrics) {
			printMetrics(table, m.Fold.Start.Format("2006-01"), m)
			fmt.Fprintf(e.errors, "%s %s is done\n", series, m.Fold.Start.Format("2006-01"))
		})
		if err == nil {
			printMetrics(table, "all", whole)
		}
		table.Flush() // what is done is shown, whatever came after
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(e.out, "Skill is 1 − MSE/MSE₀ against \"the price stays\"; losses and widths are in basis points.")
	return nil
}

func printMetrics(table *tabwriter.Writer, label string, m forecast.Metrics) {
	baselines := map[string]forecast.WidthMetrics{}
	for _, b := range m.Baselines {
		baselines[b.Name] = b.WidthMetrics
	}
	if m.Rows == 0 {
		fmt.Fprintf(table, "%s\t0\t\n", label)
		return
	}
	har := baselines["HAR"]
	fmt.Fprintf(table, "%s\t%d\t%+.3f\t%.2f\t%.4f\t%.4f\t%.4f\t%.4f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%.1f\t\n",
		label, m.Rows, m.PointSkill*100, m.HitRate*100, m.Brier,
		m.PinballLoss, baselines["EWMA"].PinballLoss, har.PinballLoss,
		m.Coverage80*100, m.Coverage90*100, har.Coverage80*100, har.Coverage90*100, m.Width80, har.Width80)
}
