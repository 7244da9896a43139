package forest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestLearnsAFunction(t *testing.T) {
	function := func(row []float64) float64 { return math.Sin(2*row[0]) + row[1]*row[2] }
	target := func(row []float64, random *rand.Rand) float64 {
		return function(row) + 0.1*random.NormFloat64()
	}
	f := newDataset(1, 20_000, 6, target).train(t,
		Settings{Trees: 40, MaxDepth: 20, MinLeafRows: 5, RowShare: 0.6, ColumnShare: 0.7, Seed: 1})
	unseen := newDataset(2, 2000, 6, target)
	mean := 0.0
	for _, value := range unseen.target {
		mean += value / float64(len(unseen.target))
	}
	var residual, total float64
	for i, value := range unseen.target {
		residual += math.Pow(value-f.mustPredict(t, unseen.row(i)).Mean(), 2)
		total += math.Pow(value-mean, 2)
	}
	if r2 := 1 - residual/total; r2 < 0.9 {
		t.Errorf("R² on unseen rows is %.3f, want at least 0.9", r2)
	}
}

// Intervals must cover what they promise, overall and where the target is
// narrow, medium and wide.
func TestIntervalsAreCalibrated(t *testing.T) {
	target := func(row []float64, random *rand.Rand) float64 {
		return 0.5*row[0] + math.Exp(0.4*row[0])*random.NormFloat64()
	}
	f := newDataset(1, 60_000, 4, target).train(t,
		Settings{Trees: 50, MaxDepth: 12, MinLeafRows: 200, RowShare: 0.5, ColumnShare: 0.5, Seed: 1})
	unseen := newDataset(2, 20_000, 4, target)
	for _, interval := range []float64{0.8, 0.9} {
		var rows, covered [4]float64 // all, narrow, medium, wide
		for i, value := range unseen.target {
			predicted := f.mustPredict(t, unseen.row(i))
			group := 2
			if x := unseen.columns[0][i]; x < -0.43 {
				group = 1
			} else if x > 0.43 {
				group = 3
			}
			inside := 0.0
			if predicted.Quantile(0.5-interval/2) <= value && value <= predicted.Quantile(0.5+interval/2) {
				inside = 1
			}
			for _, g := range []int{0, group} {
				rows[g]++
				covered[g] += inside
			}
		}
		for group, tolerance := range []float64{0.01, 0.02, 0.02, 0.02} {
			coverage := covered[group] / rows[group]
			if math.Abs(coverage-interval) > tolerance {
				t.Errorf("group %d: the %v interval covers %.4f", group, interval, coverage)
			}
		}
	}
}

// Of the rows with a predicted probability, as many must turn out to be above.
func TestAboveIsCalibrated(t *testing.T) {
	target := func(row []float64, random *rand.Rand) float64 { return row[0] + random.NormFloat64() }
	f := newDataset(1, 60_000, 3, target).train(t,
		Settings{Trees: 50, MaxDepth: 12, MinLeafRows: 200, RowShare: 0.5, ColumnShare: 1, Seed: 1})
	unseen := newDataset(2, 40_000, 3, target)
	var rows, predicted, observed [10]float64
	for i, value := range unseen.target {
		above := f.mustPredict(t, unseen.row(i)).Above(0.5)
		tenth := min(int(10*above), 9)
		rows[tenth]++
		predicted[tenth] += above
		if value > 0.5 {
			observed[tenth]++
		}
	}
	for tenth, n := range rows {
		if n < 1000 {
			t.Fatalf("only %v rows are in tenth %d", n, tenth)
		}
		if difference := (observed[tenth] - predicted[tenth]) / n; math.Abs(difference) > 0.03 {
			t.Errorf("tenth %d: of a share of %.3f that is predicted, %.3f is above", tenth, predicted[tenth]/n, observed[tenth]/n)
		}
	}
}

