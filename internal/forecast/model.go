package forecast

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forest"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// quantileLevels are the probabilities that every prediction is made and
// measured at.
var quantileLevels = []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95}

// bandLevels are the bands shown: each lies between two quantileLevels.
var bandLevels = []float64{0.8, 0.9}

// largestScore clips the target: trees on heavy tails peel outliers off one by
// one. The unit is the HAR width, a mean absolute return, of which 6 standard
// deviations are about 8.
const largestScore = 8

// recentDays is how far back the baselines' residuals and the forest's
// calibration reach.
const recentDays = 90

// forestSettings are those of every training; the seed makes it reproducible.
var forestSettings = forest.DefaultSettings()

// fewestSamples is what a training needs at the least, besides the newest
// recentDays.
const fewestSamples = 2000

// pointShare is how much of the forest's mean goes into the point: the signal is
// weak, and half of what a forest makes of it is noise. On the real candles of
// 2022 to 2025 the whole mean was worse than no forecast in some half-years, the
// half in none by more than 0.1 % of the squared error.
const pointShare = 0.5

// recipe is what makes a model of rows, beside the code that fits: Revision is
// raised when a change of that code changes what comes out.
type recipe struct {
	Revision      int
	Features      []string
	HARRegressors []string
	Quantiles     []float64
	LargestScore  float64
	RecentDays    int
	PointShare    float64
	Forest        forest.Settings
}

func newRecipe() recipe {
	return recipe{
		Revision: 1, Features: modelFeatures(), HARRegressors: harRegressors, Quantiles: quantileLevels,
		LargestScore: largestScore, RecentDays: recentDays, PointShare: pointShare, Forest: forestSettings,
	}
}

// recentStart is where the newest recentDays of the samples begin.
func recentStart(s *samples) time.Time { return s.opens[s.len()-1].AddDate(0, 0, -recentDays) }

// FewestCandles is how many candles of an interval a training takes at the
// least, if none is missing.
func FewestCandles(interval market.Interval) int {
	return window + fewestSamples + int(recentDays*24*time.Hour/interval.Length())
}

// enough returns an Unavailable error for samples too few to train on.
func enough(s *samples) error {
	if s.len() > 0 && s.before(recentStart(s)).len() >= fewestSamples {
		return nil
	}
	return market.Errorf(market.Unavailable,
		"%d usable candles are too few to train on: it takes %d and the newest %d days, each with the %d candles before it",
		s.len(), fewestSamples, recentDays, window)
}

// model is what a training makes: the HAR model, the forest whose target is in
// units of the HAR width, and what sets their quantiles right.
type model struct {
	har       *har
	forest    *forest.Forest
	levels    []float64            // what to ask the forest for, to get quantileLevels
	residuals map[string][]float64 // the baselines' quantiles at quantileLevels, by name
}

// The baselines' names.
const (
	priceStays = "price stays"
	ewma       = "EWMA"
	harName    = "HAR"
)

var baselineNames = []string{priceStays, ewma, harName}

// fit trains a model: the HAR model, the forest on what it leaves, and the
// calibration of the forest's quantiles. progress may be nil.
func fit(ctx context.Context, s *samples, progress func(done, total int)) (*model, error) {
	if err := enough(s); err != nil {
		return nil, err
	}
	recent := s.since(recentStart(s))
	earlier, err := grow(ctx, s.before(recentStart(s)), step(progress, 0, 2))
	if err != nil {
		return nil, err
	}
	m, err := grow(ctx, s, step(progress, 1, 2))
	if err != nil {
		return nil, err
	}
	if m.levels, err = earlier.calibrate(recent); err != nil {
		return nil, err
	}
	row := make([]float64, len(s.columns))
	scores := make([]float64, recent.len())
	for _, name := range baselineNames {
		for k, open := range recent.opens {
			recent.row(row, k)
			scores[k] = recent.returns[k] / m.baselineWidth(name, row, s.interval, open)
		}
		m.residuals[name] = quantilesOf(scores)
	}
	return m, nil
}

// grow fits the HAR model and grows the forest on the return divided by the HAR
// width: the forest learns the shape and what HAR misses. It never meets a price,
// which it could not follow beyond the range it has seen.
func grow(ctx context.Context, s *samples, progress func(done, total int)) (*model, error) {
	h, err := fitHAR(s)
	if err != nil {
		return nil, err
	}
	columns := append(slices.Clone(s.columns), make([]float64, s.len()))
	widths := columns[len(s.columns)]
	target := make([]float64, s.len())
	row := make([]float64, len(s.columns))
	for k, open := range s.opens {
		s.row(row, k)
		width := h.width(row, s.interval, open)
		widths[k] = math.Log(width)
		target[k] = clamp(s.returns[k]/width, -largestScore, largestScore)
	}
	f, err := forest.Train(ctx, modelFeatures(), columns, target, forestSettings, progress)
	return &model{har: h, forest: f, residuals: map[string][]float64{}}, err
}

