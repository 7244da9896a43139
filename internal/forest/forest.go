package forest

import (
	"fmt"
	"math"
	"slices"
)

// Forest is a trained forest.
type Forest struct {
	names  []string
	grid   targetGrid
	roots  []int32
	nodes  []node
	leaves []leaf
	counts []byte
}

// node sends a row whose value is at most threshold to the left.
type node struct {
	threshold   float32
	feature     uint16
	missingLeft bool
	left, right int32
}

type leaf struct {
	mean   float64
	rows   uint32
	counts uint32
}

func newForest(names []string, grid targetGrid, trees []tree) (*Forest, error) {
	f := &Forest{names: slices.Clone(names), grid: grid}
	for _, t := range trees {
		nodes, leaves, counts := int32(len(f.nodes)), int32(len(f.leaves)), uint32(len(f.counts))
		shift := func(ref int32) int32 {
			if ref < 0 {
				return ref - leaves
			}
			return ref + nodes
		}
		f.roots = append(f.roots, shift(t.root))
		for _, n := range t.nodes {
			n.left, n.right = shift(n.left), shift(n.right)
			f.nodes = append(f.nodes, n)
		}
		for _, l := range t.leaves {
			l.counts += counts
			f.leaves = append(f.leaves, l)
		}
		f.counts = append(f.counts, t.counts...)
	}
	return f, nil
}

// Names returns the names of the features, in the order of a row.
func (f *Forest) Names() []string { return slices.Clone(f.names) }

// Predict predicts.
func (f *Forest) Predict(row []float64, d *Distribution) error {
	if len(row) != len(f.names) {
		return fmt.Errorf("bad len")
	}
	mass := d.cumulative[:len(f.grid.lowest)]
	clear(mass)
	mean := 0.0
	for _, root := range f.roots {
		l := f.leafOf(root, row)
		mean += l.mean
		addCounts(mass, f.counts[l.counts:], 1/float64(l.rows))
	}
	total := 0.0
	for i, m := range mass {
		total += m
		mass[i] = total
	}
	for i := range mass {
		mass[i] /= total
	}
	d.grid = &f.grid
	d.mean = mean / float64(len(f.roots))
	return nil
}

func (f *Forest) leafOf(root int32, row []float64) *leaf {
	at := root
	for at >= 0 {
		n := &f.nodes[at]
		x := row[n.feature]
		at = n.right
		if x <= float64(n.threshold) {
			at = n.left
		}
		if n.missingLeft && math.IsNaN(x) {
			at = n.left
		}
	}
	return &f.leaves[^at]
}
