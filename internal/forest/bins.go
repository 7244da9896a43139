package forest

import (
	"math"
	"math/bits"
	"slices"
)

const (
	// missingBin is the bin of a missing value (NaN); the others are below it.
	missingBin = 255
	// maxFeatureBins and maxTargetBins bound the number of bins of the values
	// that are there.
	maxFeatureBins = 255
	maxTargetBins  = 128
)

// feature is one column of the training data, divided into bins.
type feature struct {
	// bins holds for each row the number of edges below its value, or
	// missingBin.
	bins []uint8
	// edges are strictly ascending; a value equal to an edge is below it.
	// They are the possible thresholds of a split, so they have a threshold's
	// precision: what training put left of one, prediction puts there too.
	edges []float32
	// varies tells whether the rows are in more than one bin.
	varies bool
}

// newFeature divides a column into bins that hold about equally many of the
// sampled rows.
func newFeature(column []float64, sampled []int) feature {
	values := make([]float64, 0, len(sampled))
	for _, row := range sampled {
		if value := column[row]; !math.IsNaN(value) {
			values = append(values, value)
		}
	}
	slices.Sort(values)

	var edges []float32
	for _, cut := range cuts(values, maxFeatureBins, evenRank) {
		if edge, ok := edgeBetween(values[cut-1], values[cut]); ok {
			edges = append(edges, edge)
		}
	}
	bins := binValues(column, edges)
	return feature{
		bins:   bins,
		edges:  edges,
		varies: slices.ContainsFunc(bins, func(bin uint8) bool { return bin != bins[0] }),
	}
}

// binValues returns the bin of each value.
func binValues(values []float64, edges []float32) []uint8 {
	// A search in 255 edges needs neither bounds nor branches, which would be
	// mispredicted every other time. No value is above the infinite ones.
	var keys [256]uint64
	for i := range keys {
		keys[i] = orderedKey(math.Inf(1))
		if i < len(edges) {
			keys[i] = orderedKey(float64(edges[i]))
		}
	}
	bins := make([]uint8, len(values))
	for i, value := range values {
		if math.IsNaN(value) {
			bins[i] = missingBin
			continue
		}
		key := orderedKey(value)
		bin := uint64(0)
		for bit := 7; bit >= 0; bit-- {
			_, above := bits.Sub64(keys[uint8(bin+1<<bit-1)], key, 0)
			bin |= above << bit
		}
		bins[i] = uint8(bin)
	}
	return bins
}

// orderedKey maps numbers to integers that compare as the numbers do.
func orderedKey(value float64) uint64 {
	key := math.Float64bits(value + 0) // -0 becomes 0
	if key>>63 == 1 {
		return ^key
	}
	return key | 1<<63
}

// edgeBetween returns an edge that has a on its lower side and b on its upper
// side, if the precision of an edge allows one.
func edgeBetween(a, b float64) (edge float32, ok bool) {
	edge = float32(a/2 + b/2)
	if float64(edge) >= b {
		edge = math.Nextafter32(edge, float32(math.Inf(-1)))
	}
	return edge, float64(edge) >= a && float64(edge) < b
}

// targetGrid divides the range of the target into bins. Between the bins
// there is nothing; a bin whose bounds are equal is a single value, so a
// target with few distinct values is represented exactly.
type targetGrid struct {
	lowest, highest []float64 // the smallest and largest target in each bin
}

// newTargetGrid divides the targets into bins, finer towards both tails, and
// returns the bin of each target besides.
func newTargetGrid(target []float64) (targetGrid, []uint8) {
	sorted := slices.Clone(target)
	slices.Sort(sorted)
	var grid targetGrid
	start := 0
	for _, end := range append(cuts(sorted, maxTargetBins, tailRank), len(sorted)) {
		grid.lowest = append(grid.lowest, sorted[start])
		grid.highest = append(grid.highest, sorted[end-1])
		start = end
	}

	bins := make([]uint8, len(target))
	for i, value := range target {
		bin, _ := slices.BinarySearch(grid.highest, value)
		bins[i] = uint8(bin)
	}
	return grid, bins
}

// cuts divides ascending values into at most limit groups and returns where
// each group but the first begins. Equal values stay together. With at most
// limit distinct values each has a group of its own; otherwise the cuts are
// near rank(i, limit, len(sorted)) for i in [1, limit), and a value that
// spans two of these ranks has a group of its own.
func cuts(sorted []float64, limit int, rank func(i, limit, length int) int) []int {
	distinct := make([]int, 0, limit)
	for i := 1; i < len(sorted) && len(distinct) < limit; i++ {
		if sorted[i] != sorted[i-1] {
			distinct = append(distinct, i)
		}
	}
	if len(distinct) < limit {
		return distinct
	}

	starts := make([]int, 0, limit)
	last := 0
	for i := 1; i < limit; i++ {
		at := rank(i, limit, len(sorted))
		// The nearer end of the run of equal values around the rank.
		cut, _ := slices.BinarySearch(sorted[:at], sorted[at])
		after, _ := slices.BinarySearch(sorted[at:], math.Nextafter(sorted[at], math.Inf(1)))
		if after < at-cut {
			cut = at + after
		}
		if cut > last && cut < len(sorted) {
			starts = append(starts, cut)
			last = cut
		}
	}
	return starts
}

// evenRank puts equally many values between any two ranks.
func evenRank(i, limit, length int) int {
	return i * length / limit
}

// tailRank follows 3u²−2u³: towards both ends the number of values between
// two ranks falls like √(p(1−p)), the standard error of an estimated
// probability p, so the bins are as fine as the estimates deserve.
func tailRank(i, limit, length int) int {
	return i * i * (3*limit - 2*i) * length / (limit * limit * limit)
}
