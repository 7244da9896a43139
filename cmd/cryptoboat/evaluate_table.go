package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
)

// evaluationRow is a line of the table. Its widths are fixed, so that a month can be
// printed as soon as it is done.
const evaluationRow = "%-8s %-10s %-11s %6s %8s %20s %6s %7s %8s %8s %6s %6s %6s %6s %8s\n"

func monthOf(t time.Time) string { return t.Format("2006-01") }

func printEvaluationHead(w io.Writer, v *evaluation) {
	fmt.Fprintf(w, "%s, candles that open in [%s, %s), each month forecast by a model of what had closed before it, from %s on\n\n",
		v.series(), v.Range.Start.Format(time.RFC3339), v.Range.End.Format(time.RFC3339), v.LearnFrom.Format(time.RFC3339))
	printMetricsHead(w)
}

// printMetricsHead names the columns of printMetrics.
func printMetricsHead(w io.Writer) {
	fmt.Fprintf(w, evaluationRow, "month", "stage", "forecast", "rows", "skill %", "95 % interval", "hit %", "Brier", "analytic",
		"pinball", "in 50", "in 80", "in 90", "in 95", "width 80")
}

// printMetrics prints the stages of a candle that were measured.
func printMetrics(w io.Writer, label string, open forecast.Scores, quarters []forecast.Scores) {
	if open.Rows == 0 {
		fmt.Fprintf(w, "%-8s no candle could be forecast\n", label)
		return
	}
	printStage(w, label, "open", open)
	for q, scores := range quarters {
		if scores.Rows > 0 {
			printStage(w, label, quarterName(q), scores)
		}
	}
}

func quarterName(q int) string { return fmt.Sprintf("quarter %d", q+1) }

func printStage(w io.Writer, label, stage string, s forecast.Scores) {
	line := func(name, skill, interval, hits, brier, analytic string, m forecast.WidthMetrics) {
		share := func(covered float64) string { return fmt.Sprintf("%.2f", covered*100) }
		fmt.Fprintf(w, evaluationRow, label, stage, name, fmt.Sprint(s.Rows), skill, interval, hits, brier, analytic,
			fmt.Sprintf("%.4f", m.PinballLoss), share(m.Coverage50), share(m.Coverage80), share(m.Coverage90), share(m.Coverage95),
			fmt.Sprintf("%.1f", m.Width80))
	}
	line("forest", fmt.Sprintf("%+.3f", s.PointSkill*100),
		fmt.Sprintf("[%+.3f, %+.3f]", s.PointSkillLow*100, s.PointSkillHigh*100),
		fmt.Sprintf("%.2f", s.HitRate*100), fmt.Sprintf("%.4f", s.Brier), fmt.Sprintf("%.4f", s.BrierAnalytic), s.WidthMetrics)
	for _, b := range slices.Backward(s.Baselines) { // the strongest first
		line(b.Name, "-", "-", "-", "-", "-", b.WidthMetrics)
	}
}

// printEvaluation prints what is known when all months are done.
func printEvaluation(w io.Writer, v *evaluation) {
	printMetrics(w, "all", v.Whole.Scores, v.Whole.Quarters)
	if len(v.Calm.Months) > 0 {
		printMetrics(w, "calm", v.Calm.Scores, v.Calm.Quarters)
		printMetrics(w, "wild", v.Wild.Scores, v.Wild.Quarters)
	}
	fmt.Fprintln(w)
	printEvaluationNotes(w, v)
	fmt.Fprintln(w)
	printTrading(w, v)
	fmt.Fprintln(w)
}

