package forecast

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// harRegressors are the features that the HAR model looks at.
var harRegressors = []string{
	"volatility_1", "volatility_4", "volatility_16", "volatility_96", "volatility_672", "volatility_ewma",
	"range_1", "range_4", "range_96", "volume_1", "volume_4",
	"companion_volatility_4", "companion_volatility_96",
	"hour_sine", "hour_cosine",
}

// har is a heterogeneous autoregressive model (Corsi 2009) of the size of the
// next return, log-linear and fitted as a Poisson regression, with a profile of
// the time of day on top. Its width is the expected absolute log return.
type har struct {
	Coefficients []float64 // the intercept, then one for each regressor
	Profile      []float64 // factor by slot of the day; one slot where a candle lasts a day or longer
}

var harColumns = func() []int {
	columns := make([]int, len(harRegressors))
	for k, name := range harRegressors {
		columns[k] = slices.Index(featureNames, name)
	}
	return columns
}()

var (
	ownVolatility4         = slices.Index(featureNames, "volatility_4")
	ownVolatility96        = slices.Index(featureNames, "volatility_96")
	companionVolatility4   = slices.Index(featureNames, "companion_volatility_4")
	companionVolatility96  = slices.Index(featureNames, "companion_volatility_96")
	ewmaVolatilityPosition = slices.Index(featureNames, "volatility_ewma")
)

// regressors fills x with what the regression sees of a row: where the
// companion is not known, the pair's own volatility stands in.
func regressors(x, row []float64) {
	x[0] = 1
	for k, column := range harColumns {
		value := row[column]
		if math.IsNaN(value) {
			switch column {
			case companionVolatility4:
				value = row[ownVolatility4]
			case companionVolatility96:
				value = row[ownVolatility96]
			}
		}
		x[k+1] = value
	}
}

// width is the expected absolute log return of the candle that opens at the
// instant.
func (h *har) width(row []float64, interval market.Interval, instant time.Time) float64 {
	x := make([]float64, len(harRegressors)+1)
	regressors(x, row)
	eta := 0.0
	for k, value := range x {
		eta += h.Coefficients[k] * value
	}
	return clamp(math.Exp(eta)*h.Profile[slot(interval, instant, len(h.Profile))], quietest, 1)
}

func clamp(value, low, high float64) float64 { return min(max(value, low), high) }

func slots(interval market.Interval) int {
	return max(1, int(24*time.Hour/interval.Length()))
}

func slot(interval market.Interval, instant time.Time, count int) int {
	return int(instant.Sub(market.Day1.Floor(instant))/interval.Length()) % count
}

// fitHAR fits the regression by iteratively reweighted least squares, then the
// profile to what it leaves by time of day, then both once more.
func fitHAR(s *samples) (*har, error) {
	profile := make([]float64, slots(s.interval))
	for k := range profile {
		profile[k] = 1
	}
	h := &har{Profile: profile}
	design := newDesign(s)
	for range 2 {
		coefficients, err := design.poisson(h.Profile)
		if err != nil {
			return nil, err
		}
		h.Coefficients = coefficients
		h.Profile = design.profile(coefficients, len(profile))
	}
	return h, nil
}

// design is a regression's input: rows of x, the absolute returns y, and the
// slot of the day of each.
type design struct {
	x     []float64 // row-major
	width int
	y     []float64
	slots []int
}

func newDesign(s *samples) *design {
	d := &design{width: len(harRegressors) + 1}
	row := make([]float64, len(s.columns))
	d.x = make([]float64, s.len()*d.width)
	for k, open := range s.opens {
		s.row(row, k)
		regressors(d.x[k*d.width:(k+1)*d.width], row)
		d.y = append(d.y, math.Abs(s.returns[k]))
		d.slots = append(d.slots, slot(s.interval, open, slots(s.interval)))
	}
	return d
}

func (d *design) eta(k int, coefficients []float64) float64 {
	eta := 0.0
	for j, value := range d.x[k*d.width : (k+1)*d.width] {
		eta += coefficients[j] * value
	}
	return eta
}

// poisson maximises the Poisson quasi-likelihood of y with a log link and the
// logarithm of the profile as offset.
func (d *design) poisson(profile []float64) ([]float64, error) {
	const (
		steps     = 25
		tolerance = 1e-6 // of a coefficient; real candles take six steps
		ridge     = 1e-6 // keeps collinear columns solvable
	)
	n := d.width
	rows := float64(len(d.y))
	mean := sum(d.y) / float64(len(d.y))
	if !(mean > 0) {
		return nil, market.Errorf(market.Unavailable, "the candles never moved: there is no volatility to learn")
	}
	coefficients := make([]float64, n)
	coefficients[0] = math.Log(mean)
	normal := mat.NewSymDense(n, nil)
	gradient := mat.NewVecDense(n, nil)
	for step := 1; ; step++ {
		normal.Zero()
		gradient.Zero()
		a, g := normal.RawSymmetric(), gradient.RawVector()
		for k, y := range d.y {
			x := d.x[k*n : (k+1)*n]
			// Weights and residuals are in units of the mean, for the ridge's sake.
			mu := math.Exp(clamp(d.eta(k, coefficients), -20, 0)) * profile[d.slots[k]] / mean
			residual := y/mean - mu
			for i, xi := range x {
				g.Data[i] += xi * residual
				w := mu * xi
				upper := a.Data[i*a.Stride+i : i*a.Stride+n]
				for j, xj := range x[i:] {
					upper[j] += w * xj
				}
			}
		}
		for i := range n {
			a.Data[i*a.Stride+i] += ridge * rows
			if i > 0 { // the intercept is not drawn towards 0
				g.Data[i] -= ridge * rows * coefficients[i]
			}
		}
		var cholesky mat.Cholesky
		if !cholesky.Factorize(normal) {
			return nil, fmt.Errorf("fit the HAR model: the regressors are collinear")
		}
		var change mat.VecDense
		if err := cholesky.SolveVecTo(&change, gradient); err != nil {
			return nil, fmt.Errorf("fit the HAR model: %w", err)
		}
		largest := 0.0
		for i := range coefficients {
			coefficients[i] += change.AtVec(i)
			largest = max(largest, math.Abs(change.AtVec(i)))
		}
		switch {
		case largest < tolerance:
			return coefficients, nil
		case step == steps || math.IsNaN(largest):
			return nil, market.Errorf(market.Unavailable,
				"the candles' volatility cannot be fitted: there may be too few moves among them")
		}
	}
}

// profile is the mean size of a return by slot of the day relative to what the
// regression expects, drawn towards 1 where a slot has few rows.
func (d *design) profile(coefficients []float64, count int) []float64 {
	const prior = 20 // rows
	mean := sum(d.y) / float64(len(d.y))
	actual, expected := make([]float64, count), make([]float64, count)
	for k, y := range d.y {
		actual[d.slots[k]] += y
		expected[d.slots[k]] += math.Exp(clamp(d.eta(k, coefficients), -20, 0))
	}
	for k := range actual {
		actual[k] = (actual[k] + prior*mean) / (expected[k] + prior*mean)
	}
	return actual
}