func TestMissingValuesInform(t *testing.T) {
	for _, missingMean := range []float64{-3, 3} {
		d := newDataset(1, 4000, 2, func(row []float64, random *rand.Rand) float64 {
			if random.IntN(3) == 0 {
				row[0] = math.NaN()
				return missingMean + 0.1*random.NormFloat64()
			}
			return 0.1 * random.NormFloat64()
		})
		// newDataset keeps the values it drew.
		for i, value := range d.target {
			if math.Abs(value-missingMean) < 1 {
				d.columns[0][i] = math.NaN()
			}
		}
		f := d.train(t, Settings{Trees: 10, MaxDepth: 4, MinLeafRows: 20, RowShare: 0.5, ColumnShare: 1})
		if got := f.mustPredict(t, []float64{math.NaN(), 0}).Mean(); math.Abs(got-missingMean) > 0.1 {
			t.Errorf("the mean where the feature is missing is %v, want %v", got, missingMean)
		}
		if got := f.mustPredict(t, []float64{0, 0}).Mean(); math.Abs(got) > 0.1 {
			t.Errorf("the mean where the feature is known is %v, want 0", got)
		}
	}
}

// A value that was never missing in training goes where most rows went.
func TestUnexpectedMissingValue(t *testing.T) {
	d := newDataset(1, 1000, 1, func(row []float64, _ *rand.Rand) float64 {
		if row[0] > 1 {
			return 10
		}
		return 0
	})
	f := d.train(t, Settings{Trees: 5, MaxDepth: 1, MinLeafRows: 1, RowShare: 0.5, ColumnShare: 1})
	if got := f.mustPredict(t, []float64{math.NaN()}).Mean(); got > 1 {
		t.Errorf("got mean %v, want about that of the larger side, 0", got)
	}
}

func TestSmallAndFlatData(t *testing.T) {
	nan := math.NaN()
	settings := Settings{Trees: 3, MaxDepth: 5, MinLeafRows: 1, RowShare: 1, ColumnShare: 0.5}
	large := settings
	large.MinLeafRows = 100
	half := settings
	half.RowShare = 0.1
	tests := []struct {
		name     string
		columns  [][]float64
		target   []float64
		settings Settings
		row      []float64
		mean     float64
	}{
		{"one row", [][]float64{{1}}, []float64{5}, settings, []float64{3}, 5},
		{"one row of missing values", [][]float64{{nan}}, []float64{5}, settings, []float64{3}, 5},
		{"one row in a tenth", [][]float64{{1}}, []float64{5}, half, []float64{3}, 5},
		{"fewer rows than a leaf", [][]float64{{1, 2, 3}}, []float64{1, 2, 6}, large, []float64{3}, 3},
		{"constant target", [][]float64{{1, 2, 3}}, []float64{4, 4, 4}, settings, []float64{2}, 4},
		{"constant feature", [][]float64{{7, 7, 7}}, []float64{1, 2, 6}, settings, []float64{0}, 3},
		{"constant feature beside one that splits", [][]float64{{7, 7, 7}, {1, 2, 3}}, []float64{1, 2, 6}, settings, []float64{0, 3}, 6},
		{"missing feature beside one that splits", [][]float64{{nan, nan, nan}, {1, 2, 3}}, []float64{1, 2, 6}, settings, []float64{nan, 1}, 1},
		{"constant where it is not missing", [][]float64{{7, nan, 7}}, []float64{1, 2, 1}, settings, []float64{nan}, 2},
		{"equal rows", [][]float64{{1, 1, 2}}, []float64{0, 4, 6}, settings, []float64{1}, 2},
		{"target at the limit", [][]float64{{1, 2}}, []float64{-maxTarget, maxTarget}, settings, []float64{2}, maxTarget},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			names := []string{"a", "b"}[:len(test.columns)]
			f := dataset{names, test.columns, test.target}.train(t, test.settings)
			predicted := f.mustPredict(t, test.row)
			if predicted.Mean() != test.mean {
				t.Errorf("the mean is %v, want %v", predicted.Mean(), test.mean)
			}
			low, high := predicted.Quantile(0), predicted.Quantile(1)
			if low < slices.Min(test.target) || high > slices.Max(test.target) || low > high {
				t.Errorf("quantiles 0 and 1 are %v and %v", low, high)
			}
		})
	}
}

