package forest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// dataset is synthetic training data.
type dataset struct {
	names   []string
	columns [][]float64
	target  []float64
}

// newDataset draws standard normal features and asks for the target of each
// row.
func newDataset(seed uint64, rows, columns int, target func(row []float64, random *rand.Rand) float64) dataset {
	random := rand.New(rand.NewPCG(seed, 0))
	d := dataset{columns: make([][]float64, columns), target: make([]float64, rows)}
	for j := range d.columns {
		d.names = append(d.names, fmt.Sprintf("feature %d", j))
		d.columns[j] = make([]float64, rows)
	}
	row := make([]float64, columns)
	for i := range rows {
		for j := range row {
			row[j] = random.NormFloat64()
			d.columns[j][i] = row[j]
		}
		d.target[i] = target(row, random)
	}
	return d
}

// weakSignal is a target like the return of an asset: nearly no mean, a
// changing width, heavy tails, clipped at ±6.
func weakSignal(row []float64, random *rand.Rand) float64 {
	width := math.Exp(0.3*row[3] + 0.2*random.NormFloat64())
	return max(-6, min(6, 0.03*row[0]+0.03*row[1]*row[2]+width*random.NormFloat64()))
}

// weakOne is a target that depends on the first feature only.
func weakOne(row []float64, random *rand.Rand) float64 { return 0.1*row[0] + random.NormFloat64() }

func (d dataset) row(i int) []float64 {
	row := make([]float64, len(d.columns))
	for j, column := range d.columns {
		row[j] = column[i]
	}
	return row
}

// first returns the first rows.
func (d dataset) first(rows int) dataset {
	first := dataset{names: d.names, target: d.target[:rows]}
	for _, column := range d.columns {
		first.columns = append(first.columns, column[:rows])
	}
	return first
}

func (d dataset) train(t testing.TB, settings Settings) *Forest {
	t.Helper()
	f, err := Train(context.Background(), d.names, d.columns, d.target, settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *Forest) mustPredict(t testing.TB, row []float64) *Distribution {
	t.Helper()
	d := new(Distribution)
	if err := f.Predict(row, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// leafOf returns the index of the leaf that the row ends in.
func (f *Forest) leafOf(root int32, row []float64) int {
	reference := []int32{root}
	f.walk(reference, row)
	return int(^reference[0])
}
