package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// An import that is killed again and again, at moments nobody chose, ends in the
// state of one that was left alone.
func TestAKilledImportLosesNothing(t *testing.T) {
	folder := realCandles(t, "BTCUSDT/15m")
	quiet, troubled := timescaletest.URL(t), timescaletest.URL(t)
	for _, url := range []string{quiet, troubled} {
		if code, _, complaints := cryptoboat(t, url, "migrate", "up"); code != 0 {
			t.Fatal(complaints)
		}
	}
	began := time.Now()
	if code, _, complaints := cryptoboat(t, quiet, "import", folder); code != 0 {
		t.Fatal(complaints)
	}
	whole := time.Since(began)

	random := rand.New(rand.NewPCG(1, uint64(began.UnixNano())))
	killed := 0
	for range 12 {
		command := exec.CommandContext(t.Context(), os.Args[0], "import", folder)
		command.Env = append(os.Environ(), asCommand+"=1", databaseVariable+"="+troubled)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- command.Wait() }()
		select {
		case <-time.After(time.Duration(random.Float64() * float64(whole))):
			if err := command.Process.Kill(); err == nil {
				killed++
			}
			<-exited
		case <-exited:
		}
	}
	if killed == 0 {
		t.Error("no import was killed: the test proved nothing")
	}
	if code, _, complaints := cryptoboat(t, troubled, "import", folder); code != 0 {
		t.Fatal(complaints)
	}
	if a, b := fingerprint(t, quiet), fingerprint(t, troubled); a != b {
		t.Errorf("left alone: %s; killed %d times: %s", a, killed, b)
	}
}

// fingerprint is a hash of every stored candle and of a roll-up.
func fingerprint(t *testing.T, url string) string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	var rows int64
	var candles, hours string
	err = connection.QueryRow(t.Context(), `
		SELECT count(*), md5(string_agg(c::text, ';' ORDER BY symbol, interval, open_time)),
		       (SELECT md5(string_agg(h::text, ';' ORDER BY symbol, source_interval, open_time)) FROM candles_1h AS h)
		FROM candles AS c`).Scan(&rows, &candles, &hours)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d rows, candles %s, hours %s", rows, candles, hours)
}
