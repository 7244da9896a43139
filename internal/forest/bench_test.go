package forest

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// The rows and columns of seven years of 15-minute data.
const (
	benchmarkRows    = 245_448
	benchmarkColumns = 20
)

// BenchmarkTrain shows that the cost of training is linear in the rows. The
// memory is what the process has asked the operating system for, the data of
// 8 bytes a value included.
func BenchmarkTrain(b *testing.B) {
	for _, rows := range []int{benchmarkRows / 4, benchmarkRows / 2, benchmarkRows} {
		b.Run(fmt.Sprintf("%drows", rows), func(b *testing.B) {
			d := newDataset(1, rows, benchmarkColumns, weakSignal)
			b.ReportAllocs()
			var f *Forest
			for b.Loop() {
				f = d.train(b, DefaultSettings())
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
			b.ReportMetric(float64(memory.Sys)/1e6, "MB-memory")
			b.ReportMetric(float64(len(mustMarshal(b, f)))/1e6, "MB-model")
			b.ReportMetric(float64(len(f.leaves)), "leaves")
		})
	}
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
