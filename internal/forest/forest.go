// Package forest is a random forest for regression that predicts a whole
// distribution: its mean, its quantiles and the probability of lying above a
// value.
//
// Trees are grown on histograms (every feature is divided into at most 255
// bins), each on a share of the rows, with a share of the columns tried at
// each split (Breiman, Random Forests, 2001). The distribution is the one of
// Meinshausen, Quantile Regression Forests, 2006: each tree gives the training
// rows in the leaf that it reaches equal weights that add up to one, and the
// trees are averaged. The mean is exact; the distribution is kept in at most
// 128 bins of the target, finer towards the tails, and is piecewise linear
// within them: exact for a target of up to 128 distinct values, else nearly so.
//
// Equal data, settings and seed give the same forest, bit for bit, on any
// number of cores.
package forest

import (
	"fmt"
	"math"
	"slices"
)

// Forest is a trained forest. It does not change and may be used from several
// goroutines at once. The zero value holds no trees; it is for
// UnmarshalBinary.
type Forest struct {
	names  []string
	grid   targetGrid
	roots  []int32 // references, one for each tree
	nodes  []node
	leaves []leaf
	counts []byte // of the leaves, in the planes of counts.go
}

// node sends the rows with a value of at most threshold to the left.
//
// A reference to a branch of a tree is the index of its root among the nodes,
// or the complement (^) of a leaf's index.
type node struct {
	threshold   float32
	feature     uint16
	missingLeft bool // where a missing value goes
	left, right int32
}

// leaf stands for the training rows that ended in it.
type leaf struct {
	mean   float64
	rows   uint32
	counts uint32 // where the planes of its counts begin
	planes uint32 // how many they are
}

// Names returns the names of the features in the order of a row.
func (f *Forest) Names() []string {
	return slices.Clone(f.names)
}

// Predict puts the distribution of the target, given a row of features in the
// order of Names, into d. NaN is a missing value. It is an error, and d stays
// as it was, if the row has another length or an infinite value. Predict does
// not allocate.
func (f *Forest) Predict(row []float64, d *Distribution) error {
	if len(f.roots) == 0 {
		return fmt.Errorf("predicting: the forest is empty, train or read one first")
	}
	if len(row) != len(f.names) {
		return fmt.Errorf("predicting: the row has %d values, want %d, one for each feature", len(row), len(f.names))
	}
	for i, value := range row {
		if math.IsInf(value, 0) {
			return fmt.Errorf("predicting: feature %q is %v, want a number, or NaN where it is missing", f.names[i], value)
		}
	}

	d.grid = f.grid
	cumulative := d.cumulative[:len(f.grid.lowest)]
	clear(cumulative)
	mean := 0.0
	var walks [walksAtOnce]int32
	for roots := range slices.Chunk(f.roots, walksAtOnce) {
		reached := walks[:copy(walks[:], roots)]
		f.walk(reached, row)
		for _, reference := range reached {
			at := &f.leaves[^reference]
			mean += at.mean
			addCounts(cumulative, f.counts[at.counts:], at.planes, 1/float64(at.rows))
		}
	}
	d.mean = mean / float64(len(f.roots))

	total := 0.0
	for bin, mass := range cumulative {
		total += mass
		cumulative[bin] = total
	}
	for bin := range cumulative {
		cumulative[bin] /= total
	}
	return nil
}

// walksAtOnce is the number of trees that a prediction walks down in step: the
// processor waits for the memory of one while it goes on with another.
const walksAtOnce = 8

// walk replaces the references by those to the leaves that the row ends in.
func (f *Forest) walk(references []int32, row []float64) {
	for walking := true; walking; {
		walking = false
		for i, reference := range references {
			if reference >= 0 {
				references[i] = f.nodes[reference].next(row)
				walking = true
			}
		}
	}
}

// next returns the reference to the side that the row goes to. Which side is
// hard to guess, so there is no branch on it: both are read before.
func (n *node) next(row []float64) int32 {
	value := row[n.feature]
	side, right := n.left, n.right
	if value != value {
		if n.missingLeft {
			return side
		}
		return right
	}
	if value > float64(n.threshold) {
		side = right
	}
	return side
}
