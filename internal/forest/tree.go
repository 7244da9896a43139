package forest

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
)

// tree is a grown tree. Its references and its leaves' counts begin at 0.
type tree struct {
	root   int32
	nodes  []node // the root of a branch before its left, before its right part
	leaves []leaf // from left to right
	counts []byte
}

// grower grows one tree after another in the same buffers.
type grower struct {
	*training
	samples   []sample // one more than a tree has
	scratch   []sample
	columns   []int
	histogram histogram
	counts    [maxTargetBins]uint32
	random    *rand.Rand
	tree      tree
}

func newGrower(t *training) *grower {
	return &grower{
		training: t,
		samples:  make([]sample, t.sampleRows+1),
		scratch:  make([]sample, t.sampleRows),
		columns:  make([]int, len(t.varying)),
	}
}

// grow returns the tree of a seed, cut short if the context ends.
func (g *grower) grow(ctx context.Context, seed [2]uint64) tree {
	source := rand.NewPCG(seed[0], seed[1])
	g.random = rand.New(source)
	copy(g.columns, g.varying)
	g.tree = tree{}

	samples := g.draw(source)
	var total sums
	for _, s := range samples {
		total += g.packing.one() + sums(s.steps)
	}
	g.tree.root = g.branch(ctx, samples, total, 0)
	return g.tree
}

// draw returns a random subset of the rows, ascending (Knuth, The Art of
// Computer Programming, volume 2, 3.4.2, algorithm S).
func (g *grower) draw(source *rand.PCG) []sample {
	drawn := 0
	for row, steps := range g.steps {
		// Written even if it is not taken: a branch would be mispredicted.
		g.samples[drawn] = sample{row: uint32(row), steps: steps}
		number, _ := bits.Mul64(source.Uint64(), uint64(len(g.steps)-row))
		if number < uint64(g.sampleRows-drawn) {
			drawn++
		}
	}
	return g.samples[:drawn]
}

// branch grows the part of a tree that the samples, which add up to total, end
// in, and returns the reference to it.
func (g *grower) branch(ctx context.Context, samples []sample, total sums, depth int) int32 {
	if depth == g.settings.MaxDepth || len(samples)/2 < g.settings.MinLeafRows || ctx.Err() != nil {
		return g.leaf(samples)
	}
	best := g.bestSplit(samples, total)
	if best.gain == 0 {
		return g.leaf(samples)
	}

	feature := &g.features[best.column]
	threshold := float32(math.Inf(1)) // only the missing values are on the right
	if best.bin < len(feature.edges) {
		threshold = feature.edges[best.bin]
	}
	at := len(g.tree.nodes)
	g.tree.nodes = append(g.tree.nodes, node{
		threshold:   threshold,
		feature:     uint16(best.column),
		missingLeft: best.missingLeft,
	})
	middle := g.partition(samples, feature.bins, best)
	left := g.branch(ctx, samples[:middle], best.left, depth+1)
	right := g.branch(ctx, samples[middle:], total-best.left, depth+1)
	g.tree.nodes[at].left, g.tree.nodes[at].right = left, right
	return int32(at)
}

// bestSplit tries columns in random order: as many as the settings ask for,
// and then others for as long as there is no split.
//
// It makes a histogram for each. Taking the smaller child's from the parent's
// would need all columns' histograms at every node, which pays only if most
// columns are tried.
func (g *grower) bestSplit(samples []sample, total sums) split {
	s := search{packing: g.packing, minRows: int64(g.settings.MinLeafRows), total: total}
	for tried := range g.columns {
		if tried >= g.tries && s.best.gain > 0 {
			break
		}
		other := tried + g.random.IntN(len(g.columns)-tried)
		g.columns[tried], g.columns[other] = g.columns[other], g.columns[tried]

		column := g.columns[tried]
		feature := &g.features[column]
		g.histogram.fill(samples, feature.bins, g.packing.one())
		s.try(column, &g.histogram, len(feature.edges)+1)
	}
	return s.best
}

// partition moves the samples that go to the left before the others, keeps the
// order within both, and returns where the right ones begin.
func (g *grower) partition(samples []sample, bins []uint8, by split) int {
	var side [256]uint8 // 1 is right
	for bin := range side {
		if bin > by.bin && !(bin == missingBin && by.missingLeft) {
			side[bin] = 1
		}
	}
	// Both sides are written and one of them moves on: a branch would be
	// mispredicted.
	lefts, rights := 0, 0
	scratch := g.scratch[:len(samples)]
	for _, s := range samples {
		samples[lefts] = s
		scratch[rights] = s
		right := int(side[bins[s.row]])
		lefts += 1 - right
		rights += right
	}
	copy(samples[lefts:], scratch[:rights])
	return lefts
}

// leaf adds a leaf that stands for the samples and returns the reference to it.
func (g *grower) leaf(samples []sample) int32 {
	counts := g.counts[:len(g.grid.lowest)]
	clear(counts)
	sum := 0.0
	for _, s := range samples {
		sum += g.target[s.row]
		counts[g.targetBins[s.row]]++
	}
	at := len(g.tree.leaves)
	g.tree.leaves = append(g.tree.leaves, leaf{
		mean:   sum / float64(len(samples)),
		rows:   uint32(len(samples)),
		counts: uint32(len(g.tree.counts)),
	})
	g.tree.counts = appendCounts(g.tree.counts, counts)
	return ^int32(at)
}
