package dashboard

import (
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
)

// forecastFacts is what a page says of a forecast and of the model behind it.
type forecastFacts struct {
	AsOf, ClosesAt string
	AsOfTime       string // AsOf for scripts, as ClosesAtTime
	ClosesAtTime   string
	ModelID        int64
	AboveOpen      string   // probability of a close above the candle's open
	Analytic       string   // the same by the normal distribution
	Decision       string   // buy, sell or hold
	ExpectedGain   string   // of the better of buying and selling, after costs
	Costs          string   // that the decision reckons with
	Lacking        string   // what was not known; empty where all was
	Legend         string   // how the chart draws it
	Levels         []string // of the bands, narrowest first
	Rows           []predictionFacts
	Model          []fact
	Metrics        metricsFacts
}

type predictionFacts struct {
	Name, Point, Change, ProbabilityUp string
	Bands                              []string // one for each level, as every prediction has
}

func newForecastFacts(f forecast.Forecast, decimals int) *forecastFacts {
	facts := &forecastFacts{AsOf: formatInstant(f.AsOf), ClosesAt: formatInstant(f.CloseTime), ModelID: f.Model.ID}
	facts.AsOfTime, facts.ClosesAtTime = f.AsOf.UTC().Format(time.RFC3339Nano), f.CloseTime.UTC().Format(time.RFC3339Nano)
	facts.AboveOpen, facts.Analytic = formatShare(f.ProbabilityAboveOpen, 1), formatShare(f.ProbabilityAnalytic, 1)
	facts.Decision = string(f.Decision.Action)
	facts.ExpectedGain = formatGain(f.Decision.ExpectedGain)
	facts.Costs = formatCosts(f.Decision.Costs)
	if f.CompanionMissing {
		facts.Lacking = "without the other pair’s newest candle, which makes the bands a little worse"
	}
	for _, band := range f.Bands {
		facts.Levels = append(facts.Levels, formatShare(band.Level, 0))
	}
	facts.Legend = "the line is its point, the box holds " + facts.Levels[0] +
		", the whiskers " + facts.Levels[len(facts.Levels)-1]
	row := func(name string, p forecast.Prediction) predictionFacts {
		r := predictionFacts{
			Name:          name,
			Point:         formatNumber(p.Point, decimals),
			Change:        formatSigned(basisPoints(f.Last, p.Point), 1),
			ProbabilityUp: formatShare(p.ProbabilityUp, 1),
		}
		for _, band := range p.Bands {
			r.Bands = append(r.Bands, formatNumber(band.Low, decimals)+" to "+formatNumber(band.High, decimals))
		}
		return r
	}
	facts.Rows = append(facts.Rows, row("Forest", f.Prediction))
	for _, b := range f.Baselines {
		facts.Rows = append(facts.Rows, row(b.Name, b.Prediction))
	}
	facts.describeModel(f.Model)
	return facts
}

func (facts *forecastFacts) describeModel(m forecast.Model) {
	rows := newFact("Rows", formatCount(m.Rows))
	if m.Skipped > 0 {
		rows.Values = []string{formatCount(m.Rows) + ",", "and " + formatCount(m.Skipped) + " that could not be learnt from"}
	}
	facts.Model = []fact{
		newFact("Trained", formatInstant(m.TrainedAt)),
		newFact("Learnt from", formatRange(m.Window)),
		rows,
	}
	facts.Metrics = newMetricsFacts(m.Metrics, m.Interval)
}

// formatGain writes a share of the price in percent, to a basis point's tenth.
func formatGain(gain float64) string { return formatSigned(100*gain, 3) + noBreak + "%" }

// formatCosts says what a decision reckons with.
func formatCosts(c forecast.Costs) string {
	return fmt.Sprintf("a fee of %s for each of two trades and a spread of %s", formatShare(c.Fee, 3), formatShare(c.Spread, 3))
}

// basisPoints returns the relative change from one price to another in basis
// points.
func basisPoints(from, to float64) float64 { return 1e4 * (to/from - 1) }
