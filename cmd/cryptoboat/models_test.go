package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// TestTheRegistry trains models of real candles and goes back from one to another.
func TestTheRegistry(t *testing.T) {
	if raceEnabled {
		t.Skip("its trainings take minutes under -race; the tests of internal/forecast and internal/timescale train, promote and prune at once there")
	}
	url := timescaletest.URL(t)
	btc, eth := realCandles(t, "BTCUSDT/15m"), realCandles(t, "ETHUSDT/15m")
	step := func(says string, arguments ...string) (out string) {
		t.Helper()
		code, out, complaints := cryptoboat(t, url, arguments...)
		if code != 0 || !strings.Contains(out, says) {
			t.Errorf("cryptoboat %s: exit code %d, wanted %q:\n%s%s", strings.Join(arguments, " "), code, says, out, complaints)
		}
		return out
	}
	step("schema", "migrate", "up")
	step("0 corrected", "import", btc, eth)
	step("BTCUSDT 15m: no model has been trained", "models", "BTCUSDT")

	// Two processes train on the same rows at once: that is one model.
	var processes sync.WaitGroup
	for range 2 {
		processes.Go(func() {
			step("BTCUSDT 15m: model 1 ", "train", "-from", "2023-06-01", "-to", "2024-02-01", "BTCUSDT")
		})
	}
	processes.Wait()
	if out := step("Promoted: pinball loss", "models", "BTCUSDT"); strings.Count(out, "2024-02-01") != 1 {
		t.Errorf("trained twice at once:\n%s", out)
	}

	out := step("Promoted and in use: pinball loss", "train", "-from", "2023-06-01", "-to", "2024-03-01", "BTCUSDT")
	for _, says := range []string{
		"of HAR and ", "of EWMA", "of model 1 on the 2784 candles new to it too", "learnt from", "newest   open       forest", "EWMA", "bp", "volatility", "MB",
	} {
		if !strings.Contains(out, says) {
			t.Errorf("a training does not say %q:\n%s", says, out)
		}
	}
	id := strings.Fields(out)[3]
	step(fmt.Sprintf("model %s has learnt from these", id), "train", "-from", "2023-06-01", "-to", "2024-03-01", "BTCUSDT")
	step("by model "+id+"\n", "predict", "-at", "2024-03-05", "BTCUSDT")
	step("by model 1\n", "predict", "-at", "2024-02-05", "BTCUSDT")

	step("model 1 makes the forecasts from the next candle on", "models", "-promote", "1", "-reason", "a test")
	step("by model 1\n", "predict", "-at", "2024-03-05", "BTCUSDT")
	step("in use since", "models", "-interval", "15m", "BTCUSDT")
	step("hour_sine", "models", "-importance", id)

	for _, arguments := range [][]string{
		{"models", "-promote", "1", "BTCUSDT"}, {"models", "-promote", "1", "-interval", "15m"}, {"models", "-importance", "1", "-symbol", "BTCUSDT"},
		{"models", "-promote", "1", "-importance", "1"}, {"models", "-reason", "none"}, {"models", "-promote", "1", "-reason", " "},
		{"train", "-from", "2024-02-01", "-to", "2023-06-01", "BTCUSDT"}, {"train", "-interval", "1w", "BTCUSDT"},
	} {
		if code, out, complaints := cryptoboat(t, url, arguments...); code != 2 {
			t.Errorf("cryptoboat %s: exit code %d:\n%s%s", strings.Join(arguments, " "), code, out, complaints)
		}
	}
	for says, arguments := range map[string][]string{
		"there is no model 99":                           {"models", "-promote", "99"},
		"there is no model 0":                            {"models", "-importance", "0"},
		"cryptoboat train -interval 1h BTCUSDT":          {"predict", "-interval", "1h", "BTCUSDT"},
		"-interval 15m -to 2024-01-01T00:00:00Z BTCUSDT": {"predict", "-at", "2024-01-01", "BTCUSDT"},
	} {
		code, _, complaints := cryptoboat(t, url, arguments...)
		if code != 1 || !strings.Contains(complaints, says) {
			t.Errorf("cryptoboat %s: exit code %d, wanted %q: %s", strings.Join(arguments, " "), code, says, complaints)
		}
	}
}
