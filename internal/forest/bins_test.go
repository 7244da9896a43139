package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// awkward has values that binning could get wrong.
var awkward = []float64{
	0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64,
	1, math.Nextafter(1, 2), math.Nextafter(1, 0), 1 + 1e-7, 16777216, 16777217,
	math.MaxFloat32, -math.MaxFloat32, 1e300, -1e300, math.MaxFloat64, -math.MaxFloat64, 1e-40, -1e-40,
}

func TestBinsOfCountsTheEdgesBelow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for _, count := range []int{0, 1, 2, 3, 127, 128, 253, 254} {
		var edges []float32
		for range count {
			edges = append(edges, float32(random.NormFloat64()))
		}
		if count > 2 {
			edges[0], edges[1] = 0, 1
		}
		slices.Sort(edges)
		edges = slices.Compact(edges)

		values := slices.Concat(awkward, []float64{math.NaN(), math.Copysign(math.NaN(), -1)})
		for range 1000 {
			values = append(values, random.NormFloat64())
		}
		for _, edge := range edges {
			values = append(values, float64(edge))
		}
		for i, bin := range binsOf(values, edges) {
			want := 0
			for _, edge := range edges {
				if float64(edge) < values[i] {
					want++
				}
			}
			if math.IsNaN(values[i]) {
				want = missingBin
			}
			if int(bin) != want {
				t.Errorf("%d edges: %v is in bin %d, want %d", len(edges), values[i], bin, want)
			}
		}
	}
}

func TestEdgeBetweenSeparates(t *testing.T) {
	values := slices.Clone(awkward)
	random := rand.New(rand.NewPCG(2, 0))
	for range 200 {
		value := random.NormFloat64()
		values = append(values, value, float64(float32(value)), math.Nextafter(float64(float32(value)), 9))
	}
	slices.Sort(values)
	for i, b := range values[1:] {
		a := values[i]
		edge, ok := edgeBetween(a, b)
		if ok && !(a <= float64(edge) && float64(edge) < b) {
			t.Errorf("the edge between %v and %v is %v", a, b, edge)
		}
		// Any float32 in [a, b) would have done.
		above := float32(a)
		if float64(above) < a {
			above = math.Nextafter32(above, float32(math.Inf(1)))
		}
		if possible := float64(above) >= a && float64(above) < b; ok != possible {
			t.Errorf("an edge between %v and %v: found %t, want %t", a, b, ok, possible)
		}
	}
}

func TestCuts(t *testing.T) {
	uniform := make([]float64, 1000)
	for i := range uniform {
		uniform[i] = float64(i)
	}
	hundreds := slices.Concat(uniform[:100], slices.Repeat([]float64{100}, 300), uniform[101:200])
	tests := []struct {
		name   string
		values []float64
		limit  int
		want   []int
	}{
		{"nothing", nil, 4, []int{}},
		{"one value", []float64{7}, 4, []int{}},
		{"equal values", []float64{7, 7, 7}, 4, []int{}},
		{"as many distinct values as groups", []float64{1, 2, 2, 3, 4, 4}, 4, []int{1, 3, 4}},
		{"evenly spread", uniform, 4, []int{250, 500, 750}},
		{"a heavy value has its own group", hundreds, 5, []int{99, 100, 400}},
		{"heavy first value", slices.Concat(make([]float64, 900), uniform[1:100]), 4, []int{900}},
		{"heavy last value", slices.Concat(uniform[:100], slices.Repeat([]float64{5000}, 900)), 4, []int{100}},
	}
	for _, test := range tests {
		if got := cuts(test.values, test.limit, evenRank); !slices.Equal(got, test.want) {
			t.Errorf("%s: got cuts %v, want %v", test.name, got, test.want)
		}
	}
}

func TestCutsKeepEqualValuesTogether(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	for range 300 {
		values := make([]float64, 1+random.IntN(2000))
		distinct := 1 + random.IntN(600)
		for i := range values {
			values[i] = float64(random.IntN(distinct))
		}
		slices.Sort(values)
		limit := 2 + random.IntN(254)
		for _, rank := range []func(i, limit, length int) int{evenRank, tailRank} {
			starts := cuts(values, limit, rank)
			if len(starts) >= limit {
				t.Fatalf("%d groups, want at most %d", len(starts)+1, limit)
			}
			last := 0
			for _, start := range starts {
				if start <= last || start >= len(values) || values[start] == values[start-1] {
					t.Fatalf("cut %d after cut %d of %d values", start, last, len(values))
				}
				last = start
			}
		}
	}
}

func TestTailRankIsFinerInTheTails(t *testing.T) {
	const length = maxRows // the largest product
	last := 0
	for i := 1; i < maxTargetBins; i++ {
		rank := tailRank(i, maxTargetBins, length)
		if rank <= last || rank >= length {
			t.Fatalf("rank %d is %d after %d", i, rank, last)
		}
		if mirrored := length - tailRank(maxTargetBins-i, maxTargetBins, length); rank-mirrored > 1 || mirrored-rank > 1 {
			t.Errorf("rank %d is %d from below and %d from above", i, rank, mirrored)
		}
		last = rank
	}
	if first := tailRank(1, maxTargetBins, length); first > length/5000 {
		t.Errorf("the first bin has %d of %d rows", first, length)
	}
}

func TestBinningRowsCoverTheData(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 0))
	for _, rows := range []int{1, 2, 1000, maxBinningRows, maxBinningRows + 1, 5*maxBinningRows + 3} {
		drawn := binningRows(rows, random)
		if len(drawn) != min(rows, maxBinningRows) {
			t.Fatalf("%d rows: drew %d", rows, len(drawn))
		}
		stretch := rows/len(drawn) + 1
		last := -1
		for _, row := range drawn {
			if row <= last || row-last > 2*stretch || row >= rows {
				t.Fatalf("%d rows: drew %d after %d", rows, row, last)
			}
			last = row
		}
	}
}
