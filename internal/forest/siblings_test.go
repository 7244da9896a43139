package forest

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// Whatever was made before, for the node, its parent or its sibling, and
// however many places are left: a histogram is the one of the node's samples.
func TestHistogramOfIsTheOneOfTheSamples(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	settings := DefaultSettings()
	subtractions := 0
	for round := range 50 {
		d := newDataset(uint64(round), 3000, 12, weakSignal)
		for i := range 1000 {
			d.columns[round%12][3*i] = math.NaN()
		}
		settings.ColumnShare = []float64{0.1, 0.4, 1}[round%3]
		g := newGrower(newTraining(context.Background(), d.columns, d.target, settings, random))
		g.source.Seed(uint64(round), 0)
		root := &g.root
		root.samples = g.draw(&g.source)
		for _, s := range root.samples {
			root.total += g.packing.one() + sums(s.steps)
		}
		ask := func(n *growing) {
			for range 2 * g.tries {
				column := random.IntN(len(d.columns))
				if _, other := g.relativesOf(n, column); other != nil && n.kept.find(column) == nil {
					subtractions++
				}
				var want histogram
				want.fill(n.samples, g.features[column].bins, g.packing.one())
				if *g.histogramOf(n, column) != want {
					t.Fatalf("round %d, depth %d: the histogram of column %d is not that of the samples", round, n.depth, column)
				}
			}
		}
		for n := root; len(n.samples) > 600; {
			ask(n)
			by := g.bestSplit(n)
			if by.gain == 0 {
				break
			}
			left, right := g.children(n, g.partition(n.samples, g.features[by.column].bins, by), by)
			ask(left)
			ask(right)
			if n = left; len(right.samples) > len(left.samples) {
				n = right
			}
		}
	}
	if subtractions < 100 {
		t.Errorf("only %d histograms were made by subtraction", subtractions)
	}
}
