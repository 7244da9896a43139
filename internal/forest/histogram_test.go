package forest

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestPackingHoldsTheLargestSums(t *testing.T) {
	for _, rows := range []int{1, 2, 3, 127, 128, 122724, 1<<20 - 1, 1 << 20, maxRows} {
		p := newPacking(rows)
		if p.maxSteps() < 1<<16-1 {
			t.Errorf("%d rows: %v steps are too few", rows, p.maxSteps())
		}
		total := sums(rows) * (p.one() + sums(p.maxSteps()))
		if p.rows(total) != int64(rows) || p.steps(total) != float64(rows)*p.maxSteps() {
			t.Errorf("%d rows of %v steps: got %d rows and %v steps", rows, p.maxSteps(), p.rows(total), p.steps(total))
		}
	}
}

// The first split of a tree is compared with the best one that trying every
// threshold, with the missing values on either side, finds.
func TestSplitIsTheBest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for round := range 300 {
		rows, minRows := 2+random.IntN(60), 1+random.IntN(8)
		d := newDataset(uint64(round), rows, 3, func(_ []float64, random *rand.Rand) float64 {
			return random.NormFloat64()
		})
		for i := range rows {
			d.columns[1][i] = math.Round(d.columns[1][i]) // ties
			if random.IntN(3) == 0 {
				d.columns[2][i] = math.NaN()
			}
		}
		f := d.train(t, Settings{Trees: 1, MaxDepth: 1, MinLeafRows: minRows, RowShare: 1, ColumnShare: 1})

		want := 0.0
		for j, column := range d.columns {
			for _, threshold := range append([]float64{math.Inf(1)}, column...) {
				for _, missingLeft := range []bool{false, true} {
					want = max(want, d.reduction(minRows, func(i int) bool {
						value := d.columns[j][i]
						return value <= threshold || missingLeft && math.IsNaN(value)
					}))
				}
			}
		}
		got := 0.0
		if len(f.nodes) > 0 {
			got = d.reduction(minRows, func(i int) bool {
				return f.leafOf(f.roots[0], d.row(i)) == 0
			})
		}
		if math.Abs(got-want) > 1e-6*want {
			t.Errorf("round %d: the split removes %v of squared error, the best one %v", round, got, want)
		}
	}
}

// reduction returns by how much a split reduces the squared error, 0 if it
// leaves too few rows on a side.
func (d dataset) reduction(minRows int, left func(i int) bool) float64 {
	var rows, sum [2]float64
	for i, value := range d.target {
		side := 0
		if !left(i) {
			side = 1
		}
		rows[side]++
		sum[side] += value
	}
	if min(rows[0], rows[1]) < float64(minRows) {
		return 0
	}
	total := sum[0] + sum[1]
	return sum[0]*sum[0]/rows[0] + sum[1]*sum[1]/rows[1] - total*total/(rows[0]+rows[1])
}
