package forest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The rows and columns of seven years of 15-minute data.
const (
	benchmarkRows    = 245_448
	benchmarkColumns = 20
)

// BenchmarkTrain shows that the cost of training is linear in the rows: once,
// twice and four times as many, in turn, because the machine's speed drifts.
func BenchmarkTrain(b *testing.B) {
	times := []int{1, 2, 4}
	d := newDataset(1, times[len(times)-1]*benchmarkRows, benchmarkColumns, weakSignal)
	took := make([][]time.Duration, len(times))
	b.ReportAllocs()
	for b.Loop() {
		for i, n := range times {
			start := time.Now()
			d.first(n*benchmarkRows).train(b, DefaultSettings())
			took[i] = append(took[i], time.Since(start))
		}
	}
	for i, n := range times {
		slices.Sort(took[i])
		median := took[i][len(took[i])/2]
		b.ReportMetric(median.Seconds(), fmt.Sprintf("%dx-rows-s", n))
		b.ReportMetric(float64(median.Nanoseconds())/float64(n*benchmarkRows), fmt.Sprintf("%dx-ns/row", n))
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkGrow grows one tree on one core. What it allocates is the tree.
func BenchmarkGrow(b *testing.B) {
	d := newDataset(1, benchmarkRows, benchmarkColumns, weakSignal)
	g := newGrower(newTraining(b.Context(), d.columns, d.target, DefaultSettings(), rand.New(rand.NewPCG(1, 1))))
	g.grow(b.Context(), [2]uint64{0, 1}) // its buffers find their size
	nodes, seed := 0, uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seed++
		nodes += len(g.grow(b.Context(), [2]uint64{seed, 1}).nodes)
	}
	b.ReportMetric(float64(nodes)/float64(b.N), "nodes")
}

// BenchmarkPredict predicts a mean, seven quantiles and a probability.
func BenchmarkPredict(b *testing.B) {
	d := newDataset(1, benchmarkRows, benchmarkColumns, weakSignal)
	f := d.train(b, DefaultSettings())
	unseen := newDataset(2, 1<<14, benchmarkColumns, weakSignal)
	rows := make([][]float64, len(unseen.target))
	for i := range rows {
		rows[i] = unseen.row(i)
	}
	var predicted Distribution
	took := make([]time.Duration, 1<<18) // the last ones
	predictions := 0
	sum := 0.0
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if err := f.Predict(rows[predictions%len(rows)], &predicted); err != nil {
			b.Fatal(err)
		}
		sum += predicted.Mean() + predicted.Above(0)
		for _, p := range []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95} {
			sum += predicted.Quantile(p)
		}
		took[predictions%len(took)] = time.Since(start)
		predictions++
	}
	took = took[:min(predictions, len(took))]
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}