// calibrate returns the probabilities to ask the forest for, so that its
// quantiles hold what quantileLevels promise: those are quantiles of the
// probability integral transform on samples that the model has not seen
// (Kuleshov, Fenner and Ermon 2018). Leaves are drawn around the outcomes they
// were grown on, which makes a forest a little too sure of itself.
func (m *model) calibrate(unseen *samples) ([]float64, error) {
	var scratch forest.Distribution
	row := make([]float64, len(unseen.columns))
	transform := make([]float64, unseen.len())
	for k, open := range unseen.opens {
		unseen.row(row, k)
		width, err := m.distribution(row, unseen.interval, open, &scratch)
		if err != nil {
			return nil, err
		}
		transform[k] = 1 - scratch.Above(unseen.returns[k]/width)
	}
	return quantilesOf(transform), nil
}

// step places one of several equally long parts within a whole.
func step(progress func(done, total int), part, parts int) func(done, total int) {
	if progress == nil {
		return nil
	}
	return func(done, total int) { progress(part*total+done, parts*total) }
}

// modelFeatures are the forest's columns: the features and the HAR width.
func modelFeatures() []string { return append(slices.Clone(featureNames), "har_width") }

// baselineWidth is what a baseline's residuals are in units of.
func (m *model) baselineWidth(name string, row []float64, interval market.Interval, instant time.Time) float64 {
	switch name {
	case ewma:
		return math.Exp(row[ewmaVolatilityPosition])
	case harName:
		return m.har.width(row, interval, instant)
	default:
		return 1
	}
}

// outlook is a predicted distribution of a log return.
type outlook struct {
	mean      float64   // of which pointShare goes into the point
	quantiles []float64 // at quantileLevels
	rises     float64   // probability of a positive return, not calibrated
}

// predict returns what the forest makes of a row of features; the distribution
// is scratch space, reused between calls.
func (m *model) predict(
	row []float64, interval market.Interval, instant time.Time, scratch *forest.Distribution,
) (outlook, error) {
	width, err := m.distribution(row, interval, instant, scratch)
	if err != nil {
		return outlook{}, err
	}
	return m.outlook(width, scratch), nil
}

// outlook turns what distribution filled in into returns.
func (m *model) outlook(width float64, d *forest.Distribution) outlook {
	o := outlook{mean: d.Mean() * width, rises: d.Above(0)}
	for _, p := range m.levels {
		o.quantiles = append(o.quantiles, d.Quantile(p)*width)
	}
	return o
}

// distribution fills d with what the forest makes of a row, in units of the HAR
// width that it returns.
func (m *model) distribution(
	row []float64, interval market.Interval, instant time.Time, d *forest.Distribution,
) (width float64, err error) {
	width = m.har.width(row, interval, instant)
	return width, m.forest.Predict(append(slices.Clip(row), math.Log(width)), d)
}

// baseline returns what a baseline makes of a row: no drift, and no opinion of
// the direction.
func (m *model) baseline(name string, row []float64, interval market.Interval, instant time.Time) outlook {
	width := m.baselineWidth(name, row, interval, instant)
	o := outlook{rises: 0.5}
	for _, residual := range m.residuals[name] {
		o.quantiles = append(o.quantiles, residual*width)
	}
	return o
}

// at turns returns into prices from the last one known.
func (o outlook) at(last float64) Prediction {
	p := Prediction{Point: last * math.Exp(o.point()), ProbabilityUp: o.rises}
	for _, level := range bandLevels {
		low, high := o.band(level)
		p.Bands = append(p.Bands, Band{Level: level, Low: last * math.Exp(low), High: last * math.Exp(high)})
	}
	return p
}

// point is the return that the point forecast stands for.
func (o outlook) point() float64 { return pointShare * o.mean }

// band returns the quantiles that hold the level between them.
func (o outlook) band(level float64) (low, high float64) {
	return o.quantile((1 - level) / 2), o.quantile((1 + level) / 2)
}

func (o outlook) quantile(p float64) float64 {
	k := slices.IndexFunc(quantileLevels, func(level float64) bool { return math.Abs(level-p) < 1e-9 })
	return o.quantiles[k]
}

// quantilesOf returns the quantiles of values at quantileLevels; it sorts them.
func quantilesOf(values []float64) []float64 {
	slices.Sort(values)
	quantiles := make([]float64, len(quantileLevels))
	for k, p := range quantileLevels {
		quantiles[k] = sortedQuantile(values, p)
	}
	return quantiles
}

// sortedQuantile interpolates linearly between order statistics (Hyndman and
// Fan 1996, type 7).
func sortedQuantile(sorted []float64, p float64) float64 {
	position := p * float64(len(sorted)-1)
	k := int(position)
	if k+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[k] + (position-float64(k))*(sorted[k+1]-sorted[k])
}