func printEvaluationNotes(w io.Writer, v *evaluation) {
	fmt.Fprintf(w, "%d of %d candles were forecast, from the one that opens at %s to the one that closes at %s.", v.Whole.Rows, v.Candles,
		v.Forecast.Start.Format(time.RFC3339), v.Forecast.End.Format(time.RFC3339))
	if v.Whole.Rows < v.Candles {
		fmt.Fprint(w, " The others are missing, lack parts, or come right behind a gap.")
	}
	fmt.Fprintln(w)
	if v.WithoutCompanion > 0 {
		fmt.Fprintf(w, "For %d of them the newest candles of %s are missing, which makes the widths a little worse.\n",
			v.WithoutCompanion, v.Companion)
	}
	printUnseenQuarters(w, v)
	if len(v.Calm.Months) > 0 {
		fmt.Fprintf(w, "Calm is the third of the months with the smallest moves, %s; wild that with the largest, %s.\n",
			monthsOf(v.Calm.Months), monthsOf(v.Wild.Months))
	} else {
		fmt.Fprintln(w, "Calm and wild months are told apart from three months on.")
	}
	fmt.Fprintf(w, `Skill is 1 − MSE/MSE₀ against "the price stays"; where its interval holds 0, none is shown; of fewer than %d days it
is [-100, +100], for nothing can be told. HAR and EWMA forecast widths and leave the price where it is. A hit is a close on the
more probable side of the open. Analytic is the Brier score of the normal distribution over the forecast width. Pinball losses
and widths are in basis points of the price, "in 80" is the share of closes within the 80 %% interval, in per cent.
`, forecast.FewestDaysOfInterval)
}

func monthsOf(starts []time.Time) string {
	names := make([]string, len(starts))
	for k, start := range starts {
		names[k] = monthOf(start)
	}
	return strings.Join(names, ", ")
}

// printUnseenQuarters says which quarters of the candles were left out, and why.
func printUnseenQuarters(w io.Writer, v *evaluation) {
	months := slices.DeleteFunc(slices.Clone(v.Months), func(m forecast.Metrics) bool { return m.Rows == 0 })
	for q := range v.Whole.Quarters {
		unseen := 0
		for _, m := range months {
			if m.Quarters[q].Rows == 0 {
				unseen++
			}
		}
		if unseen > 0 {
			fmt.Fprintf(w, "In %d of %d months %s is left out: nothing finer is stored of which a candle ends within it.\n",
				unseen, len(months), quarterName(q))
		}
	}
}

func printTrading(w io.Writer, v *evaluation) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "month\tbuys\tsells\tholds\tearned %\tdrawdown %\tby holding %\tdrawdown %\t\n")
	line := func(label string, t forecast.Trading) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%+.2f\t%.2f\t%+.2f\t%.2f\t\n", label, t.Buys, t.Sells, t.Holds,
			t.Earned*100, t.Drawdown*100, t.EarnedByHolding*100, t.HoldingsDrawdown*100)
	}
	for _, m := range v.Months {
		if m.Rows > 0 {
			line(monthOf(m.Fold.Start), m.Trading)
		}
	}
	line("all", v.Whole.Trading)
	table.Flush()
	fmt.Fprintln(w, describeTrading(v.Whole.Trading, v.costs()))
}

// describeTrading says what the decisions would have come to, so that nobody takes a
// forecast for a way to riches.
func describeTrading(t forecast.Trading, costs forecast.Costs) string {
	trades := t.Buys + t.Sells
	said := fmt.Sprintf("After a fee of %g %% at both ends of a trade and a spread of %g %%, ", percent(costs.Fee), percent(costs.Spread))
	holding := fmt.Sprintf("holding the coin would have earned %+.2f %%, with a fall of %.2f %% from its peak on the way",
		t.EarnedByHolding*100, t.HoldingsDrawdown*100)
	switch {
	case trades == 0:
		said += fmt.Sprintf("none of %d forecasts was worth a trade: the decisions earned and lost nothing; %s. ", t.Holds, holding) +
			"The forecasts tell how far the price may go, hardly where."
	case t.Earned <= 0:
		said += fmt.Sprintf("%d trades on %d forecasts lost %.2f %%, falling by %.2f %% on the way; %s. Nobody should trade on these decisions.",
			trades, trades+t.Holds, -t.Earned*100, t.Drawdown*100, holding)
	case t.Earned <= t.EarnedByHolding:
		said += fmt.Sprintf("%d trades on %d forecasts earned %+.2f %%, falling by %.2f %% on the way; %s, which is more for no work.",
			trades, trades+t.Holds, t.Earned*100, t.Drawdown*100, holding)
	default:
		said += fmt.Sprintf("%d trades on %d forecasts earned %+.2f %%, falling by %.2f %% on the way; %s. "+
			"That the decisions came out ahead once is no promise: a few trades may have made it, by chance.",
			trades, trades+t.Holds, t.Earned*100, t.Drawdown*100, holding)
	}
	return said + "\nPlayed on paper, a candle at a time, in at the newest price before its open and out at its close: real orders fill worse."
}
