package forest

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
)

// tree is one grown tree. Its references count from its own first node and
// leaf.
type tree struct {
	root   int32
	nodes  []node
	leaves []leaf
	counts []byte
}

// grower grows trees one after the other with the same buffers.
type grower struct {
	*training
	samples   []sample
	scratch   []sample
	columns   []int // those that vary, shuffled
	histogram histogram
	tallies   [maxTargetBins]uint32
	random    *rand.Rand
	tree      tree
	context   context.Context
}

func newGrower(ctx context.Context, t *training) *grower {
	return &grower{
		training: t,
		samples:  make([]sample, t.sampleRows+1),
		scratch:  make([]sample, t.sampleRows),
		columns:  make([]int, len(t.columns)),
		context:  ctx,
	}
}

// grow returns the tree of a seed. It is cut short when the context ends.
func (g *grower) grow(seed [2]uint64) tree {
	source := rand.NewPCG(seed[0], seed[1])
	g.random = rand.New(source)
	copy(g.columns, g.training.columns)
	g.tree = tree{}
	total := g.draw(source)
	g.tree.root = g.branch(g.samples[:g.sampleRows], total, 0)
	return g.tree
}

// draw fills the samples with rows, in ascending order, every subset being
// equally likely (Knuth, The Art of Computer Programming 3.4.2, algorithm S).
func (g *grower) draw(source *rand.PCG) (total sums) {
	drawn := 0
	for row, steps := range g.steps {
		number, _ := bits.Mul64(source.Uint64(), uint64(len(g.steps)-row))
		g.samples[drawn] = sample{row: uint32(row), steps: steps}
		if number < uint64(g.sampleRows-drawn) {
			drawn++
		}
	}
	for _, s := range g.samples[:drawn] {
		total += g.packing.of(s)
	}
	return total
}

// branch grows the part of the tree that holds the samples and returns the
// reference to its root.
func (g *grower) branch(samples []sample, total sums, depth int) int32 {
	if depth == g.settings.MaxDepth || len(samples) < 2*g.settings.MinLeafRows || g.context.Err() != nil {
		return g.leaf(samples)
	}
	best := g.bestSplit(samples, total)
	if best.score == 0 {
		return g.leaf(samples)
	}
	feature := &g.features[best.column]
	middle := g.partition(samples, feature.bins, best)
	threshold := float32(math.Inf(1))
	if int(best.bin) < len(feature.edges) {
		threshold = feature.edges[best.bin]
	}

	at := len(g.tree.nodes)
	g.tree.nodes = append(g.tree.nodes, node{
		threshold:   threshold,
		feature:     uint16(best.column),
		missingLeft: best.missingLeft,
	})
	left := g.branch(samples[:middle], best.left, depth+1)
	right := g.branch(samples[middle:], total-best.left, depth+1)
	g.tree.nodes[at].left, g.tree.nodes[at].right = left, right
	return int32(at)
}

// bestSplit tries as many columns as the settings want, and further ones as
// long as none can split.
func (g *grower) bestSplit(samples []sample, total sums) split {
	var best split
	for tried := range g.columns {
		if tried >= g.tries && best.score > 0 {
			break
		}
		drawn := tried + g.random.IntN(len(g.columns)-tried)
		g.columns[tried], g.columns[drawn] = g.columns[drawn], g.columns[tried]
		column := g.columns[tried]
		feature := &g.features[column]
		g.histogram.fill(feature.bins, samples, 1<<g.packing.shift)
		g.histogram.improve(&best, column, len(feature.edges)+1, total, g.packing, int64(g.settings.MinLeafRows))
		if best.column == column && g.histogram[missingBin] == 0 {
			best.missingLeft = 2*g.packing.rows(best.left) > int64(len(samples))
		}
	}
	return best
}

// partition moves the samples that the split sends left before the others,
// keeps the order within both, and returns where the right ones begin.
func (g *grower) partition(samples []sample, bins []uint8, s split) int {
	var right [256]uint8
	for bin := range right {
		if bin > int(s.bin) && !(bin == missingBin && s.missingLeft) {
			right[bin] = 1
		}
	}
	// Both sides are written and one of them advanced: a branch would be
	// mispredicted every other time.
	lefts, rights := 0, 0
	scratch := g.scratch[:len(samples)]
	for _, s := range samples {
		samples[lefts] = s
		scratch[rights] = s
		side := int(right[bins[s.row]])
		lefts += 1 - side
		rights += side
	}
	copy(samples[lefts:], scratch[:rights])
	return lefts
}

// leaf adds a leaf that holds the samples.
func (g *grower) leaf(samples []sample) int32 {
	tallies := g.tallies[:len(g.grid.lowest)]
	clear(tallies)
	sum := 0.0
	for _, s := range samples {
		sum += g.target[s.row]
		tallies[g.targetBins[s.row]]++
	}
	at := len(g.tree.leaves)
	g.tree.leaves = append(g.tree.leaves, leaf{
		mean:   sum / float64(len(samples)),
		rows:   uint32(len(samples)),
		counts: uint32(len(g.tree.counts)),
	})
	g.tree.counts = appendCounts(g.tree.counts, tallies)
	return ^int32(at)
}

// newPacking leaves the count just the bits that it needs.
func newPacking(rows int) packing {
	shift := uint(64 - bits.Len(uint(rows)))
	return packing{shift: shift, mask: 1<<shift - 1}
}

// stepBits is the precision of a target in a split's search: as many bits as
// let the sum over all rows fit beside the count, at most 32.
func (p packing) stepBits() uint {
	return min(2*p.shift-64, 32)
}
