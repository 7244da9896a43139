package forest

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxRows      = 10_000_000
	maxColumns   = 1 << 16
	maxNameBytes = 255
	// maxTarget leaves room for sums in float64.
	maxTarget = 1e38
)

// Train grows a forest that predicts the target from the columns.
//
// columns[j][i] is the value of feature names[j] in row i. NaN is a missing
// value, for which every split learns a side; infinite values are refused.
// Numbers that float32 cannot tell apart may not be told apart. There are 1 to
// 10,000,000 rows and 1 to 65,536 columns. Names are distinct and have 1 to
// 255 bytes.
//
// target[i] is a number within ±1e38. Splits minimise the squared error and
// see the target in steps of its range, of which there are 2³⁰ for a hundred
// thousand rows: scale and clip a target with heavy tails, or trees will do
// little but split extremes off.
//
// The work is spread over GOMAXPROCS goroutines, which have ended when Train
// returns; if the context ends, that is at once and with its error. progress,
// unless nil, is called after each tree with the number of trees that are
// done, from any of the goroutines but never from two at once.
func Train(ctx context.Context, names []string, columns [][]float64, target []float64, settings Settings, progress func(done, total int)) (*Forest, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	if err := validateData(names, columns, target); err != nil {
		return nil, fmt.Errorf("forest training data: %w", err)
	}

	source := rand.NewPCG(settings.Seed, 0)
	t := newTraining(ctx, columns, target, settings, rand.New(source))
	seeds := make([][2]uint64, settings.Trees)
	for i := range seeds {
		seeds[i] = [2]uint64{source.Uint64(), source.Uint64()}
	}
	trees := make([]tree, settings.Trees)
	var (
		mutex sync.Mutex
		done  int
	)
	spread(ctx, len(trees), func(numbers iter.Seq[int]) {
		grower := newGrower(t)
		for i := range numbers {
			trees[i] = grower.grow(ctx, seeds[i])
			if progress != nil {
				mutex.Lock()
				done++
				progress(done, len(trees))
				mutex.Unlock()
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("training a forest: %w", err)
	}
	return newForest(names, t.grid, trees)
}

func validateData(names []string, columns [][]float64, target []float64) error {
	switch {
	case len(target) == 0:
		return fmt.Errorf("there are no rows, want at least 1")
	case len(target) > maxRows:
		return fmt.Errorf("there are %d rows, want at most %d", len(target), maxRows)
	case len(columns) != len(names):
		return fmt.Errorf("there are %d columns and %d names, want a name for each column", len(columns), len(names))
	}
	if err := validateNames(names); err != nil {
		return err
	}
	for j, column := range columns {
		if len(column) != len(target) {
			return fmt.Errorf("column %q has %d rows, want %d, as many as the target", names[j], len(column), len(target))
		}
		for i, value := range column {
			if math.IsInf(value, 0) {
				return fmt.Errorf("column %q is %v in row %d, want a number, or NaN where it is missing", names[j], value, i)
			}
		}
	}
	for i, value := range target {
		if !(math.Abs(value) <= maxTarget) {
			return fmt.Errorf("the target is %v in row %d, want a number within ±%v", value, i, maxTarget)
		}
	}
	return nil
}

func validateNames(names []string) error {
	if len(names) == 0 || len(names) > maxColumns {
		return fmt.Errorf("there are %d columns, want 1 to %d", len(names), maxColumns)
	}
	seen := make(map[string]bool, len(names))
	for j, name := range names {
		if len(name) == 0 || len(name) > maxNameBytes {
			return fmt.Errorf("the name of column %d has %d bytes, want 1 to %d", j, len(name), maxNameBytes)
		}
		if seen[name] {
			return fmt.Errorf("two columns are named %q, want distinct names", name)
		}
		seen[name] = true
	}
	return nil
}

// training is what all trees of a forest are grown from.
type training struct {
	settings   Settings
	features   []feature
	varying    []int // the columns that vary: no other can split
	tries      int   // columns to try at a split
	target     []float64
	grid       targetGrid
	targetBins []uint8
	steps      []uint32 // the targets in steps, see packing.maxSteps
	packing    packing
	sampleRows int // rows of a tree
}

// newTraining prepares the data. It is incomplete if the context has ended.
func newTraining(ctx context.Context, columns [][]float64, target []float64, settings Settings, random *rand.Rand) *training {
	t := &training{
		settings:   settings,
		features:   make([]feature, len(columns)),
		target:     target,
		sampleRows: shareOf(settings.RowShare, len(target)),
	}
	rows := binningRows(len(target), random)
	spread(ctx, len(columns)+1, func(numbers iter.Seq[int]) {
		for i := range numbers {
			if i == 0 {
				t.grid, t.targetBins = newTargetGrid(target)
				t.packing = newPacking(t.sampleRows)
				t.steps = stepsOf(target, t.packing.maxSteps())
			} else {
				t.features[i-1] = newFeature(columns[i-1], rows)
			}
		}
	})
	for column, feature := range t.features {
		if feature.varies {
			t.varying = append(t.varying, column)
		}
	}
	t.tries = shareOf(settings.ColumnShare, len(t.varying))
	return t
}

// shareOf returns a share of n, rounded to the nearest number but 0.
func shareOf(share float64, n int) int {
	return max(1, int(math.Round(share*float64(n))))
}

// stepsOf returns the targets as steps from 0, the smallest, to most, the
// largest.
func stepsOf(target []float64, most float64) []uint32 {
	steps := make([]uint32, len(target))
	lowest := slices.Min(target)
	width := slices.Max(target) - lowest
	if width == 0 {
		return steps
	}
	for row, value := range target {
		steps[row] = uint32(math.Round((value - lowest) / width * most))
	}
	return steps
}

// spread hands the numbers 0 to n-1 out, each to one of as many goroutines as
// there are cores to run them, stops when the context ends, and returns when
// all goroutines have.
func spread(ctx context.Context, n int, work func(numbers iter.Seq[int])) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			work(func(yield func(int) bool) {
				for ctx.Err() == nil {
					number := int(next.Add(1)) - 1
					if number >= n || !yield(number) {
						return
					}
				}
			})
		})
	}
	group.Wait()
}

