package dashboard

import (
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
	Lacking        string   // what was not known; empty where all was
	Legend         string   // how the chart draws it
	Levels         []string // of the bands, narrowest first
	Rows           []predictionFacts
	Model          []fact
	Measured       string // the month the measures are of; empty where there are none
	Measures       []measureFacts
}

type predictionFacts struct {
	Name, Point, Change, ProbabilityUp string
	Bands                              []string // one for each level, as every prediction has
}

type measureFacts struct{ Name, PinballLoss, Coverage80, Width80, Coverage90, Width90 string }

func newForecastFacts(f forecast.Forecast, decimals int) *forecastFacts {
	facts := &forecastFacts{AsOf: formatInstant(f.AsOf), ClosesAt: formatInstant(f.CloseTime), ModelID: f.Model.ID}
	facts.AsOfTime, facts.ClosesAtTime = f.AsOf.UTC().Format(time.RFC3339Nano), f.CloseTime.UTC().Format(time.RFC3339Nano)
	facts.AboveOpen = formatShare(f.ProbabilityAboveOpen, 1)
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
	if m.Metrics.Rows == 0 {
		return
	}
	measured := m.Metrics
	facts.Measured = formatRange(measured.Fold)
	facts.Model = append(facts.Model,
		newFact("Point skill against “price stays”", formatSigned(100*measured.PointSkill, 2)+noBreak+"%"),
		newFact("Hit rate of the direction", formatShare(measured.HitRate, 1)),
		newFact("Brier score (a coin: 0.25)", formatNumber(measured.Brier, 4)),
	)
	row := func(name string, w forecast.WidthMetrics) {
		facts.Measures = append(facts.Measures, measureFacts{
			Name: name, PinballLoss: formatNumber(w.PinballLoss, 3),
			Coverage80: formatShare(w.Coverage80, 1), Width80: formatNumber(w.Width80, 1),
			Coverage90: formatShare(w.Coverage90, 1), Width90: formatNumber(w.Width90, 1),
		})
	}
	row("Forest", measured.WidthMetrics)
	for _, b := range measured.Baselines {
		row(b.Name, b.WidthMetrics)
	}
}

// basisPoints returns the relative change from one price to another in basis
// points.
func basisPoints(from, to float64) float64 { return 1e4 * (to/from - 1) }
