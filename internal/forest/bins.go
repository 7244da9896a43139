package forest

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

const (
	maxFeatureBins = 255
	// missingBin is the bin of missing values; the others are below it.
	missingBin = 255
	// maxBinningRows bounds the rows whose quantiles divide a feature into
	// bins: more than a hundred for each bin, and sorted in a fraction of the
	// time that all of them would take.
	maxBinningRows = 1 << 15
)

// feature is a column of the training data, divided into bins.
type feature struct {
	// bins holds for each row the number of edges that are below its value,
	// or missingBin.
	bins []uint8
	// edges are strictly ascending. They become the thresholds of splits, so
	// they have their precision: what training finds at or below an edge,
	// prediction does too.
	edges []float32
	// varies tells whether the rows are in more than one bin.
	varies bool
}

// newFeature divides a column into bins that hold about equally many of the
// given rows.
func newFeature(column []float64, rows []int) feature {
	values := make([]float64, 0, len(rows))
	for _, row := range rows {
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
	bins := binsOf(column, edges)
	return feature{
		bins:   bins,
		edges:  edges,
		varies: slices.ContainsFunc(bins, func(bin uint8) bool { return bin != bins[0] }),
	}
}

// binningRows draws one row from each of equally long stretches of the rows.
func binningRows(rows int, random *rand.Rand) []int {
	drawn := make([]int, min(rows, maxBinningRows))
	for i := range drawn {
		start, end := i*rows/len(drawn), (i+1)*rows/len(drawn)
		drawn[i] = start + random.IntN(end-start)
	}
	return drawn
}

// edgeBetween returns an edge that is at or above a and below b, if its
// precision allows one.
func edgeBetween(a, b float64) (edge float32, ok bool) {
	edge = float32(a/2 + b/2)
	if float64(edge) >= b {
		edge = math.Nextafter32(edge, float32(math.Inf(-1)))
	}
	return edge, float64(edge) >= a && float64(edge) < b
}

// binsOf returns the bin of each value.
func binsOf(values []float64, edges []float32) []uint8 {
	// A binary search for each value would mispredict every other branch.
	// Among 255 edges, the surplus ones infinite, and with whole numbers it
	// needs no branch, which made it nearly four times as fast.
	var keys [maxFeatureBins + 1]uint64
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

// orderedKey maps numbers to whole numbers of the same order.
func orderedKey(value float64) uint64 {
	key := math.Float64bits(value + 0) // -0 becomes 0
	if key>>63 == 1 {
		return ^key
	}
	return key | 1<<63
}

// cuts divides ascending values into at most limit groups and returns where
// each but the first begins. Equal values stay together. Up to limit distinct
// values have a group each; more are cut near the ranks 1 to limit-1, and a
// value that spans two of these has a group of its own.
func cuts(values []float64, limit int, rank func(i, limit, length int) int) []int {
	starts := make([]int, 0, limit)
	for i := 1; i < len(values) && len(starts) < limit; i++ {
		if values[i] != values[i-1] {
			starts = append(starts, i)
		}
	}
	if len(starts) < limit {
		return starts
	}

	starts = starts[:0]
	last := 0
	for i := 1; i < limit; i++ {
		at := rank(i, limit, len(values))
		// The nearer end of the values that equal the one at the rank.
		cut, _ := slices.BinarySearch(values[:at], values[at])
		after, _ := slices.BinarySearch(values[at:], math.Nextafter(values[at], math.Inf(1)))
		if after < at-cut {
			cut = at + after
		}
		if cut > last && cut < len(values) {
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