func TestTrainRefusesBadData(t *testing.T) {
	column := func(values ...float64) [][]float64 { return [][]float64{values} }
	manyNames := make([]string, maxColumns+1)
	tests := []struct {
		problem string // in the error
		names   []string
		columns [][]float64
		target  []float64
	}{
		{"no rows", []string{"a"}, column(), nil},
		{"10000001 rows", []string{"a"}, column(), make([]float64, maxRows+1)},
		{"0 columns", nil, nil, []float64{1}},
		{"65537 columns", manyNames, make([][]float64, maxColumns+1), []float64{1}},
		{"1 columns and 2 names", []string{"a", "b"}, column(1), []float64{1}},
		{`two columns are named "a"`, []string{"a", "a"}, [][]float64{{1}, {1}}, []float64{1}},
		{"name of column 0 has 0 bytes", []string{""}, column(1), []float64{1}},
		{"has 256 bytes", []string{strings.Repeat("x", 256)}, column(1), []float64{1}},
		{`column "a" has 1 rows, want 2`, []string{"a"}, column(1), []float64{1, 2}},
		{`column "a" is +Inf in row 1`, []string{"a"}, column(1, math.Inf(1)), []float64{1, 2}},
		{`column "a" is -Inf in row 0`, []string{"a"}, column(math.Inf(-1), 2), []float64{1, 2}},
		{"target is NaN in row 1", []string{"a"}, column(1, 2), []float64{1, math.NaN()}},
		{"target is -Inf in row 0", []string{"a"}, column(1, 2), []float64{math.Inf(-1), 1}},
		{"target is 1e+300 in row 0", []string{"a"}, column(1, 2), []float64{1e300, 1}},
	}
	for _, test := range tests {
		_, err := Train(t.Context(), test.names, test.columns, test.target, DefaultSettings(), nil)
		if err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("got error %v, want one that says %q", err, test.problem)
		}
	}
}

func TestPredictRefusesBadRows(t *testing.T) {
	d := newDataset(1, 100, 2, weakOne)
	f := d.train(t, DefaultSettings())
	predicted := f.mustPredict(t, d.row(0))
	before := *predicted
	tests := []struct {
		problem string
		forest  *Forest
		row     []float64
	}{
		{"1 values, want 2", f, []float64{1}},
		{"3 values, want 2", f, []float64{1, 2, 3}},
		{`"feature 1" is -Inf`, f, []float64{1, math.Inf(-1)}},
		{"the forest is empty", new(Forest), nil},
	}
	for _, test := range tests {
		err := test.forest.Predict(test.row, predicted)
		if err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("got error %v, want one that says %q", err, test.problem)
		}
		if predicted.Mean() != before.Mean() || predicted.cumulative != before.cumulative {
			t.Error("a refused row changed the distribution")
		}
	}
}

