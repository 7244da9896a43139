package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

var update = flag.Bool("update", false, "write the golden files anew")

// syntheticArchive holds 15m candles of BTCUSDT from January to October 2023 with a
// hole of two hours on 10 October, and of ETHUSDT up to September.
func syntheticArchive(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	r := market.TimeRange{Start: monthStart(2023, time.January), End: monthStart(2023, time.November)}
	outage := time.Date(2023, time.October, 10, 9, 30, 0, 0, time.UTC)
	candles := without(walk(1, market.Minute15, r), market.TimeRange{Start: outage, End: outage.Add(2 * time.Hour)})
	writeArchive(t, folder, market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}, candles)
	r.End = monthStart(2023, time.October)
	writeArchive(t, folder, market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}, walk(2, market.Minute15, r))
	return folder
}

// evaluateArchive runs evaluate on hours of an archive, without a database.
func evaluateArchive(t testing.TB, folder string, more ...string) (out string) {
	t.Helper()
	code, out, complaints := cryptoboat(t, "", append([]string{"evaluate", "--archive", folder, "--interval", "1h"}, more...)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, complaints)
	}
	return out
}

func TestEvaluationTableGolden(t *testing.T) {
	if raceEnabled {
		t.Skip("its arithmetic is slow under -race; TestTheDocumentEqualsTheTables runs the same code there")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("skipped: the golden numbers are those of amd64; processors with fused multiply-add round a little otherwise")
	}
	got := evaluateArchive(t, syntheticArchive(t),
		"--symbol", "BTCUSDT", "--from", "2023-08", "--to", "2023-10", "--fee", "0", "--spread", "0.0001")
	path := filepath.Join("testdata", "evaluation.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the tables are\n%s\nwanted\n%s", got, want)
	}
}

// The JSON document holds all that the tables show: printed from it, they are the same.
func TestTheDocumentEqualsTheTables(t *testing.T) {
	folder := syntheticArchive(t)
	asked := []string{"--symbol", "BTCUSDT,ETHUSDT", "--from", "2023-09-03", "--to", "2023-09-20T12:00:00Z"}
	tables := evaluateArchive(t, folder, asked...)

	decoder := json.NewDecoder(strings.NewReader(evaluateArchive(t, folder, append(asked, "--json")...)))
	decoder.DisallowUnknownFields()
	var document evaluations
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Errorf("something follows the document: %v", err)
	}
	var printed bytes.Buffer
	for k := range document.Evaluations {
		v := &document.Evaluations[k]
		printEvaluationHead(&printed, v)
		for _, m := range v.Months {
			printMetrics(&printed, monthOf(m.Fold.Start), m.Scores, m.Quarters)
		}
		printEvaluation(&printed, v)
	}
	fmt.Fprintln(&printed, document.Notice)
	if printed.String() != tables {
		t.Errorf("by the document the tables are\n%s\nprinted were\n%s", &printed, tables)
	}
	if len(document.Evaluations) != 2 || document.Evaluations[0].Candles != 17*24+12 || document.Evaluations[0].Whole.Rows != 17*24+12 {
		t.Errorf("the document is %+v", document)
	}
}

func TestAnEvaluationThatCannotBeSaysWhatThereIs(t *testing.T) {
	folder := syntheticArchive(t)
	for _, test := range []struct {
		arguments, says string
		code            int
	}{
		{"--symbol BTCUSDT --from 2024-01 --to 2024-02",
			"no candle of BTCUSDT 1h opens from 2024-01-01T00:00:00Z up to 2024-03-01T00:00:00Z; " +
				"there are candles of 15m from 2023-01-01T00:00:00Z to 2023-11-01T00:00:00Z", 1},
		{"--symbol ETHUSDT --from 2023-10 --to 2023-10", "there are candles of 15m from 2023-01-01T00:00:00Z to 2023-10-01T00:00:00Z", 1},
		{"--symbol BTCUSDT --from 2023-02 --to 2023-02", "too few to train on", 1},
		{"--symbol DOGEUSDT", "ask for one of BTCUSDT, ETHUSDT", 1},
		{"--symbol BTCUSDT --interval 1m", "ask for one of 15m", 1},
		{"--from 2024-02 --to 2024-01", "-from must lie before -to", 2},
		{"--to 2024-02-31", "give a month such as 2024-01", 2},
		{"--fee 2", "the fee is 2", 2},
		{"--symbol BTC/USDT", "is not a pair", 2},
		{"BTCUSDT --json", "flags go before symbols", 2},
		{"--symbol BTCUSDT --from 2023-09 --to 2023-09 --learn-from 2023-09", "-learn-from must lie before -from", 2},
		{"--symbol BTCUSDT --from 2023-09 --to 2023-09 --interval 1w", "a day or less", 2},
	} {
		arguments := append([]string{"evaluate", "--archive", folder, "--interval", "1h"}, strings.Fields(test.arguments)...)
		code, out, complaints := cryptoboat(t, "", arguments...)
		if code != test.code || !strings.Contains(complaints, test.says) || strings.Contains(out, "Information") {
			t.Errorf("%s: exit code %d, wanted %d and %q:\n%s%s", test.arguments, code, test.code, test.says, out, complaints)
		}
	}
	if code, _, complaints := cryptoboat(t, "", "evaluate", "--archive", t.TempDir()); code != 2 || !strings.Contains(complaints, "no candle file in") {
		t.Errorf("of an empty folder: exit code %d: %s", code, complaints)
	}
}

// Months of which nothing is stored are no months that could not be forecast, and a
// year too many takes no time.
func TestAnEvaluationEndsWithTheCandles(t *testing.T) {
	folder := syntheticArchive(t)
	code, out, complaints := cryptoboat(t, "", "evaluate", "--archive", folder, "--interval", "1h", "--symbol", "ETHUSDT",
		"--from", "2023-09-20", "--to", "9999-12", "--json")
	var document evaluations
	if err := json.Unmarshal([]byte(out), &document); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, complaints)
	}
	v := document.Evaluations[0]
	if !v.Range.End.Equal(monthStart(2023, time.October)) || v.Candles != 11*24 || v.Whole.Rows != v.Candles || len(v.Months) != 1 {
		t.Errorf("%d of %d candles of %d months up to %s", v.Whole.Rows, v.Candles, len(v.Months), v.Range.End)
	}
	if says := "ETHUSDT 1h: only candles from 2023-01-01T00:00:00Z up to 2023-10-01T00:00:00Z are there, the evaluation ends with them"; !strings.Contains(complaints, says) {
		t.Errorf("it does not say %q:\n%s", says, complaints)
	}
}

func TestTradingFoolsNobody(t *testing.T) {
	for _, test := range []struct {
		trading forecast.Trading
		says    string
	}{
		{forecast.Trading{Holds: 10, EarnedByHolding: 0.5}, "none of 10 forecasts was worth a trade"},
		{forecast.Trading{Buys: 1, Sells: 2, Holds: 7, Earned: -0.1, Drawdown: 0.2}, "3 trades on 10 forecasts lost 10.00 %, falling by 20.00 % on the way"},
		{forecast.Trading{Buys: 3, Earned: 0.1, EarnedByHolding: 0.2}, "which is more for no work"},
		{forecast.Trading{Buys: 3, Earned: 0.3, EarnedByHolding: 0.2}, "is no promise"},
	} {
		got := describeTrading(test.trading, forecast.UsualCosts)
		if !strings.Contains(got, test.says) || !strings.Contains(got, "After a fee of 0.1 % at both ends of a trade and a spread of 0.01 %") {
			t.Errorf("it says %q, wanted %q", got, test.says)
		}
	}
}
