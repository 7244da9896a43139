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

func runModels(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	interval := addIntervalFlag(flags, market.Minute15)
	promote := flags.Int64("promote", 0, "put the model with this `ID` to use from the next candle on, whatever its verdict")
	reason := flags.String("reason", "", "why it is put to use, for the record")
	importance := flags.Int64("importance", 0, "list what each feature is worth to the model with this `ID`")
	options := addForecastSymbolFlag(flags)
	if err := options.parse(flags, arguments); err != nil {
		return err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	ofOne := given["promote"] || given["importance"]
	if given["promote"] && given["importance"] || given["reason"] && !given["promote"] {
		return fmt.Errorf("-promote with or without a -reason, or -importance: one at a time; %w", errUsage)
	}
	if ofOne && (given["interval"] || len(options.symbols) > 0) {
		return fmt.Errorf("the ID alone says which model is meant: leave out -interval and the symbols; %w", errUsage)
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	forecaster := forecast.NewForecaster(database, database)
	switch {
	case given["promote"]:
		if !given["reason"] {
			*reason = "by cryptoboat models -promote"
		}
		m, err := forecaster.Promote(ctx, *promote, *reason)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%s: model %d makes the forecasts from the next candle on\n", m.Series, m.ID)
		return nil
	case given["importance"]:
		m, err := forecaster.Model(ctx, *importance)
		if err != nil {
			return err
		}
		if len(m.Importance) == 0 {
			return market.Errorf(market.NotFound, "what the features are worth to model %d is not known: no month was left to measure it on", m.ID)
		}
		printImportance(e.out, m.Importance)
		return nil
	}
	for _, symbol := range options.orDefault() {
		series := market.Series{Symbol: symbol, Interval: *interval}
		models, err := forecaster.Models(ctx, series)
		if err != nil {
			return err
		}
		printModels(e, series, models)
	}
	return nil
}

// printModels lists the models of a series, the one trained last first.
func printModels(e environment, series market.Series, models []forecast.Model) {
	if len(models) == 0 {
		fmt.Fprintf(e.out, "%s: no model has been trained\n", series)
		return
	}
	fmt.Fprintf(e.out, "%s, measured on the newest month of each, unseen, at the open of its candles\n", series)
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "model\ttrained\tfrom\tto\tsamples\tpinball bp\tHAR bp\tBrier\tMB\tin use since\t  verdict\n")
	for _, m := range models {
		pinball, har, brier, inUse := "-", "-", "-", "-"
		if m.Metrics.Rows > 0 {
			pinball, brier = fmt.Sprintf("%.4f", m.Metrics.PinballLoss), fmt.Sprintf("%.4f", m.Metrics.Brier)
			for _, b := range m.Metrics.Baselines {
				if b.Name == "HAR" {
					har = fmt.Sprintf("%.4f", b.PinballLoss)
				}
			}
		}
		if m.InUseSince.Valid {
			inUse = m.InUseSince.Value.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t  %s: %s\n", m.ID, m.TrainedAt.Format(time.RFC3339),
			m.Window.Start.Format(time.DateOnly), m.Window.End.Format(time.DateOnly), m.Rows, pinball, har, brier,
			megabytes(m.Bytes), inUse, verdictOf(m), m.Verdict.Reason)
	}
	table.Flush()
}
