package forecast

import (
	"context"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forest"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// quantileLevels are the probabilities that every prediction is made and
// measured at.
var quantileLevels = []float64{0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975}

// bandLevels are the bands shown, measuredLevels those measured: each lies between
// two quantileLevels.
var (
	bandLevels     = []float64{0.8, 0.9}
	measuredLevels = []float64{0.5, 0.8, 0.9, 0.95}
)

// largestScore clips the target: trees on heavy tails peel outliers off one by
// one. The unit is a mean absolute return, of which 6 standard deviations are
// about 8.
const largestScore = 8

// recentDays is how far back the baselines' residuals, the forest's calibration
// and the point's recent skill reach.
const recentDays = 90

// largestPointShare is how much of the forest's mean goes into the point at the
// most: the signal is weak, and half of what a forest makes of it is noise.
const largestPointShare = 0.5

// The forests' settings, of every training; the seed makes it reproducible. What
// decides the direction is so weak that it takes larger leaves.
var (
	returnSettings    = forest.DefaultSettings()
	directionSettings = func() forest.Settings {
		s := forest.DefaultSettings()
		s.MinLeafRows = 300
		return s
	}()
)

// fewestCandles is what a training needs at the least, besides the newest
// recentDays.
const fewestCandles = 2000

// recipe is what makes a model of rows, beside the code that fits: Revision is
// raised when a change of that code changes what comes out.
type recipe struct {
	Revision          int             `json:"revision"`
	HARRegressors     []string        `json:"har_regressors"`
	Quantiles         []float64       `json:"quantiles"`
	LargestScore      float64         `json:"largest_score"`
	RecentDays        int             `json:"recent_days"`
	LargestPointShare float64         `json:"largest_point_share"`
	Return            forest.Settings `json:"return_forest"`
	Direction         forest.Settings `json:"direction_forest"`
	Features          []string        `json:"-"` // which a model's record holds besides
}

func newRecipe() recipe {
	return recipe{
		Revision: 3, HARRegressors: harRegressors, Quantiles: quantileLevels,
		LargestScore: largestScore, RecentDays: recentDays, LargestPointShare: largestPointShare,
		Return: returnSettings, Direction: directionSettings, Features: featureNames,
	}
}

// recentStart is where the newest recentDays of the samples begin.
func recentStart(s *samples) time.Time { return s.open(s.len()-1).AddDate(0, 0, -recentDays) }

// FewestCandles is how many candles of an interval a training takes at the
// least, if none is missing.
func FewestCandles(interval market.Interval) int {
	return window + fewestCandles + int(recentDays*24*time.Hour/interval.Length())
}

// enough returns an Unavailable error for samples too few to train on.
func enough(s *samples) error {
	if s.len() > 0 && s.before(recentStart(s)).openings().len() >= fewestCandles {
		return nil
	}
	return market.Errorf(market.Unavailable,
		"%d usable candles are too few to train on: it takes %d and the newest %d days, each with the %d candles before it",
		s.openings().len(), fewestCandles, recentDays, window)
}

// model is what a training makes: the HAR model and how its width shrinks within
// the candle, a forest whose target is in units of that width, another for the
// direction, and what sets their answers right.
type model struct {
	har       *har
	rest      rest
	forest    *forest.Forest
	direction direction
	levels    stageTable            // what to ask the forest for, to get quantileLevels
	residuals map[string]stageTable // the baselines' quantiles, in units of their width, by name
	shares    pointShares
	learnt    int // samples learnt from; not in its file
}

// pointShares is how much of the forest's mean goes into the point: as much as
// would have been best on unseen candles, 0 where that was nothing.
type pointShares struct {
	Open, Inside float64 // at the open, and within the candle
}

// at goes over from the one to the other within the first eighth of the candle. Where
// nothing was measured within candles, Inside is 0.
func (s pointShares) at(p progress) float64 {
	return between(s.Open, s.Inside, min(1, p.elapsed/stageShares[1]))
}

// The baselines' names.
const (
	priceStays = "price stays"
	ewma       = "EWMA"
	harName    = "HAR"
)

var baselineNames = []string{priceStays, ewma, harName}

// fit trains a model: the HAR model, the forests on what it leaves, and their
// calibration. progress may be nil.
func fit(ctx context.Context, s *samples, progress func(done, total int)) (*model, error) {
	if err := enough(s); err != nil {
		return nil, err
	}
	recent := s.since(recentStart(s))
	earlier, err := grow(ctx, s.before(recentStart(s)).lessons(), step(progress, 0, 2))
	if err != nil {
		return nil, err
	}
	lessons := s.lessons()
	if !earlier.direction.Inside {
		// The inside of candles is known of the newest days only: what the earlier one
		// made of it could not set right a model that has learnt it.
		lessons = lessons.openings()
	}
	m, err := grow(ctx, lessons, step(progress, 1, 2))
	if err != nil {
		return nil, err
	}
	if err := m.calibrate(earlier, recent); err != nil {
		return nil, err
	}
	var scores [stages][]float64
	opening := make([]float64, len(openingNames))
	for _, name := range baselineNames {
		for stage := range scores {
			scores[stage] = nil
		}
		for k := range recent.rows {
			p := recent.rows[k].progress
			width := m.baselineWidth(name, recent.look(opening, k), p)
			scores[p.stage()] = append(scores[p.stage()], recent.rest(k)/width)
		}
		m.residuals[name] = newStageTable(scores, nil)
	}
	return m, nil
}

// grow fits the HAR model and grows the forests on what it leaves, which is free of
// its width. They never meet a price, which they could not follow beyond the range
// that they have seen.
func grow(ctx context.Context, s *samples, progress func(done, total int)) (*model, error) {
	h, err := fitHAR(s.openings())
	if err != nil {
		return nil, err
	}
	m := &model{har: h, residuals: map[string]stageTable{}, learnt: s.len()}
	opening := make([]float64, len(openingNames))
	widths := make([]float64, s.len())
	inside := 0
	for k := range s.rows {
		widths[k] = h.width(s.look(opening, k))
		if !s.rows[k].atOpen() {
			inside++
		}
	}
	if m.rest, err = fitRest(s, widths); err != nil {
		return nil, err
	}
	columns := make([][]float64, len(featureNames))
	for j := range columns {
		columns[j] = make([]float64, s.len())
	}
	rests, target := make([]float64, s.len()), make([]float64, s.len())
	row := make([]float64, len(featureNames))
	for k := range s.rows {
		l := s.look(opening, k)
		rests[k] = m.rest.width(s.rows[k].progress, widths[k])
		copy(row, l.opening)
		insideFeatures(row[len(openingNames):], s.rows[k].progress, widths[k], rests[k], l.usual)
		for j, value := range row {
			columns[j][k] = value
		}
		target[k] = clamp(s.rest(k)/rests[k], -largestScore, largestScore)
	}
	if m.forest, err = forest.Train(ctx, featureNames, columns, target, returnSettings, step(progress, 0, 2)); err != nil {
		return nil, err
	}
	m.direction = direction{Deviation: fitDeviation(s, rests), Inside: inside >= fewestInside}
	m.direction.lessons(target, s, rests)
	m.direction.forest, err = forest.Train(ctx, featureNames, columns, target, directionSettings, step(progress, 1, 2))
	return m, err
}

// calibrate sets a model's quantiles and its point right by what an earlier one of
// the same kind made of samples that it has not seen. Leaves are drawn around the
// outcomes they were grown on, which makes a forest a little too sure of itself: the
// probabilities to ask it for, to get what quantileLevels promise, are quantiles of
// its probability integral transform (Kuleshov, Fenner and Ermon 2018).
func (m *model) calibrate(earlier *model, unseen *samples) error {
	var transform [stages][]float64
	var open, inside slope
	var v vision
	opening := make([]float64, len(openingNames))
	for k := range unseen.rows {
		p := unseen.rows[k].progress
		if err := earlier.see(&v, unseen.look(opening, k), p); err != nil {
			return err
		}
		rest := unseen.rest(k)
		transform[p.stage()] = append(transform[p.stage()], 1-v.returns.Above(rest/v.rest))
		part := &inside
		if p.atOpen() {
			part = &open
		}
		part.add(v.returns.Mean()*v.rest/v.width, rest/v.width)
	}
	m.levels = newStageTable(transform, quantileLevels)
	m.shares = pointShares{Open: open.share(), Inside: inside.share()}
	return nil
}

// slope is that of outcomes on predictions, through the origin.
type slope struct{ products, squares float64 }

func (s *slope) add(prediction, outcome float64) {
	s.products += prediction * outcome
	s.squares += prediction * prediction
}

// share is how much of a prediction to believe.
func (s *slope) share() float64 {
	if s.squares == 0 {
		return 0
	}
	return clamp(s.products/s.squares, 0, largestPointShare)
}

// step places one of several equally long parts within a whole.
func step(progress func(done, total int), part, parts int) func(done, total int) {
	if progress == nil {
		return nil
	}
	return func(done, total int) { progress(part*total+done, parts*total) }
}

// look is what is known of a candle as of its open.
type look struct {
	opening  []float64 // features, see openingNames
	interval market.Interval
	open     time.Time
	usual    float64 // volume of a candle
}

// look returns what is known of a row's candle as of its open, in the memory of
// opening.
func (s *samples) look(opening []float64, row int) look {
	s.opening(opening, row)
	return look{
		opening: opening, interval: s.candles.interval, open: s.open(row),
		usual: s.candles.usual[s.rows[row].candle],
	}
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
