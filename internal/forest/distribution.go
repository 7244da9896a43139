package forest

import (
	"math"
	"sort"
)

// Distribution is a predicted distribution of the target. It is filled by
// Forest.Predict, whose results may share one Distribution one after the
// other. The zero value holds no prediction: all its methods return NaN.
type Distribution struct {
	grid       targetGrid
	mean       float64
	cumulative [maxTargetBins]float64 // probability of the bins up to each; the last is 1
}

// Mean returns the mean.
func (d *Distribution) Mean() float64 {
	if len(d.grid.lowest) == 0 {
		return math.NaN()
	}
	return d.mean
}

// Quantile returns the smallest value that the target does not exceed with
// probability p, which is 0 to 1 inclusive; 0 and 1 give the bounds of the
// values that are possible at all. It never falls as p rises. For any other p
// it returns NaN.
func (d *Distribution) Quantile(p float64) float64 {
	cumulative := d.cumulative[:len(d.grid.lowest)]
	if len(cumulative) == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	bin := sort.Search(len(cumulative), func(bin int) bool {
		return cumulative[bin] >= p && cumulative[bin] > 0
	})
	below := 0.0
	if bin > 0 {
		below = cumulative[bin-1]
	}
	lowest, highest := d.grid.lowest[bin], d.grid.highest[bin]
	share := (p - below) / (cumulative[bin] - below)
	return min(lowest+share*(highest-lowest), highest)
}

// Above returns the probability that the target is greater than x, the
// complement of the cumulative distribution that Quantile inverts.
func (d *Distribution) Above(x float64) float64 {
	cumulative := d.cumulative[:len(d.grid.lowest)]
	if len(cumulative) == 0 || math.IsNaN(x) {
		return math.NaN()
	}
	bin := sort.Search(len(cumulative), func(bin int) bool { return d.grid.highest[bin] > x })
	if bin == len(cumulative) {
		return 0
	}
	below := 0.0
	if bin > 0 {
		below = cumulative[bin-1]
	}
	lowest, highest := d.grid.lowest[bin], d.grid.highest[bin]
	if x <= lowest {
		return 1 - below
	}
	share := (x - lowest) / (highest - lowest)
	return max(0, 1-below-share*(cumulative[bin]-below))
}
