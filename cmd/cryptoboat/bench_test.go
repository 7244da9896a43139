package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/forest"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// Every benchmark here measures two things in turn, in one run, and reports
// their ratio: the machine's speed drifts, a ratio does not.

// median of the ratios a[k]/b[k].
func medianRatio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for k := range a {
		ratios[k] = float64(a[k]) / float64(b[k])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[len(sorted)/2]
}

// BenchmarkImport compares the import of the real 15m files, from zips with
// checksums to committed candles, with psql's \copy of the same rows as CSV into
// an equal hypertable: the same bytes over the same protocol.
func BenchmarkImport(b *testing.B) {
	files, _, err := binance.FindArchives(
		[]string{realCandles(b, "BTCUSDT/15m"), realCandles(b, "ETHUSDT/15m")}, market.Series{})
	if err != nil {
		b.Fatal(err)
	}
	csv := readAsCSV(b, files)
	var imports, copies []time.Duration
	for b.Loop() {
		database := timescaletest.Open(b)
		began := time.Now()
		summary, err := history.Import(b.Context(), files, database, importWorkers, func(history.FileReport) {})
		imports = append(imports, time.Since(began))
		if err != nil || summary.New != 174_902 {
			b.Fatalf("%d candles, %v", summary.New, err)
		}
		copies = append(copies, copyCSV(b, csv, 174_902))
	}
	b.ReportMetric(median(imports).Seconds(), "import-s")
	b.ReportMetric(median(copies).Seconds(), "copy-s")
	b.ReportMetric(medianRatio(imports, copies), "import/copy")
	b.ReportMetric(0, "ns/op")
}

func readAsCSV(b *testing.B, files []history.CandleFile) []byte {
	var csv bytes.Buffer
	for _, file := range files {
		reader, err := file.Open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for {
			c, err := reader.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			writeCSV(&csv, file.Series, c)
		}
		reader.Close()
	}
	return csv.Bytes()
}

func writeCSV(csv *bytes.Buffer, series market.Series, c market.Candle) {
	fmt.Fprintf(csv, "%s,%s,%s", series.Symbol, series.Interval, c.OpenTime.Format(time.RFC3339))
	for _, v := range []float64{c.Open, c.High, c.Low, c.Close, c.Volume, c.QuoteVolume.Value} {
		csv.WriteString("," + strconv.FormatFloat(v, 'f', -1, 64))
	}
	fmt.Fprintf(csv, ",%d,%s,%s\n", c.Trades.Value,
		strconv.FormatFloat(c.TakerBuyVolume.Value, 'f', -1, 64),
		strconv.FormatFloat(c.TakerBuyQuoteVolume.Value, 'f', -1, 64))
}

func copyCSV(b *testing.B, csv []byte, rows int64) time.Duration {
	url := timescaletest.URL(b)
	if code, _, complaints := cryptoboat(b, url, "migrate", "up"); code != 0 {
		b.Fatal(complaints)
	}
	connection, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close(context.Background())
	began := time.Now()
	tag, err := connection.PgConn().CopyFrom(b.Context(), bytes.NewReader(csv), `COPY candles FROM STDIN (FORMAT csv)`)
	if err != nil || tag.RowsAffected() != rows {
		b.Fatalf("%d rows, %v", tag.RowsAffected(), err)
	}
	return time.Since(began)
}

