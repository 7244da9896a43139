package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestWhatARunFailedOfMovesNoCursor(t *testing.T) {
	if got := shortened("the exchange says \x1b[2J\tno\u202e" + strings.Repeat("é", 200) + "\nmore"); got != "the exchange says  [2J no "+strings.Repeat("é", 74) {
		t.Errorf("it is printed as %q", got)
	}
}

func TestJobs(t *testing.T) {
	url := timescaletest.URL(t)
	step := func(code int, says string, arguments ...string) (out string) {
		t.Helper()
		got, out, complaints := cryptoboat(t, url, arguments...)
		if got != code || !strings.Contains(out+complaints, says) {
			t.Errorf("cryptoboat %q: exit code %d, wanted %d and %q:\n%s%s", arguments, got, code, says, out, complaints)
		}
		return out
	}
	step(0, "schema", "migrate", "up")

	// Each job and symbol has a line that says when it is due next.
	out := step(0, "NEXT DUE", "jobs")
	for _, line := range []string{"ingest BTCUSDT ", "ingest ETHUSDT ", "train BTCUSDT ", "train ETHUSDT ", "score - ", "maintain - "} {
		if !strings.Contains("\n"+strings.Join(strings.Fields(out), " "), line+"20") {
			t.Errorf("no line of %q has an instant:\n%s", line, out)
		}
	}
	var upcoming []jobs.Upcoming
	if err := json.Unmarshal([]byte(step(0, "", "jobs", "-json", "-job", "ingest", "-symbol", "ethusdt", "next")), &upcoming); err != nil ||
		len(upcoming) != 1 || upcoming[0].Job != jobs.Ingest || upcoming[0].Symbol != "ETHUSDT" || !upcoming[0].At.After(time.Now().Add(-time.Minute)) {
		t.Errorf("upcoming are %+v, %v", upcoming, err)
	}

	// Whoever asks is on record.
	step(0, "command line", "jobs", "run", "score")
	step(1, "run 1 of score is active", "jobs", "run", "score")
	step(0, "command line, cancelled: command line", "jobs", "cancel", "1")
	step(1, "run 1 is cancelled already", "jobs", "cancel", "1")
	step(0, "command line, retried: command line", "jobs", "retry", "1")
	step(1, "run 1 is queued", "jobs", "retry", "1")
	step(1, "there is no such job", "jobs", "run", "reckon")
}
