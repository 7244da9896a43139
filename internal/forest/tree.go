package forest

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// tree is a grown tree. Its references and its leaves' counts begin at 0.
type tree struct {
	root   int32
	nodes  []node // the root of a branch before its left, before its right part
	leaves []leaf // from left to right
	counts []byte
}

// grower grows one tree after another in the same buffers: but for the tree
// itself, nothing is allocated for it.
type grower struct {
	*training
	samples   []sample // one more than a tree has
	scratch   []sample
	columns   []int
	root      growing
	levels    [][2]growing // the left and the right child of a node of each depth
	histogram histogram    // where nothing is kept
	counts    [maxTargetBins]uint32
	source    rand.PCG
	random    *rand.Rand
	tree      tree
}

func newGrower(t *training) *grower {
	g := &grower{
		training: t,
		samples:  make([]sample, t.sampleRows+1),
		scratch:  make([]sample, t.sampleRows),
		columns:  make([]int, len(t.varying)),
		levels:   make([][2]growing, t.settings.MaxDepth),
	}
	g.random = rand.New(&g.source)
	// Those of its own tries and those that its sibling's subtractions need.
	limit := min(2*t.tries, len(t.varying), maxKept)
	g.root.kept = newKept(len(t.features), limit)
	for depth := range g.levels {
		for side := range g.levels[depth] {
			g.levels[depth][side].kept = newKept(len(t.features), limit)
		}
	}
	return g
}

// grow returns the tree of a seed, cut short if the context ends.
func (g *grower) grow(ctx context.Context, seed [2]uint64) tree {
	g.source.Seed(seed[0], seed[1])
	copy(g.columns, g.varying)
	g.tree = tree{nodes: g.tree.nodes[:0], leaves: g.tree.leaves[:0], counts: g.tree.counts[:0]}

	root := &g.root
	root.kept.forget()
	root.samples, root.total = g.draw(&g.source), 0
	for _, s := range root.samples {
		root.total += g.packing.one() + sums(s.steps)
	}
	return tree{
		root:   g.branch(ctx, root),
		nodes:  slices.Clone(g.tree.nodes),
		leaves: slices.Clone(g.tree.leaves),
		counts: slices.Clone(g.tree.counts),
	}
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

// branch grows the part of a tree that begins with a node and returns the
// reference to it.
func (g *grower) branch(ctx context.Context, n *growing) int32 {
	if n.depth == g.settings.MaxDepth || len(n.samples)/2 < g.settings.MinLeafRows || ctx.Err() != nil {
		return g.leaf(n.samples)
	}
	best := g.bestSplit(n)
	if best.gain == 0 {
		return g.leaf(n.samples)
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
	middle := g.partition(n.samples, feature.bins, best)
	left, right := g.children(n, middle, best)
	leftBranch := g.branch(ctx, left)
	rightBranch := g.branch(ctx, right)
	g.tree.nodes[at].left, g.tree.nodes[at].right = leftBranch, rightBranch
	return int32(at)
}

// bestSplit tries columns in random order: as many as the settings ask for,
// and then others for as long as there is no split.
func (g *grower) bestSplit(n *growing) split {
	s := search{packing: g.packing, minRows: int64(g.settings.MinLeafRows), total: n.total}
	for tried := range g.columns {
		if tried >= g.tries && s.best.gain > 0 {
			break
		}
		other := tried + g.random.IntN(len(g.columns)-tried)
		g.columns[tried], g.columns[other] = g.columns[other], g.columns[tried]

		column := g.columns[tried]
		s.try(column, g.histogramOf(n, column), len(g.features[column].edges)+1)
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
	l := leaf{
		mean:   sum / float64(len(samples)),
		rows:   uint32(len(samples)),
		counts: uint32(len(g.tree.counts)),
	}
	g.tree.counts, l.planes = appendPlanes(g.tree.counts, counts)
	g.tree.leaves = append(g.tree.leaves, l)
	return ^int32(at)
}
