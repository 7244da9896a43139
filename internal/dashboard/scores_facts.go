package dashboard

import (
	"fmt"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// metricsFacts is what a page says of how well a model did on candles that it had
// not seen.
type metricsFacts struct {
	Measured string // the days measured; empty where none were
	Stages   []stageFacts
	LeftOut  string // why there is nothing of the candle's quarters, or of some of them
	Trading  string // what the decisions would have earned
}

// stageFacts measures the forecasts that were made when a candle had come so far.
type stageFacts struct {
	Name, Rows, Skill, SkillRange, HitRate, Brier, BrierAnalytic string
	Widths                                                       []widthFacts // the forest's first
}

type widthFacts struct {
	Name, PinballLoss, Coverage50, Coverage80, Coverage90, Coverage95, Width80, Width90 string
}

func newMetricsFacts(m forecast.Metrics, interval market.Interval) metricsFacts {
	var facts metricsFacts
	if m.Rows == 0 {
		return facts
	}
	facts.Measured = formatRange(m.Fold)
	facts.Stages = append(facts.Stages, newStageFacts(stageName(forecast.AtOpen), m.Scores))
	for k, quarter := range m.Quarters {
		if quarter.Rows > 0 {
			facts.Stages = append(facts.Stages, newStageFacts(stageName(forecast.Stage(k+1)), quarter))
		}
	}
	switch measured := len(facts.Stages) - 1; {
	case measured == 0:
		facts.LeftOut = fmt.Sprintf("Within the candle nothing could be measured: no candles finer than %s were stored of those days.", interval)
	case measured < len(m.Quarters):
		facts.LeftOut = "Quarters of the candle that are not listed could not be measured: no finer candles that end within them were stored."
	}
	facts.Trading = formatTrading(m.Trading)
	return facts
}

func newStageFacts(name string, s forecast.Scores) stageFacts {
	facts := stageFacts{
		Name: name, Rows: formatCount(s.Rows),
		Skill: formatSkill(s.PointSkill), SkillRange: formatSkillRange(s.PointSkillLow, s.PointSkillHigh),
		HitRate: formatShare(s.HitRate, 1), Brier: formatNumber(s.Brier, 4), BrierAnalytic: formatNumber(s.BrierAnalytic, 4),
	}
	row := func(name string, w forecast.WidthMetrics) {
		facts.Widths = append(facts.Widths, widthFacts{
			Name: name, PinballLoss: formatNumber(w.PinballLoss, 3),
			Coverage50: formatShare(w.Coverage50, 1), Coverage80: formatShare(w.Coverage80, 1),
			Coverage90: formatShare(w.Coverage90, 1), Coverage95: formatShare(w.Coverage95, 1),
			Width80: formatNumber(w.Width80, 1), Width90: formatNumber(w.Width90, 1),
		})
	}
	row("Forest", s.WidthMetrics)
	for _, b := range s.Baselines {
		row(b.Name, b.WidthMetrics)
	}
	return facts
}

func stageName(stage forecast.Stage) string {
	return [...]string{"At the open", "First quarter", "Second quarter", "Third quarter", "Last quarter"}[stage]
}

// formatSkill writes a share that may be negative in percent.
func formatSkill(skill float64) string { return formatSigned(100*skill, 2) + noBreak + "%" }

// formatSkillRange writes the interval that holds a skill and, where it holds 0 as
// well, that this is none.
func formatSkillRange(low, high float64) string {
	text := formatSkill(low) + noBreak + "to " + formatSkill(high)
	if low <= 0 && high >= 0 {
		text += ": no skill is shown"
	}
	return text
}

func formatTrading(t forecast.Trading) string {
	if t.Buys+t.Sells+t.Holds == 0 {
		return ""
	}
	after := "costs"
	if t.Costs != nil {
		after = fmt.Sprintf("a fee of %s at both ends of a trade and a spread of %s", formatShare(t.Costs.Fee, 2), formatShare(t.Costs.Spread, 2))
	}
	return fmt.Sprintf("Its decisions at the open (%s to buy, %s to sell, %s to hold) would have earned %s after %s, with a drawdown of %s; holding the coin %s, with one of %s.",
		formatCount(t.Buys), formatCount(t.Sells), formatCount(t.Holds), formatSkill(t.Earned), after, formatShare(t.Drawdown, 2),
		formatSkill(t.EarnedByHolding), formatShare(t.HoldingsDrawdown, 2))
}
