package forecast

import (
	"math"
	"slices"

	"github.com/cryptoboat/cryptoboat/internal/forest"
)

// vision is what a model makes of an instant of a candle before anything is set
// right. It is scratch space, to be reused.
type vision struct {
	width   float64 // of the candle's return, as of its open
	rest    float64 // of what is left of it
	returns forest.Distribution
	row     []float64
}

// see fills v with what the model makes of a candle, given how far it has come.
func (m *model) see(v *vision, l look, p progress) error {
	v.width = m.har.width(l)
	v.rest = m.rest.width(p, v.width)
	if v.row == nil {
		v.row = make([]float64, len(featureNames))
	}
	copy(v.row, l.opening)
	insideFeatures(v.row[len(openingNames):], p, v.width, v.rest, l.usual)
	return m.forest.Predict(v.row, &v.returns)
}

// outlook is a predicted distribution of what is left of a candle's log return.
type outlook struct {
	point     float64
	quantiles []float64 // at quantileLevels
	rises     float64   // probability of a close above the newest price
	aboveOpen float64   // probability of a close above the open
	analytic  float64   // the same by the normal distribution
}

// predict returns what the model makes of a candle, given how far it has come.
func (m *model) predict(v *vision, l look, p progress) (outlook, error) {
	if err := m.see(v, l, p); err != nil {
		return outlook{}, err
	}
	o := outlook{
		point:     m.shares.at(p) * v.returns.Mean() * v.rest,
		quantiles: make([]float64, len(quantileLevels)),
		analytic:  m.direction.analytic(p, v.rest),
	}
	m.levels.at(o.quantiles, p.elapsed)
	for k, level := range o.quantiles {
		o.quantiles[k] = v.returns.Quantile(level) * v.rest
	}
	aboveLast, aboveOpen := v.returns.Above(0), v.returns.Above(-p.sinceOpen()/v.rest)
	var err error
	o.aboveOpen, err = m.direction.probability(o.analytic, p, v.row, &v.returns)
	o.rises = risesGiven(o.aboveOpen, aboveOpen, aboveLast)
	return o, err
}

// baselineWidth is what a baseline's residuals are in units of: its width of the
// candle's return, less as the candle passes by the usual exponent.
func (m *model) baselineWidth(name string, l look, p progress) float64 {
	width := 1.0
	switch name {
	case ewma:
		width = math.Exp(l.opening[ewmaVolatilityPosition])
	case harName:
		width = m.har.width(l)
	}
	return width * math.Pow(1-p.elapsed, usualExponent)
}

// baseline returns what a baseline makes of a candle: no drift, and no opinion of
// where the price goes from here.
func (m *model) baseline(name string, l look, p progress) outlook {
	o := outlook{rises: 0.5, quantiles: make([]float64, len(quantileLevels))}
	m.residuals[name].at(o.quantiles, p.elapsed)
	width := m.baselineWidth(name, l, p)
	for k := range o.quantiles {
		o.quantiles[k] *= width
	}
	return o
}

// at turns returns into prices from the newest one.
func (o outlook) at(last float64) Prediction {
	p := Prediction{Point: last * math.Exp(o.point), ProbabilityUp: o.rises}
	for _, level := range bandLevels {
		low, high := o.band(level)
		p.Bands = append(p.Bands, Band{Level: level, Low: last * math.Exp(low), High: last * math.Exp(high)})
	}
	return p
}

// band returns the quantiles that hold the level between them.
func (o outlook) band(level float64) (low, high float64) {
	return o.quantile((1 - level) / 2), o.quantile((1 + level) / 2)
}

func (o outlook) quantile(p float64) float64 {
	k := slices.IndexFunc(quantileLevels, func(level float64) bool { return math.Abs(level-p) < 1e-9 })
	return o.quantiles[k]
}
