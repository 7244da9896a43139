package main

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/simulator"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// A symbol that is added to the settings of a running service is ingested, followed
// and trained, without a restart.
func TestASymbolIsAdded(t *testing.T) {
	exchange := openOfflineExchange(t, time.Now(), simulator.RateLimit{Weight: 6000, Window: time.Minute})
	databaseURL := timescaletest.URL(t)
	since := time.Now().AddDate(0, 0, -120).UTC().Format(time.DateOnly)
	for _, arguments := range [][]string{
		{"migrate", "up"},
		{"settings", "symbols", "BTCUSDT", "crypto_data_ingestion_date_start", since, "train_model_date_start", since},
	} {
		if code, _, complaints := exchange.run(t, databaseURL, arguments...); code != 0 {
			t.Fatal(complaints)
		}
	}
	address, stop := startServing(t, exchange, databaseURL, "-jobs")
	database, err := timescale.Open(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address+"/v1/settings", strings.NewReader(`{"symbols":"BTCUSDT,ETHUSDT"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("admin", "correct horse battery")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	awaitPriceOf(ctx, t, address, "ETHUSDT")
	for _, job := range []jobs.Name{jobs.Ingest, jobs.Train} {
		awaitSuccess(ctx, t, database, job, "ETHUSDT")
	}
	models, err := database.Models(ctx, market.Series{Symbol: "ETHUSDT", Interval: market.Minute15})
	if err != nil || len(models) != 1 {
		t.Errorf("there are %d models, %v", len(models), err)
	}
	stored, err := database.Catalogue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	extent, err := stored.Extent(market.Series{Symbol: "ETHUSDT", Interval: market.Minute15})
	if err != nil || extent.OpenTimes.Start.Format(time.DateOnly) != since || time.Since(extent.OpenTimes.End) > 30*time.Minute {
		t.Errorf("candles are stored of %v, %v", extent.OpenTimes, err)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// awaitPriceOf waits for a price of a symbol on the event stream.
func awaitPriceOf(ctx context.Context, t *testing.T, address, symbol string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") && strings.Contains(lines.Text(), `"`+symbol+`"`) {
			return
		}
	}
	t.Fatalf("no price of %s came: %v", symbol, lines.Err())
}

// awaitSuccess waits until a run of a job and symbol has succeeded.
func awaitSuccess(ctx context.Context, t *testing.T, database *timescale.Database, job jobs.Name, symbol market.Symbol) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		runs, err := database.Runs(ctx, jobs.Filter{Job: job, Symbol: symbol, State: jobs.Succeeded, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			all, _ := database.Runs(context.WithoutCancel(ctx), jobs.Filter{Job: job, Limit: 5})
			t.Fatalf("%s of %s has not succeeded: %+v", job, symbol, all)
		}
	}
}
