package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func runTrain(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	interval := addIntervalFlag(flags, market.Minute15)
	from := addTimeFlag(flags, "from", history.FirstListing, "first candle to learn from")
	to := addTimeFlag(flags, "to", time.Time{}, "end of the candles to learn from, exclusive; now by default")
	return forEachSymbol(ctx, e, flags, arguments, func(forecaster *forecast.Forecaster, symbol market.Symbol) error {
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
			fmt.Fprintf(e.out, "%s: model %d has learnt from these %d candles already\n", series, model.ID, model.Rows)
			return nil
		}
		fmt.Fprintf(e.out, "%s: model %d learnt from %d candles (%d more could not be used), %s to %s, in %s\n",
			series, model.ID, model.Rows, model.Skipped, model.Window.Start.Format(time.DateOnly), model.Window.End.Format(time.DateOnly),
			time.Since(started).Round(100*time.Millisecond))
		if m := model.Metrics; m.Rows > 0 {
			fmt.Fprintf(e.out, "  on the newest month, unseen: skill %+.3f %%, hit rate %.1f %%, pinball loss %.3f bp, 80 %% band holds %.1f %%, 90 %% band %.1f %%\n",
				m.PointSkill*100, m.HitRate*100, m.PinballLoss, m.Coverage80*100, m.Coverage90*100)
			for _, b := range m.Baselines {
				fmt.Fprintf(e.out, "  %s: pinball loss %.3f bp, 80 %% band holds %.1f %%, 90 %% band %.1f %%\n",
					b.Name, b.PinballLoss, b.Coverage80*100, b.Coverage90*100)
			}
		}
		return nil
	})
}
