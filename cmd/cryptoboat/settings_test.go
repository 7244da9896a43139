package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestSettings(t *testing.T) {
	url := timescaletest.URL(t)
	step := func(code int, says string, arguments ...string) (out string) {
		t.Helper()
		got, out, complaints := cryptoboat(t, url, arguments...)
		if got != code || !strings.Contains(out+complaints, says) {
			t.Errorf("cryptoboat %q: exit code %d, wanted %d and %q:\n%s%s", arguments, got, code, says, out, complaints)
		}
		return out
	}
	// lineOf returns the line of a setting, its columns one space apart.
	lineOf := func(out, name string) string {
		for line := range strings.Lines(out) {
			if columns := strings.Fields(line); len(columns) > 0 && columns[0] == name {
				return strings.Join(columns, " ")
			}
		}
		return ""
	}
	step(0, "schema", "migrate", "up")

	out := step(0, "SETTING", "settings")
	if line := lineOf(out, "symbols"); line != "symbols BTCUSDT,ETHUSDT BTCUSDT,ETHUSDT -" {
		t.Errorf("listed as %q", line)
	}
	if line := lineOf(out, "train_model_date_end"); line != "train_model_date_end (empty) (empty) -" {
		t.Errorf("listed as %q", line)
	}
	out = step(0, "SETTING", "settings", "symbols", "btcusdt,SOLUSDT", "open_access", "")
	if line := lineOf(out, "symbols"); !strings.HasPrefix(line, "symbols BTCUSDT,SOLUSDT BTCUSDT,ETHUSDT ") || !strings.HasSuffix(line, " by command line") {
		t.Errorf("listed as %q", line)
	}
	if line := lineOf(out, "open_access"); !strings.HasPrefix(line, "open_access (empty) health,") {
		t.Errorf("listed as %q", line)
	}

	step(2, "websocket_sample_seconds: give whole seconds", "settings", "coin_ids", "solana", "websocket_sample_seconds", "often")
	step(2, "give a value with each name", "settings", "symbols")
	step(2, "symbols is given twice", "settings", "symbols", "BTCUSDT", "symbols", "ETHUSDT")
	step(2, "name the settings to put back", "settings", "-reset")
	step(1, "there is no such setting; there are symbols,", "settings", "shoe_size", "43")

	var list []struct {
		Name, Value, Default, Accepts, Description string
		Changed                                    bool
	}
	if err := json.Unmarshal([]byte(step(0, "", "settings", "-json", "-reset", "symbols")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != len(settings.Definitions()) {
		t.Errorf("%d settings are listed", len(list))
	}
	for _, item := range list {
		if item.Changed != (item.Name == "open_access") || item.Changed == (item.Value == item.Default) {
			t.Errorf("listed as %+v", item)
		}
		if item.Accepts == "" || item.Description == "" {
			t.Errorf("%s is not described", item.Name)
		}
	}

	database, err := timescale.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	if entries, err := database.Audit(t.Context(), 0, 10); err != nil || len(entries) != 3 || entries[0].Actor != "command line" {
		t.Errorf("the audit log is %+v, %v", entries, err)
	}
	// As an older release may have left it.
	err = database.ChangeSettings(t.Context(), "ada", func([]settings.Stored) ([]settings.Change, error) {
		change := settings.Change{Name: settings.SampleSeconds, Value: "often"}
		change.Entry.Outcome = "done"
		return []settings.Change{change}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out = step(0, "the default holds in place of what was given: websocket_sample_seconds: give", "settings")
	if line := lineOf(out, "websocket_sample_seconds"); !strings.HasPrefix(line, "websocket_sample_seconds 5 5 ") || !strings.HasSuffix(line, " by ada") {
		t.Errorf("listed as %q", line)
	}
}

// TestDefaultsAreThoseOfTheDomain compares what the settings cannot import.
func TestDefaultsAreThoseOfTheDomain(t *testing.T) {
	s := settings.Defaults()
	if !s.Ingestion.Start.Equal(history.FirstListing) || !s.Training.Start.Equal(history.FirstListing) {
		t.Errorf("history begins at %s, the settings at %s and %s",
			history.FirstListing.Format(time.RFC3339), s.Ingestion.Start.Format(time.RFC3339), s.Training.Start.Format(time.RFC3339))
	}
	if costs := (forecast.Costs{Fee: s.Fee, Spread: s.Spread}); costs != forecast.UsualCosts {
		t.Errorf("the usual costs are %v, the settings' %v", forecast.UsualCosts, costs)
	}
}
