package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// BenchmarkBackfill compares the backfill of seven years of both pairs from a
// faultless exchange on the loopback, in this process, with psql's \copy of the
// same rows as CSV into an equal hypertable. The exchange's work is on the
// backfill's account.
func BenchmarkBackfill(b *testing.B) {
	clock := history.FirstListing.AddDate(7, 0, 0).Add(time.Minute)
	unlimited := simulator.RateLimit{Weight: 10_000_000, Window: time.Minute}
	exchange := openOfflineExchange(b, clock, unlimited)
	var csv bytes.Buffer
	rows := int64(0)
	for _, symbol := range defaultSymbols {
		series := market.Series{Symbol: symbol, Interval: market.Minute15}
		for _, c := range exchange.truth(series, market.TimeRange{Start: history.FirstListing, End: clock.Truncate(15 * time.Minute)}) {
			writeCSV(&csv, series, c)
			rows++
		}
	}
	var backfills, copies []time.Duration
	for b.Loop() {
		url := timescaletest.URL(b)
		if code, _, complaints := exchange.run(b, url, "migrate", "up"); code != 0 {
			b.Fatal(complaints)
		}
		began := time.Now()
		code, out, complaints := exchange.run(b, url, "backfill")
		backfills = append(backfills, time.Since(began))
		if code != 0 || strings.Contains(out, "repeated") {
			b.Fatalf("exit code %d: %s%s", code, out, complaints)
		}
		copies = append(copies, copyCSV(b, csv.Bytes(), rows))
	}
	b.ReportMetric(float64(rows)/median(backfills).Seconds(), "candles/s")
	b.ReportMetric(float64(rows)/median(copies).Seconds(), "copied/s")
	b.ReportMetric(1/medianRatio(backfills, copies), "backfill/copy")
	b.ReportMetric(0, "ns/op")
}
