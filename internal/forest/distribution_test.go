package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// exact returns the distribution of Meinshausen (2006) by its definition: the
// weight of each training row, given that all trees were grown on all of them.
func (f *Forest) exact(d dataset) func(row []float64) []float64 {
	leaves := make([][]int, len(f.roots))
	for tree, root := range f.roots {
		leaves[tree] = make([]int, len(d.target))
		for i := range d.target {
			leaves[tree][i] = f.leafOf(root, d.row(i))
		}
	}
	return func(row []float64) []float64 {
		weights := make([]float64, len(d.target))
		for tree, root := range f.roots {
			reached := f.leafOf(root, row)
			for i, leaf := range leaves[tree] {
				if leaf == reached {
					weights[i] += 1 / float64(f.leaves[leaf].rows) / float64(len(f.roots))
				}
			}
		}
		return weights
	}
}

// The predicted mean must be the exact one, and the exact probability of each
// predicted quantile within half of the largest bin's, which is 1.2 %, of what
// it should be, and a quarter of that on average.
func TestDistributionIsNearTheExactOne(t *testing.T) {
	const bound, meanBound = 0.006, 0.0015
	d := newDataset(1, 20_000, 5, weakSignal)
	f := d.train(t, Settings{Trees: 30, MaxDepth: 12, MinLeafRows: 200, RowShare: 1, ColumnShare: 0.4, Seed: 1})
	exact := f.exact(d)
	random := rand.New(rand.NewPCG(2, 0))
	worst, total, quantiles := 0.0, 0.0, 0.0
	for range 50 {
		row := make([]float64, len(d.names))
		for j := range row {
			row[j] = random.NormFloat64()
		}
		weights := exact(row)
		predicted := f.mustPredict(t, row)
		mean := 0.0
		for i, weight := range weights {
			mean += weight * d.target[i]
		}
		if math.Abs(predicted.Mean()-mean) > 1e-12 {
			t.Errorf("the mean is %v, want %v", predicted.Mean(), mean)
		}
		for _, p := range []float64{0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99} {
			x := predicted.Quantile(p)
			below, at := 0.0, 0.0
			for i, weight := range weights {
				if d.target[i] < x {
					below += weight
				} else if d.target[i] == x {
					at += weight
				}
			}
			difference := max(below-p, p-below-at, 0)
			worst = max(worst, difference)
			total += difference
			quantiles++
			if difference > bound {
				t.Errorf("the %v quantile is %v, of which the exact probability is %v", p, x, below+at)
			}
			if got := predicted.Above(x); math.Abs(got-(1-below-at)) > bound {
				t.Errorf("the probability above %v is %v, want %v", x, got, 1-below-at)
			}
		}
	}
	if mean := total / quantiles; mean > meanBound {
		t.Errorf("the mean difference in probability is %.4f, want at most %v", mean, meanBound)
	}
	t.Logf("the largest difference in probability is %.4f, the mean one %.4f", worst, total/quantiles)
}

func TestDistributionOfFewValuesIsExact(t *testing.T) {
	outcomes := []float64{-2, 0, 0.5, 7}
	d := newDataset(1, 2000, 3, func(row []float64, random *rand.Rand) float64 {
		if row[0] > 0 {
			return outcomes[random.IntN(2)]
		}
		return outcomes[random.IntN(len(outcomes))]
	})
	f := d.train(t, Settings{Trees: 7, MaxDepth: 4, MinLeafRows: 10, RowShare: 1, ColumnShare: 0.7})
	exact := f.exact(d)
	for i := range 20 {
		weights := exact(d.row(i))
		predicted := f.mustPredict(t, d.row(i))
		cumulative := 0.0
		for _, outcome := range outcomes {
			below := cumulative
			for k, weight := range weights {
				if d.target[k] == outcome {
					cumulative += weight
				}
			}
			for _, x := range []float64{outcome, outcome + 0.1} {
				if got := predicted.Above(x); math.Abs(got-(1-cumulative)) > 1e-9 {
					t.Fatalf("row %d: the probability above %v is %v, want %v", i, x, got, 1-cumulative)
				}
			}
			middle := (below + cumulative) / 2
			if got := predicted.Quantile(middle); cumulative > below && got != outcome {
				t.Fatalf("row %d: quantile %v is %v, want %v", i, middle, got, outcome)
			}
		}
	}
}

func TestQuantileAndAboveAgree(t *testing.T) {
	d := newDataset(1, 3000, 4, func(row []float64, random *rand.Rand) float64 {
		switch random.IntN(5) {
		case 0:
			return 0 // a value of its own amid a continuum
		case 1:
			return 5 + random.Float64() // beyond a hole
		}
		return max(-1, row[0]+random.NormFloat64()) // a clipped end
	})
	f := d.train(t, Settings{Trees: 10, MaxDepth: 8, MinLeafRows: 20, RowShare: 0.6, ColumnShare: 0.6})
	lowest, highest := slices.Min(d.target), slices.Max(d.target)
	for i := range 100 {
		predicted := f.mustPredict(t, d.row(i))
		last := math.Inf(-1)
		for step := range 2001 {
			p := float64(step) / 2000
			x := predicted.Quantile(p)
			if x < last {
				t.Fatalf("row %d: quantile %v is %v, below that of a smaller probability, %v", i, p, x, last)
			}
			last = x
			if x < lowest || x > highest {
				t.Fatalf("row %d: quantile %v is %v, beyond the targets' range", i, p, x)
			}
			if at, before := 1-predicted.Above(x), 1-predicted.Above(math.Nextafter(x, -9)); at < p-1e-12 || before > p+1e-12 {
				t.Fatalf("row %d: quantile %v is %v, but the probability up to it is %v, and %v before it", i, p, x, at, before)
			}
		}
		lastAbove := 1.0
		for x := lowest - 1; x < highest+1; x += 0.01 {
			above := predicted.Above(x)
			if above > lastAbove || above < 0 {
				t.Fatalf("row %d: the probability above %v is %v, after %v", i, x, above, lastAbove)
			}
			lastAbove = above
		}
		if first, last := predicted.Above(lowest-1e-9), predicted.Above(highest); first != 1 || last != 0 {
			t.Fatalf("row %d: the probabilities above all and none are %v and %v", i, first, last)
		}
	}
}

func TestDistributionWithoutAnswer(t *testing.T) {
	var none Distribution
	for name, got := range map[string]float64{
		"Mean": none.Mean(), "Quantile": none.Quantile(0.5), "Above": none.Above(0),
	} {
		if !math.IsNaN(got) {
			t.Errorf("%s of no prediction is %v, want NaN", name, got)
		}
	}
	d := newDataset(1, 10, 1, weakOne)
	predicted := d.train(t, DefaultSettings()).mustPredict(t, d.row(0))
	for _, p := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
		if got := predicted.Quantile(p); !math.IsNaN(got) {
			t.Errorf("quantile %v is %v, want NaN", p, got)
		}
	}
	if got := predicted.Above(math.NaN()); !math.IsNaN(got) {
		t.Errorf("the probability above NaN is %v, want NaN", got)
	}
	if low, high := predicted.Above(math.Inf(-1)), predicted.Above(math.Inf(1)); low != 1 || high != 0 {
		t.Errorf("the probabilities above -Inf and +Inf are %v and %v, want 1 and 0", low, high)
	}
}
