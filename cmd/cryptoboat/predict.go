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
	costs := addCostFlags(flags)
	err := forEachSymbol(ctx, e, flags, arguments, func(forecaster *forecast.Forecaster, symbol market.Symbol) error {
		forecaster.ReckonWith(*costs)
		f, err := forecaster.Forecast(ctx, market.Series{Symbol: symbol, Interval: *interval}, *at)
		if err != nil {
			return err
		}
		printForecast(e, f, *costs)
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(e.out, notAdvice)
	return nil
}

const notAdvice = "Information, not financial advice."

func printForecast(e environment, f forecast.Forecast, costs forecast.Costs) {
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
	fmt.Fprintf(e.out, "A close above the open of %.2f has a probability of %.1f %%; by the width alone it is %.1f %%.\n",
		f.Open, f.ProbabilityAboveOpen*100, f.ProbabilityAnalytic*100)
	fmt.Fprintln(e.out, describeDecision(f.Decision, costs))
	fmt.Fprintln(e.out, describeSkill(f.Model.Metrics))
	if f.CompanionMissing {
		fmt.Fprintln(e.out, "The other pair's newest candles are missing, which makes the widths a little worse.")
	}
	fmt.Fprintln(e.out)
}

// describeDecision says what to do and what that is expected to earn.
func describeDecision(d forecast.Decision, costs forecast.Costs) string {
	const of = "after a fee of %g %% at both ends and a spread of %g %%"
	if d.Action == forecast.Hold {
		return fmt.Sprintf("Decision: hold. The better of buying and selling is expected to earn %+.3f %% "+of+".",
			d.ExpectedGain*100, percent(costs.Fee), percent(costs.Spread))
	}
	return fmt.Sprintf("Decision: %s, which is expected to earn %+.3f %% by the close, "+of+".",
		d.Action, d.ExpectedGain*100, percent(costs.Fee), percent(costs.Spread))
}

// percent is a share in per cent, free of what binary fractions add to it.
func percent(share float64) float64 { return decimal(share * 100) }

// describeSkill says what the point has been worth on candles that the model had not
// seen, which is nothing unless its interval lies above 0.
func describeSkill(m forecast.Metrics) string {
	switch interval := fmt.Sprintf("95 %% interval %+.2f to %+.2f %%", m.PointSkillLow*100, m.PointSkillHigh*100); {
	case m.Rows == 0:
		return "No skill of the point is shown: no month was left to measure it on."
	case m.PointSkillLow > 0:
		return fmt.Sprintf("Skill of the point against \"the price stays\" on the newest month, unseen: %+.2f %%, %s.",
			m.PointSkill*100, interval)
	default:
		return fmt.Sprintf("No skill of the point is shown against \"the price stays\": on the newest month, unseen, it was %+.2f %%, %s.",
			m.PointSkill*100, interval)
	}
}