// trainOnWholeNumbers uses nothing but arithmetic that all machines agree on.
func trainOnWholeNumbers(t *testing.T, settings Settings) []byte {
	t.Helper()
	const rows, columns = 4000, 6
	source := rand.NewPCG(1, 2)
	d := dataset{names: strings.Split("abcdef", ""), columns: make([][]float64, columns), target: make([]float64, rows)}
	for j := range d.columns {
		d.columns[j] = make([]float64, rows)
		for i := range d.columns[j] {
			value := float64(source.Uint64() % (1 << (2 * (j + 2))))
			d.target[i] += value / float64(int(1)<<(2*(j+2)))
			d.columns[j][i] = value
			if source.Uint64()%16 == 0 {
				d.columns[j][i] = math.NaN()
			}
		}
	}
	data, err := d.train(t, settings).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The digest holds on all machines and for every number of cores. A change of
// what training does, intended or not, changes it.
func TestTrainingIsReproducible(t *testing.T) {
	const digest = "e7f95d08359510e5c52362dee2c7ec13dd369bfd7bdb0feb0edd4138c6f0ac96"
	settings := Settings{Trees: 23, MaxDepth: 9, MinLeafRows: 5, RowShare: 0.5, ColumnShare: 0.4, Seed: 42}
	for _, cores := range []int{1, 2, 8} {
		previous := runtime.GOMAXPROCS(cores)
		sum := sha256.Sum256(trainOnWholeNumbers(t, settings))
		runtime.GOMAXPROCS(previous)
		if got := hex.EncodeToString(sum[:]); got != digest {
			t.Errorf("%d cores: the digest is %s, want %s", cores, got, digest)
		}
	}
	settings.Seed++
	if sum := sha256.Sum256(trainOnWholeNumbers(t, settings)); hex.EncodeToString(sum[:]) == digest {
		t.Error("another seed gives the same forest")
	}
}

func TestTrainLeavesItsInputAlone(t *testing.T) {
	d := newDataset(1, 500, 3, weakOne)
	names, target := slices.Clone(d.names), slices.Clone(d.target)
	var columns [][]float64
	for _, column := range d.columns {
		columns = append(columns, slices.Clone(column))
	}
	f := d.train(t, DefaultSettings())
	if !slices.Equal(names, d.names) || !slices.Equal(target, d.target) || !slices.EqualFunc(columns, d.columns, slices.Equal[[]float64]) {
		t.Error("training changed its input")
	}
	f.Names()[0] = "changed"
	d.names[1] = "changed"
	if !slices.Equal(f.Names(), names) {
		t.Errorf("the forest's names are %q, want %q", f.Names(), names)
	}
}

func TestProgress(t *testing.T) {
	d := newDataset(1, 500, 3, weakOne)
	settings := DefaultSettings()
	settings.Trees = 20
	var seen []int
	_, err := Train(t.Context(), d.names, d.columns, d.target, settings, func(done, total int) {
		seen = append(seen, done)
		if total != settings.Trees {
			t.Errorf("the total is %d, want %d", total, settings.Trees)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, done := range seen {
		if done != i+1 {
			t.Fatalf("progress went %v", seen)
		}
	}
	if len(seen) != settings.Trees {
		t.Errorf("progress was told %d times, want %d", len(seen), settings.Trees)
	}
}

// The bubble does not end before its goroutines have, and fails if one never
// would.
func TestCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDataset(1, 20_000, 5, weakOne)
		settings := DefaultSettings()
		settings.Trees = maxTrees
		ctx, cancel := context.WithCancel(t.Context())
		trees := 0
		_, err := Train(ctx, d.names, d.columns, d.target, settings, func(done, _ int) {
			trees = done
			cancel()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want that of the context", err)
		}
		if trees > runtime.GOMAXPROCS(0) {
			t.Errorf("%d trees were grown after the context had ended", trees-1)
		}

		_, err = Train(ctx, d.names, d.columns, d.target, settings, func(int, int) {
			t.Error("a tree was grown though the context had ended")
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want that of the context", err)
		}
	})
}

func TestPredictionDoesNotAllocate(t *testing.T) {
	d := newDataset(1, 2000, 4, weakSignal)
	f := d.train(t, DefaultSettings())
	row := d.row(0)
	predicted := new(Distribution)
	sum := 0.0
	allocations := testing.AllocsPerRun(100, func() {
		if err := f.Predict(row, predicted); err != nil {
			t.Fatal(err)
		}
		sum += predicted.Mean() + predicted.Above(0)
		for _, p := range []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95} {
			sum += predicted.Quantile(p)
		}
	})
	if allocations != 0 {
		t.Errorf("a prediction allocates %v times", allocations)
	}
}

// The race detector watches.
func TestConcurrentPredictions(t *testing.T) {
	d := newDataset(1, 2000, 4, weakSignal)
	f := d.train(t, DefaultSettings())
	want := make([]float64, 200)
	for i := range want {
		want[i] = f.mustPredict(t, d.row(i)).Quantile(0.9)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			var predicted Distribution
			for i := range want {
				if err := f.Predict(d.row(i), &predicted); err != nil || predicted.Quantile(0.9) != want[i] {
					t.Errorf("row %d: got %v and error %v, want %v", i, predicted.Quantile(0.9), err, want[i])
				}
			}
		})
	}
	group.Wait()
}