// BenchmarkCandlesCall compares the call for 2,880 candles as JSON, over HTTP on
// the loopback, with the bare query through pgx, both by two clients at once.
func BenchmarkCandlesCall(b *testing.B) {
	const clients, calls, bars = 2, 20, 2880
	files, _, err := binance.FindArchives([]string{realCandles(b, "BTCUSDT/15m")}, market.Series{})
	if err != nil {
		b.Fatal(err)
	}
	url := timescaletest.URL(b)
	database, err := timescale.Open(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer database.Close()
	if err := database.MigrateUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	if _, err := history.Import(b.Context(), files, database, importWorkers, func(history.FileReport) {}); err != nil {
		b.Fatal(err)
	}
	handler, err := handlerOf(b, database, nil)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()

	start := time.Date(2025, time.May, 1, 0, 0, 0, 0, time.UTC)
	end := start.Add(bars * 15 * time.Minute)
	call := func() error {
		response, err := http.Get(server.URL + fmt.Sprintf("/v1/symbols/BTCUSDT/candles?interval=15m&start=%d&end=%d&limit=%d",
			start.UnixMilli(), end.UnixMilli(), bars))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		// Counting what came would cost the client more than reading it does.
		n, err := io.Copy(io.Discard, response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || n < bars*200) {
			return fmt.Errorf("status %d, %d bytes", response.StatusCode, n)
		}
		return err
	}
	query := func() error {
		rows, err := pool.Query(b.Context(), `
			SELECT open_time, open, high, low, close, volume, quote_volume, trades, taker_buy_volume, taker_buy_quote_volume
			FROM candles WHERE symbol = 'BTCUSDT' AND interval = '15m' AND open_time >= $1 AND open_time < $2
			ORDER BY open_time`, start, end)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		var at time.Time
		var v [8]float64
		var trades int64
		for rows.Next() {
			if err := rows.Scan(&at, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &trades, &v[6], &v[7]); err != nil {
				return err
			}
			n++
		}
		if n != bars {
			return fmt.Errorf("%d rows", n)
		}
		return rows.Err()
	}
	measure := func(one func() error) time.Duration {
		began := time.Now()
		var working sync.WaitGroup
		for range clients {
			working.Go(func() {
				for range calls {
					if err := one(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		working.Wait()
		return time.Since(began)
	}
	measure(call)
	measure(query)
	var throughCalls, throughQueries []time.Duration
	for b.Loop() {
		throughCalls = append(throughCalls, measure(call))
		throughQueries = append(throughQueries, measure(query))
	}
	perSecond := func(d []time.Duration) float64 { return clients * calls / median(d).Seconds() }
	b.ReportMetric(perSecond(throughCalls), "calls/s")
	b.ReportMetric(perSecond(throughQueries), "queries/s")
	b.ReportMetric(1/medianRatio(throughCalls, throughQueries), "call/query-throughput")
	b.ReportMetric(0, "ns/op")
}

// trainMatrix makes the test binary train on the matrix file of that name.
const trainMatrix = "CRYPTOBOAT_TEST_TRAIN_MATRIX"

const (
	matrixRows    = 245_448
	matrixColumns = 20
)

// trained is what a training prints: seconds, and the loss on unseen rows so
// that nobody wins by learning less.
type trained struct {
	Seconds    float64 `json:"seconds"`
	MSE        float64 `json:"mse"`
	ModelBytes int     `json:"model_bytes"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	PeakMB     float64 `json:"-"`
}

// BenchmarkForest compares 100 trees on 245,448 real rows of 20 features with
// XGBoost's forest mode and scikit-learn's forest at equal settings and on as
// many cores, each in a process of its own, and fails where a bound is broken.
func BenchmarkForest(b *testing.B) {
	matrix := writeMatrix(b)
	peer := func(library string) func() trained {
		if exec.Command("/usr/bin/python3", "-c", "import numpy, "+library).Run() != nil {
			b.Logf("%s is not installed (Debian: apt-get install python3-sklearn python3-xgboost): not compared with it", library)
			return nil
		}
		return func() trained {
			return runTraining(b, exec.CommandContext(b.Context(), "/usr/bin/python3", "testdata/train_peer.py", library,
				matrix, strconv.Itoa(matrixRows), strconv.Itoa(matrixColumns), strconv.Itoa(runtime.GOMAXPROCS(0))))
		}
	}
	xgboost, sklearn := peer("xgboost"), peer("sklearn")

	var ours, xgboosts []trained
	for b.Loop() {
		command := exec.CommandContext(b.Context(), os.Args[0])
		command.Env = append(os.Environ(), trainMatrix+"="+matrix)
		ours = append(ours, runTraining(b, command))
		if xgboost != nil {
			xgboosts = append(xgboosts, xgboost())
		}
	}
	b.ReportMetric(0, "ns/op")

	var figures []string
	report := func(value float64, unit string) {
		b.ReportMetric(value, unit)
		figures = append(figures, fmt.Sprintf("%s is %.4g", unit, value))
	}
	atMost := func(value, bound float64, unit string) {
		report(value, unit)
		verdict := "holds"
		if !(value <= bound) {
			verdict = "BROKEN"
			b.Fail()
		}
		figures[len(figures)-1] += fmt.Sprintf(", at most %.4g: %s", bound, verdict)
	}
	first, times := ours[0], durations(ours)
	report(median(times).Seconds(), "train-s")
	report(first.MSE, "mse")
	// What else the machine does makes predictions slower, never faster: of the
	// runs, the one that was disturbed least.
	report(slices.MinFunc(ours, func(a, b trained) int { return cmp.Compare(a.P50, b.P50) }).P50, "predict-p50-µs")
	atMost(slices.MinFunc(ours, func(a, b trained) int { return cmp.Compare(a.P99, b.P99) }).P99, 50, "predict-p99-µs")
	atMost(slices.MaxFunc(ours, func(a, b trained) int { return cmp.Compare(a.PeakMB, b.PeakMB) }).PeakMB, 300, "peak-MB")
	atMost(float64(first.ModelBytes)/1e6, 8, "model-MB")
	if xgboost != nil {
		theirs, theirTimes := xgboosts[0], durations(xgboosts)
		report(median(theirTimes).Seconds(), "xgboost-s")
		report(theirs.PeakMB, "xgboost-peak-MB")
		report(theirs.MSE, "xgboost-mse")
		atMost(medianRatio(times, theirTimes), 1.5, "train/xgboost")
		atMost(first.MSE/theirs.MSE, 1.005, "mse/xgboost-mse")
	}
	if sklearn != nil {
		theirs := sklearn()
		report(theirs.Seconds, "sklearn-s")
		report(theirs.PeakMB, "sklearn-peak-MB")
		report(theirs.MSE, "sklearn-mse")
		atMost(median(times).Seconds()/theirs.Seconds, 1.0/15, "train/sklearn")
		atMost(first.MSE/theirs.MSE, 1.005, "mse/sklearn-mse")
	}
	if b.Failed() { // then go test does not print them
		for _, figure := range figures {
			b.Log(figure)
		}
	}
}

func durations(runs []trained) []time.Duration {
	taken := make([]time.Duration, len(runs))
	for k, run := range runs {
		taken[k] = run.duration()
	}
	return taken
}

func (t trained) duration() time.Duration { return time.Duration(t.Seconds * float64(time.Second)) }

func runTraining(b *testing.B, command *exec.Cmd) trained {
	var result trained
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err == nil {
		err = json.Unmarshal(out, &result)
	}
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	result.PeakMB = float64(command.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
	return result
}

// writeMatrix writes features and target of the real 5m candles, column by
// column, then as many rows again to measure the loss on.
func writeMatrix(b *testing.B) string {
	files, _, err := binance.FindArchives([]string{realCandles(b, "BTCUSDT/5m")}, market.Series{})
	if err != nil {
		b.Fatal(err)
	}
	var closes []float64
	for _, file := range files {
		reader, err := file.Open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for c, err := reader.Next(); err == nil; c, err = reader.Next() {
			closes = append(closes, math.Log(c.Close))
		}
		reader.Close()
	}
	const window = 512
	rows := len(closes) - window - 1
	columns := make([][]float64, matrixColumns+1)
	for k := range rows {
		now := k + window
		volatility := 1e-6
		for _, lag := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} {
			volatility += math.Abs(closes[now-lag]-closes[now-lag-1]) / 12
		}
		for j := range matrixColumns / 2 {
			columns[j] = append(columns[j], (closes[now-j]-closes[now-j-1])/volatility)
			span := 1 << (j%9 + 1)
			columns[matrixColumns/2+j] = append(columns[matrixColumns/2+j],
				math.Log(math.Abs(closes[now]-closes[now-span])/volatility+1e-3)+float64(j/9)*math.Log(volatility))
		}
		columns[matrixColumns] = append(columns[matrixColumns],
			min(max((closes[now+1]-closes[now])/volatility, -6), 6))
	}
	path := filepath.Join(b.TempDir(), "matrix")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for _, part := range []struct{ from, to int }{{0, matrixRows}, {matrixRows, rows}} {
		for _, column := range columns {
			if err := binary.Write(file, binary.LittleEndian, column[part.from:part.to]); err != nil {
				b.Fatal(err)
			}
		}
	}
	return path
}

// trainInThisProcess is the other end of BenchmarkForest.
func trainInThisProcess(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	values := make([]float64, len(content)/8)
	if _, err := binary.Decode(content, binary.LittleEndian, values); err != nil {
		return err
	}
	content = nil
	split := matrixRows * (matrixColumns + 1)
	names := make([]string, matrixColumns)
	columns := make([][]float64, matrixColumns)
	for j := range columns {
		names[j] = "column_" + strconv.Itoa(j)
		columns[j] = values[j*matrixRows : (j+1)*matrixRows]
	}
	settings := forest.Settings{Trees: 100, MaxDepth: 12, MinLeafRows: 200, RowShare: 0.5, ColumnShare: 1.0 / 3, Seed: 1}
	began := time.Now()
	f, err := forest.Train(context.Background(), names, columns, values[matrixColumns*matrixRows:split], settings, nil)
	if err != nil {
		return err
	}
	result := trained{Seconds: time.Since(began).Seconds()}
	file, err := f.MarshalBinary()
	if err != nil {
		return err
	}
	result.ModelBytes = len(file)

	unseen := values[split:]
	n := len(unseen) / (matrixColumns + 1)
	row := make([]float64, matrixColumns)
	var d forest.Distribution
	took := make([]float64, 0, n)
	for k := range n {
		for j := range row {
			row[j] = unseen[j*n+k]
		}
		began := time.Now()
		if err := f.Predict(row, &d); err != nil {
			return err
		}
		for _, p := range []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95} {
			d.Quantile(p)
		}
		took = append(took, float64(time.Since(began))/1e3)
		residual := unseen[matrixColumns*n+k] - d.Mean()
		result.MSE += residual * residual / float64(n)
	}
	slices.Sort(took)
	result.P50, result.P99 = took[n/2], took[n*99/100]
	return json.NewEncoder(os.Stdout).Encode(result)
}
