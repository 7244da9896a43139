package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// asCommand makes the test binary act as the program itself, so that a test can
// run it as a process, and kill it.
const asCommand = "CRYPTOBOAT_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	if matrix := os.Getenv(trainMatrix); matrix != "" {
		if err := trainInThisProcess(matrix); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// cryptoboat runs a command line in this process.
func cryptoboat(t testing.TB, databaseURL string, arguments ...string) (code int, out, complaints string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), environment{
		out: &stdout, errors: &stderr,
		get: func(name string) string {
			if name == databaseVariable {
				return databaseURL
			}
			return ""
		},
	}, arguments)
	return code, stdout.String(), stderr.String()
}

// realCandles returns a folder of the real archive and skips where it is absent.
func realCandles(t testing.TB, folder string) string {
	t.Helper()
	path := filepath.Join("../../../shared/data/spot/monthly/klines", folder)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the real candles are not at %s", path)
	}
	return path
}

// importReal stores folders of the real archive in a database of its own.
func importReal(t testing.TB, folders ...string) *timescale.Database {
	t.Helper()
	var paths []string
	for _, folder := range folders {
		paths = append(paths, realCandles(t, folder))
	}
	files, _, err := binance.FindArchives(paths, market.Series{})
	if err != nil {
		t.Fatal(err)
	}
	database := timescaletest.Open(t)
	summary, err := history.Import(t.Context(), files, database, importWorkers, func(file history.FileReport) {
		if file.Err != nil {
			t.Errorf("%s: %v", file.Name, file.Err)
		}
	})
	if err != nil || summary.Failed > 0 {
		t.Fatalf("%d files failed, %v", summary.Failed, err)
	}
	return database
}

func TestWrongWordsAreExplained(t *testing.T) {
	for _, test := range []struct {
		arguments string
		code      int
		says      string
	}{
		{"", 2, "Usage: cryptoboat COMMAND"},
		{"help", 0, "import"},
		{"sink", 2, `there is no "sink"`},
		{"import", 2, "name the files or folders"},
		{"import -symbol BTCUSDT x.csv", 2, "-symbol and -interval go together"},
		{"import -interval 15x x.csv", 2, "use one of 1m, 3m"},
		{"migrate down", 2, "confirm by -delete-all-data"},
		{"migrate sideways", 2, "say up, down or status"},
		{"coverage", 2, "CRYPTOBOAT_DATABASE_URL is not set"},
		{"predict -at yesterday", 2, "give a day such as 2024-01-31"},
		{"models -promote 1 -importance 2", 2, "one at a time"},
		{"models -reason again", 2, "one at a time"},
		{"train BTC/USDT", 2, "is not a pair"},
	} {
		code, out, complaints := cryptoboat(t, "", strings.Fields(test.arguments)...)
		if code != test.code || !strings.Contains(out+complaints, test.says) {
			t.Errorf("cryptoboat %s: exit code %d, wanted %d and %q:\n%s%s", test.arguments, code, test.code, test.says, out, complaints)
		}
	}
}

func TestThePasswordStaysSecret(t *testing.T) {
	for _, url := range []string{
		"postgres://boat:hunter2@127.0.0.1:1/none?connect_timeout=2",
		"postgres://boat:hunter2@127.0.0.1:port/none",
		"host=127.0.0.1 port=1 user=boat password=hunter2 connect_timeout=2",
	} {
		code, out, complaints := cryptoboat(t, url, "coverage")
		if code == 0 || complaints == "" || strings.Contains(out+complaints, "hunter2") {
			t.Errorf("exit code %d: %s%s", code, out, complaints)
		}
	}
}

// TestFromFilesToForecast walks the whole way on real candles, as a person would.
func TestFromFilesToForecast(t *testing.T) {
	url := timescaletest.URL(t)
	btc, eth := realCandles(t, "BTCUSDT/15m"), realCandles(t, "ETHUSDT/15m")
	if code, _, complaints := cryptoboat(t, url, "coverage"); code != 1 || !strings.Contains(complaints, "run cryptoboat migrate up") {
		t.Errorf("without a schema: exit code %d: %s", code, complaints)
	}
	step := func(says string, arguments ...string) {
		t.Helper()
		code, out, complaints := cryptoboat(t, url, arguments...)
		if code != 0 || !strings.Contains(out, says) {
			t.Fatalf("cryptoboat %s: exit code %d, wanted %q:\n%s%s", strings.Join(arguments, " "), code, says, out, complaints)
		}
	}
	step("schema 25 of 25", "migrate", "up")
	step("schema 25 of 25", "migrate", "status")
	step("nothing is stored", "coverage")
	step("174902 candles new, 0 unchanged, 0 corrected", "import", btc, eth)
	step("0 candles new, 174902 unchanged, 0 corrected", "import", btc, eth)
	step("BTCUSDT 15m: 5 missing from 2023-03-24T12:45:00Z to 2023-03-24T14:00:00Z, pending: not asked for yet", "coverage")
	step("After a fee of 0.2 % at both ends of a trade and a spread of 0.03 %", "train", "-fee", "0.002", "-spread", "0.0003", "-to", "2024-01-01", "BTCUSDT")
	step("model 1 has learnt from these", "train", "-to", "2024-01-01", "BTCUSDT")
	step("candle from 2024-03-01T00:00:00Z to 2024-03-01T00:15:00Z", "predict", "-at", "2024-03-01T00:07:00Z", "BTCUSDT")

	code, _, complaints := cryptoboat(t, url, "predict", "ETHUSDT")
	if code != 1 || !strings.Contains(complaints, "cryptoboat train -interval 15m ETHUSDT") {
		t.Errorf("without a model: exit code %d: %s", code, complaints)
	}
}

func TestARefusedFileIsReportedAndLeavesNothing(t *testing.T) {
	url := timescaletest.URL(t)
	folder := t.TempDir()
	good := "1704067200000,100,110,90,105,1,1704068099999,100,5,0.5,50,0\n"
	bad := "1704068100000,100,110,-90,105,1,1704068999999,100,5,0.5,50,0\n"
	for name, content := range map[string]string{
		"BTCUSDT-15m-2024-01.csv": good + bad,
		"ETHUSDT-15m-2024-01.csv": good,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cryptoboat(t, url, "migrate", "up")
	code, out, _ := cryptoboat(t, url, "import", folder)
	if code != 1 || !strings.Contains(out, "REFUSED") || !strings.Contains(out, "line 2: low is -90") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if _, out, _ := cryptoboat(t, url, "coverage"); strings.Contains(out, "BTCUSDT") || !strings.Contains(out, "ETHUSDT") {
		t.Errorf("stored are:\n%s", out)
	}
}
