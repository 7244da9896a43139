package simulator

import (
	"runtime"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// BenchmarkGeneratedPage makes pages as a backfill of 15m asks for them: anew,
// and out of what is kept.
func BenchmarkGeneratedPage(b *testing.B) {
	const page = history.PageLimit * 15 * time.Minute
	begin := at("2019-01-01 00:00:00")
	pages := func(b *testing.B, count int) {
		g := NewGenerated(GeneratedConfig{Seed: 1})
		g.Candles(bitcoin(market.Minute15), market.TimeRange{Start: begin, End: begin.Add(time.Duration(count) * page)}, 1)
		made := 0
		for k := 0; b.Loop(); k++ {
			if count > 1 && k%count == 0 {
				b.StopTimer()
				g = NewGenerated(GeneratedConfig{Seed: 1})
				g.Candles(bitcoin(market.Minute15), ever, 1)
				b.StartTimer()
			}
			start := begin.Add(time.Duration(k%count) * page)
			made += len(g.Candles(bitcoin(market.Minute15), market.TimeRange{Start: start, End: start.Add(page)}, history.PageLimit))
		}
		b.ReportMetric(float64(made)/b.Elapsed().Seconds(), "candles/s")
	}
	b.Run("anew", func(b *testing.B) { pages(b, 200) })
	b.Run("kept", func(b *testing.B) { pages(b, 1) })
}

// BenchmarkOpenCandle asks for the state of candles second by second, late in
// long ones.
func BenchmarkOpenCandle(b *testing.B) {
	begin := at("2024-05-30 20:00:00")
	sources := map[string]Source{"generated": NewGenerated(GeneratedConfig{Seed: 1})}
	sources["recorded"] = play(b, at("2024-06-01 00:00:00"), 0,
		recordedFile(bitcoin(market.Minute15), span("2024-04-01 00:00:00", "2024-06-01 00:00:00")))
	for _, name := range []string{"generated", "recorded"} {
		for _, interval := range []market.Interval{market.Minute1, market.Minute15, market.Hour1, market.Day1, market.Month1} {
			if _, ok := sources[name].OpenCandle(bitcoin(interval), begin); !ok {
				continue
			}
			b.Run(name+"/"+string(interval), func(b *testing.B) {
				for k := 0; b.Loop(); k++ {
					sources[name].OpenCandle(bitcoin(interval), begin.Add(time.Duration(k%14_000)*time.Second))
				}
			})
		}
	}
}

// BenchmarkGeneratedMemory walks the whole history of both pairs at 15m and says
// what a market holds on to afterwards.
func BenchmarkGeneratedMemory(b *testing.B) {
	for b.Loop() {
		before := heap()
		g := NewGenerated(GeneratedConfig{Seed: 1})
		for _, series := range []market.Series{bitcoin(market.Minute15), ether(market.Minute15)} {
			g.Candles(series, span("2017-08-17 00:00:00", "2026-11-23 00:00:00"), 1<<20)
		}
		for day := range 200 {
			g.Candles(bitcoin(market.Minute1), market.TimeRange{Start: generatedStart.AddDate(0, 0, day), End: ever.End}, 1)
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MB")
		runtime.KeepAlive(g)
	}
}

func BenchmarkRecordedMemory(b *testing.B) {
	files := append(realFiles(b, bitcoin(market.Minute15)), realFiles(b, ether(market.Minute15))...)
	for b.Loop() {
		before := heap()
		r := play(b, at("2026-11-23 12:00:00"), 0, files...)
		b.ReportMetric(float64(heap()-before)/(1<<20), "MB")
		runtime.KeepAlive(r)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
