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

// har is a heterogeneous autoregressive model (Corsi 2009) of the size of a
// candle's return, log-linear and fitted as a Poisson regression, with a profile of
// the time of day on top. Its width is the expected absolute log return.
type har struct {
	Coefficients []float64 // the intercept, then one for each regressor
	Profile      []float64 // factor by slot of the day; one slot where a candle lasts a day or longer
}

var harColumns = func() []int {
	columns := make([]int, len(harRegressors))
	for k, name := range harRegressors {
		columns[k] = slices.Index(openingNames, name)
	}
	return columns
}()

var (
	ownVolatility4         = slices.Index(openingNames, "volatility_4")
	ownVolatility96        = slices.Index(openingNames, "volatility_96")
	companionVolatility4   = slices.Index(openingNames, "companion_volatility_4")
	companionVolatility96  = slices.Index(openingNames, "companion_volatility_96")
	ewmaVolatilityPosition = slices.Index(openingNames, "volatility_ewma")
)

// largestEta bounds logarithms of sizes while a fit has not settled.
const largestEta = 1

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

// width is the expected absolute log return of a candle, as of its open.
func (h *har) width(l look) float64 {
	var x [32]float64
	regressors(x[:], l.opening)
	eta := 0.0
	for k, coefficient := range h.Coefficients {
		eta += coefficient * x[k]
	}
	return clamp(math.Exp(eta)*h.Profile[slot(l.interval, l.open, len(h.Profile))], quietest, 1)
}

func clamp(value, low, high float64) float64 { return min(max(value, low), high) }

func slots(interval market.Interval) int {
	return max(1, int(24*time.Hour/interval.Length()))
}

func slot(interval market.Interval, instant time.Time, count int) int {
	return int(instant.Sub(market.Day1.Floor(instant))/interval.Length()) % count
}

// fitHAR fits the regression to the samples at the open by iteratively reweighted
// least squares, then the profile to what it leaves by time of day, then both once
// more.
func fitHAR(openings *samples) (*har, error) {
	interval := openings.candles.interval
	d := design{width: len(harRegressors) + 1}
	d.x = make([]float64, openings.len()*d.width)
	row := make([]float64, len(openingNames))
	of := make([]int, openings.len()) // slots of the day
	for k := range openings.rows {
		openings.opening(row, k)
		regressors(d.row(k), row)
		d.y = append(d.y, math.Abs(openings.rest(k)))
		of[k] = slot(interval, openings.open(k), slots(interval))
	}
	h := &har{Profile: make([]float64, slots(interval))}
	for k := range h.Profile {
		h.Profile[k] = 1
	}
	d.factor = make([]float64, openings.len())
	start := make([]float64, d.width)
	start[0] = math.Log(max(d.mean(), quietest))
	for range 2 {
		for k := range d.factor {
			d.factor[k] = h.Profile[of[k]]
		}
		coefficients, err := d.poisson(start)
		if err != nil {
			return nil, err
		}
		h.Coefficients = coefficients
		h.Profile = d.profile(coefficients, of, len(h.Profile))
	}
	return h, nil
}

// design is a Poisson regression's input: rows of x, the sizes y that they are to
// explain, and a known factor of each.
type design struct {
	x      []float64 // row-major
	width  int
	y      []float64
	factor []float64
}

func (d *design) row(k int) []float64 { return d.x[k*d.width : (k+1)*d.width] }

func (d *design) mean() float64 { return sum(d.y) / float64(len(d.y)) }

func (d *design) eta(k int, coefficients []float64) float64 {
	eta := 0.0
	for j, value := range d.row(k) {
		eta += coefficients[j] * value
	}
	return eta
}

// poisson maximises the Poisson quasi-likelihood of y with a log link and the
// logarithm of the factor as offset, beginning at the given coefficients.
func (d *design) poisson(start []float64) ([]float64, error) {
	const (
		steps     = 25
		tolerance = 1e-6 // of a coefficient; real candles take six steps
		ridge     = 1e-6 // keeps collinear columns solvable
	)
	n := d.width
	rows := float64(len(d.y))
	mean := d.mean()
	if !(mean > 0) {
		return nil, market.Errorf(market.Unavailable, "the candles never moved: there is no volatility to learn")
	}
	coefficients := slices.Clone(start)
	normal := mat.NewSymDense(n, nil)
	gradient := mat.NewVecDense(n, nil)
	for step := 1; ; step++ {
		normal.Zero()
		gradient.Zero()
		a, g := normal.RawSymmetric(), gradient.RawVector()
		for k, y := range d.y {
			x := d.row(k)
			// Weights and residuals are in units of the mean, for the ridge's sake.
			mu := math.Exp(clamp(d.eta(k, coefficients), -20, largestEta)) * d.factor[k] / mean
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
			if i > 0 { // the first is not drawn towards 0
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
func (d *design) profile(coefficients []float64, slots []int, count int) []float64 {
	const prior = 20 // rows
	mean := d.mean()
	actual, expected := make([]float64, count), make([]float64, count)
	for k, y := range d.y {
		actual[slots[k]] += y
		expected[slots[k]] += math.Exp(clamp(d.eta(k, coefficients), -20, largestEta))
	}
	for k := range actual {
		actual[k] = (actual[k] + prior*mean) / (expected[k] + prior*mean)
	}
	return actual
}
