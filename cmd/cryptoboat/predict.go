package main

import (
	"context"
	"flag"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func runPredict(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	interval := addIntervalFlag(flags, market.Minute15)
	at := addTimeFlag(flags, "at", time.Time{}, "an instant within the candle to forecast; by default the one after the newest stored")
	err := forEachSymbol(ctx, e, flags, arguments, func(forecaster *forecast.Forecaster, symbol market.Symbol) error {
		f, err := forecaster.Forecast(ctx, market.Series{Symbol: symbol, Interval: *interval}, *at)
		if err != nil {
			return err
		}
		printForecast(e, f)
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(e.out, "Information, not financial advice.")
	return nil
}

func printForecast(e environment, f forecast.Forecast) {
	fmt.Fprintf(e.out, "%s, candle from %s to %s, last price %.2f, by model %d\n", f.Series,
		f.OpenTime.Format(time.RFC3339), f.CloseTime.Format(time.RFC3339), f.Last, f.Model.ID)
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\tpoint\tchange bp\tP(up) %\t80 % from\tto\t90 % from\tto\t\n")
	line := func(name string, p forecast.Prediction) {
		fmt.Fprintf(table, "%s\t%.2f\t%+.2f\t%.1f\t", name, p.Point, (p.Point/f.Last-1)*1e4, p.ProbabilityUp*100)
		for _, band := range p.Bands {
			fmt.Fprintf(table, "%.2f\t%.2f\t", band.Low, band.High)
		}
		fmt.Fprintln(table)
	}
	line("forest", f.Prediction)
	for _, b := range f.Baselines {
		line(b.Name, b.Prediction)
	}
	table.Flush()
	if f.CompanionMissing {
		fmt.Fprintln(e.out, "The other pair's newest candles are missing, which makes the widths a little worse.")
	}
	fmt.Fprintln(e.out)
}
