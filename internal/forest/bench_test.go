package forest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func synthetic(rows, columns int) ([]string, [][]float64, []float64) {
	r := rand.New(rand.NewPCG(7, 7))
	names := make([]string, columns)
	x := make([][]float64, columns)
	for j := range x {
		names[j] = fmt.Sprintf("x%d", j)
		x[j] = make([]float64, rows)
		for i := range x[j] {
			x[j][i] = r.NormFloat64()
		}
	}
	y := make([]float64, rows)
	for i := range y {
		y[i] = max(-6, min(6, 0.05*x[0][i]+0.05*x[1][i]*x[2][i]+r.NormFloat64()*math.Exp(0.3*x[3%columns][i])))
	}
	return names, x, y
}

func BenchmarkTrain(b *testing.B) {
	names, x, y := synthetic(245448, 20)
	for b.Loop() {
		f, err := Train(context.Background(), names, x, y, DefaultSettings(), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(f.leaves)), "leaves")
		b.ReportMetric(float64(len(f.counts)), "countbytes")
	}
}

func BenchmarkPredict(b *testing.B) {
	names, x, y := synthetic(245448, 20)
	f, err := Train(context.Background(), names, x, y, DefaultSettings(), nil)
	if err != nil {
		b.Fatal(err)
	}
	rows := make([][]float64, 10000)
	for i := range rows {
		rows[i] = make([]float64, 20)
		for j := range rows[i] {
			rows[i][j] = x[j][i]
		}
	}
	var d Distribution
	var times []float64
	i := 0
	for b.Loop() {
		start := time.Now()
		if err := f.Predict(rows[i%len(rows)], &d); err != nil {
			b.Fatal(err)
		}
		for _, p := range []float64{.05, .1, .25, .5, .75, .9, .95} {
			d.Quantile(p)
		}
		times = append(times, float64(time.Since(start)))
		i++
	}
	slices.Sort(times)
	b.ReportMetric(times[len(times)*99/100], "p99-ns")
	b.ReportMetric(times[len(times)/2], "p50-ns")
}
