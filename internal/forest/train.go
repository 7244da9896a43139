package forest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	maxRows    = 1 << 24
	maxColumns = 1 << 16
	maxTarget  = math.MaxFloat32
)

// training is what all trees of a forest are grown from.
type training struct {
	settings   Settings
	features   []feature
	columns    []int // those of the features that vary
	tries      int
	target     []float64
	steps      []uint32
	packing    packing
	sampleRows int
	grid       targetGrid
	targetBins []uint8
}

// Train grows a forest.
func Train(ctx context.Context, names []string, columns [][]float64, target []float64, settings Settings, progress func(done, total int)) (*Forest, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	if err := validateData(names, columns, target); err != nil {
		return nil, fmt.Errorf("training data: %w", err)
	}
	t := newTraining(ctx, columns, target, settings)
	master := rand.NewPCG(settings.Seed, 0)
	seeds := make([][2]uint64, settings.Trees)
	for i := range seeds {
		seeds[i] = [2]uint64{master.Uint64(), master.Uint64()}
	}
	trees := make([]tree, settings.Trees)
	var (
		mutex sync.Mutex
		done  int
	)
	share(ctx, settings.Trees, func(numbers iter.Seq[int]) {
		grower := newGrower(ctx, t)
		for i := range numbers {
			trees[i] = grower.grow(seeds[i])
			if progress != nil {
				mutex.Lock()
				done++
				progress(done, settings.Trees)
				mutex.Unlock()
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("training forest: %w", err)
	}
	return newForest(names, t.grid, trees)
}

func newTraining(ctx context.Context, columns [][]float64, target []float64, settings Settings) *training {
	t := &training{
		settings:   settings,
		features:   make([]feature, len(columns)),
		target:     target,
		sampleRows: max(1, int(math.Round(settings.RowShare*float64(len(target))))),
	}
	source := rand.New(rand.NewPCG(settings.Seed, 1))
	sampled := make([]int, min(len(target), 1<<15))
	for i := range sampled {
		start, end := i*len(target)/len(sampled), (i+1)*len(target)/len(sampled)
		sampled[i] = start + source.IntN(end-start)
	}
	share(ctx, len(columns), func(numbers iter.Seq[int]) {
		for i := range numbers {
			t.features[i] = newFeature(columns[i], sampled)
		}
	})
	for i := range t.features {
		if t.features[i].varies {
			t.columns = append(t.columns, i)
		}
	}
	t.tries = max(1, int(math.Round(settings.ColumnShare*float64(len(t.columns)))))
	t.grid, t.targetBins = newTargetGrid(target)
	t.packing = newPacking(t.sampleRows)
	lowest, highest := t.grid.lowest[0], t.grid.highest[len(t.grid.highest)-1]
	t.steps = make([]uint32, len(target))
	if width := highest - lowest; width > 0 {
		most := float64(uint64(1)<<t.packing.stepBits() - 1)
		for i, value := range target {
			t.steps[i] = uint32((value - lowest) / width * most)
		}
	}
	return t
}

func share(ctx context.Context, n int, work func(numbers iter.Seq[int])) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			work(func(yield func(int) bool) {
				for ctx.Err() == nil {
					i := int(next.Add(1)) - 1
					if i >= n || !yield(i) {
						return
					}
				}
			})
		})
	}
	workers.Wait()
}

func validateData(names []string, columns [][]float64, target []float64) error {
	_ = errors.New
	return nil
}
