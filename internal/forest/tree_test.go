package forest

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// Every row of the training data, predicted from its raw values, must end in
// the leaf that training put it in: the leaves' rows, means and counts are
// made again from the predictions.
func TestPredictionFollowsTraining(t *testing.T) {
	const rows = 5000
	d := newDataset(1, rows, 8, func(row []float64, random *rand.Rand) float64 {
		return row[0] + row[1]*row[2] + random.NormFloat64()
	})
	random := rand.New(rand.NewPCG(2, 0))
	for i := range rows {
		d.columns[1][i] = math.Round(2 * d.columns[1][i])                                     // ties
		d.columns[2][i] = float64(float32(d.columns[2][i]))                                   // thresholds may equal values
		d.columns[3][i] = 1 + float64(random.IntN(1000))*0x1p-52                              // closer than float32 tells
		d.columns[4][i] = awkward[random.IntN(len(awkward))]                                  // extremes
		d.columns[5][i] = math.Float64frombits(0x3ff0000000000000 + uint64(random.IntN(1e6))) // likewise
		d.columns[6][i] = 1e6 + float64(random.IntN(50))/16                                   // around float32's precision
		if random.IntN(4) == 0 {
			for j := range d.columns {
				if random.IntN(3) == 0 {
					d.columns[j][i] = math.NaN()
				}
			}
		}
	}
	f := d.train(t, Settings{Trees: 10, MaxDepth: 30, MinLeafRows: 2, RowShare: 1, ColumnShare: 0.4})

	_, targetBins := newTargetGrid(d.target)
	reached := make([][]int, len(f.leaves))
	for i := range rows {
		row := d.row(i)
		for _, root := range f.roots {
			leaf := f.leafOf(root, row)
			reached[leaf] = append(reached[leaf], i)
		}
	}
	for at, leaf := range f.leaves {
		if len(reached[at]) != int(leaf.rows) {
			t.Fatalf("leaf %d: %d rows end in it, training put %d there", at, len(reached[at]), leaf.rows)
		}
		sum, counts := 0.0, make([]float64, len(f.grid.lowest))
		for _, i := range reached[at] {
			sum += d.target[i]
			counts[targetBins[i]]++
		}
		if mean := sum / float64(leaf.rows); mean != leaf.mean {
			t.Errorf("leaf %d: the mean is %v, training found %v", at, mean, leaf.mean)
		}
		addCounts(counts, f.counts[leaf.counts:], leaf.planes, -1)
		for bin, difference := range counts {
			if difference != 0 {
				t.Errorf("leaf %d: the counts of bin %d differ by %v", at, bin, difference)
			}
		}
	}
}

func TestDrawTakesEveryRowEquallyOften(t *testing.T) {
	const rows, taken, draws = 50, 20, 20_000
	d := newDataset(1, rows, 1, weakOne)
	settings := DefaultSettings()
	settings.RowShare = float64(taken) / rows
	g := newGrower(newTraining(context.Background(), d.columns, d.target, settings, rand.New(rand.NewPCG(1, 1))))
	source := rand.NewPCG(2, 2)
	var times [rows]int
	for range draws {
		samples := g.draw(source)
		if len(samples) != taken {
			t.Fatalf("drew %d rows, want %d", len(samples), taken)
		}
		for i, s := range samples {
			if i > 0 && s.row <= samples[i-1].row {
				t.Fatal("the rows are not ascending")
			}
			times[s.row]++
		}
	}
	share := float64(taken) / rows
	deviation := math.Sqrt(draws * share * (1 - share))
	for row, n := range times {
		if math.Abs(float64(n)-draws*share) > 4.5*deviation {
			t.Errorf("row %d was drawn %d times of %d, want about %.0f", row, n, draws, draws*share)
		}
	}
}

// What a tree allocates is the tree: a block each for its nodes, leaves and
// counts. The growing of it, some hundred splits, takes no memory.
func TestGrowingAllocatesTheTreeOnly(t *testing.T) {
	d := newDataset(1, 20_000, 8, weakSignal)
	settings := DefaultSettings()
	settings.MinLeafRows = 5
	g := newGrower(newTraining(context.Background(), d.columns, d.target, settings, rand.New(rand.NewPCG(1, 1))))
	nodes := len(g.grow(t.Context(), [2]uint64{1, 2}).nodes)
	if nodes < 300 {
		t.Fatalf("the tree has %d nodes, too few to tell", nodes)
	}
	allocations := testing.AllocsPerRun(10, func() { g.grow(t.Context(), [2]uint64{1, 2}) })
	if allocations > 3 {
		t.Errorf("growing a tree of %d nodes allocates %v times, want 3", nodes, allocations)
	}
}

func TestLeavesKeepTheirBounds(t *testing.T) {
	d := newDataset(3, 3000, 5, func(row []float64, random *rand.Rand) float64 {
		return row[0] + random.NormFloat64()
	})
	settings := Settings{Trees: 5, MaxDepth: 6, MinLeafRows: 17, RowShare: 0.7, ColumnShare: 0.5}
	f := d.train(t, settings)
	var depth func(reference int32) int
	depth = func(reference int32) int {
		if reference < 0 {
			return 0
		}
		return 1 + max(depth(f.nodes[reference].left), depth(f.nodes[reference].right))
	}
	total := 0
	for _, leaf := range f.leaves {
		if int(leaf.rows) < settings.MinLeafRows {
			t.Errorf("a leaf has %d rows, want at least %d", leaf.rows, settings.MinLeafRows)
		}
		total += int(leaf.rows)
	}
	if want := settings.Trees * 2100; total != want {
		t.Errorf("all leaves have %d rows, want %d", total, want)
	}
	for tree, root := range f.roots {
		if got := depth(root); got < 3 || got > settings.MaxDepth {
			t.Errorf("tree %d is %d splits deep, want 3 to %d", tree, got, settings.MaxDepth)
		}
	}
}