// newForest joins the trees.
func newForest(names []string, grid targetGrid, trees []tree) (*Forest, error) {
	var nodes, leaves, counts int
	for _, t := range trees {
		nodes += len(t.nodes)
		leaves += len(t.leaves)
		counts += len(t.counts)
	}
	if leaves > math.MaxInt32 || uint64(counts) > math.MaxUint32 {
		return nil, fmt.Errorf("training a forest: %d leaves are too many to keep, raise MinLeafRows or lower Trees", leaves)
	}
	f := &Forest{
		names:  slices.Clone(names),
		grid:   grid,
		roots:  make([]int32, 0, len(trees)),
		nodes:  make([]node, 0, nodes),
		leaves: make([]leaf, 0, leaves),
		counts: make([]byte, 0, counts),
	}
	for _, t := range trees {
		f.add(t)
	}
	return f, nil
}

// add appends a tree and moves its references behind what is there.
func (f *Forest) add(t tree) {
	firstNode, firstLeaf, firstCount := int32(len(f.nodes)), int32(len(f.leaves)), uint32(len(f.counts))
	moved := func(reference int32) int32 {
		if reference < 0 {
			return reference - firstLeaf
		}
		return reference + firstNode
	}
	f.roots = append(f.roots, moved(t.root))
	for _, n := range t.nodes {
		n.left, n.right = moved(n.left), moved(n.right)
		f.nodes = append(f.nodes, n)
	}
	for _, l := range t.leaves {
		l.counts += firstCount
		f.leaves = append(f.leaves, l)
	}
	f.counts = append(f.counts, t.counts...)
}
