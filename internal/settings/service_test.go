package settings_test

import (
	"bytes"
	"context"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var boss = accounts.Caller{Username: "boss", Role: accounts.Admin, Address: "192.0.2.1"}

// database is what settings are kept in, and the record of their changes.
type database interface {
	settings.Store
	accounts.AuditLog
}

func open(t *testing.T) (*settings.Service, database) {
	database := timescaletest.Open(t)
	return settings.NewService(database, slog.New(slog.DiscardHandler)), database
}

// store puts values into the database as another release may have done.
func store(t *testing.T, database database, values map[settings.Name]string) {
	t.Helper()
	err := database.ChangeSettings(t.Context(), "boss", func([]settings.Stored) (changes []settings.Change, err error) {
		for name, value := range values {
			entry := accounts.EntryOf(boss, accounts.ChangeSetting, string(name), accounts.Done, nil)
			changes = append(changes, settings.Change{Name: name, Value: value, Entry: entry})
		}
		return changes, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// values are what Set takes.
func values(pairs ...string) map[settings.Name]*string {
	v := map[settings.Name]*string{}
	for i := 0; i < len(pairs); i += 2 {
		v[settings.Name(pairs[i])] = &pairs[i+1]
	}
	return v
}

func TestDefaults(t *testing.T) {
	s := settings.Defaults()
	want := settings.Settings{
		Symbols: []market.Symbol{"BTCUSDT", "ETHUSDT"}, CoinIDs: []string{"bitcoin", "ethereum"},
		Ingestion:      settings.Range{Start: time.Date(2017, 8, 17, 4, 0, 0, 0, time.UTC), Interval: market.Minute15},
		Training:       settings.Range{Start: time.Date(2017, 8, 17, 4, 0, 0, 0, time.UTC), Interval: market.Minute15},
		StreamInterval: market.Minute15, SampleEvery: 5 * time.Second, Fee: 0.001, Spread: 0.0001,
		IngestSchedule: "7 */15 * * * *", TrainSchedule: "17 1 2 1 * *", ScoreSchedule: "37 */5 * * * *", MaintainSchedule: "23 41 3 * * *",
		Open: settings.Areas,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("the defaults are %+v", s)
	}
	for _, d := range settings.Definitions() {
		if d.Description == "" || d.Accepts == "" || d.Kind == "" {
			t.Errorf("%s is not described", d.Name)
		}
	}
}

func TestSet(t *testing.T) {
	service, database := open(t)
	ctx := t.Context()
	err := service.Set(ctx, boss, values(
		"symbols", "btcusdt, SOLUSDT", "train_model_date_start", "2020-01-01", "train_model_date_end", "2021-06-01T02:00:00+02:00",
		"decision_fee", "1e-3", "open_access", "health", "ingest_schedule", "*/5  * * * *", "coin_ids", ""))
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.Symbols, []market.Symbol{"BTCUSDT", "SOLUSDT"}) || len(s.CoinIDs) != 0 ||
		!s.Training.End.Equal(time.Date(2021, 6, 1, 0, 0, 0, 0, time.UTC)) ||
		s.IngestSchedule != "*/5 * * * *" || s.IsOpen(settings.PagesArea) || !s.IsOpen(settings.HealthArea) {
		t.Errorf("settings are %+v", s)
	}
	list, err := service.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range list {
		// The fee is what it was.
		if want := slices.Contains([]settings.Name{"symbols", "train_model_date_start", "train_model_date_end", "open_access", "ingest_schedule", "coin_ids"}, item.Name); item.Changed != want {
			t.Errorf("%s is changed: %t, want %t", item.Name, item.Changed, want)
		}
		if item.Changed && (item.ChangedBy != "boss" || !item.ChangedAt.Valid) {
			t.Errorf("%s was changed by %q", item.Name, item.ChangedBy)
		}
	}
	if err := service.Set(ctx, boss, map[settings.Name]*string{"symbols": nil, "decision_fee": nil}); err != nil {
		t.Fatal(err)
	}
	if s, _ := service.Get(ctx); len(s.Symbols) != 2 || s.Symbols[1] != "ETHUSDT" {
		t.Errorf("symbols are %v", s.Symbols)
	}
	entries, err := database.Audit(ctx, 0, 100)
	if err != nil || len(entries) != 7 {
		t.Fatalf("the audit log has %d entries, %v", len(entries), err)
	}
	if e := entries[0]; e.Subject != "symbols" || e.Actor != "boss" || e.Details["before"] != "BTCUSDT,SOLUSDT" || e.Details["after"] != "BTCUSDT,ETHUSDT" {
		t.Errorf("the newest entry is %+v", e)
	}
}

func TestSetRefuses(t *testing.T) {
	service, database := open(t)
	ctx := t.Context()
	for _, bad := range [][]string{
		{"symbols", ""}, {"symbols", "BTC/USDT"}, {"symbols", "BTCUSDT,btcusdt"}, {"symbols", "BTCUSDT,"}, {"symbols", strings.Repeat("A", 10_001)},
		{"coin_ids", "Bit coin"}, {"crypto_data_ingestion_date_start", ""}, {"crypto_data_ingestion_date_start", "yesterday"},
		{"crypto_data_ingestion_date_end", "1999-01-01"}, {"crypto_data_ingestion_interval", "7m"}, {"train_model_interval", "1w"}, {"train_model_interval", "1M"},
		{"websocket_sample_seconds", "0"}, {"websocket_sample_seconds", "7"}, {"websocket_sample_seconds", "2.5"}, {"decision_fee", "NaN"}, {"decision_spread", "0.11"}, {"decision_spread", "-0.1"},
		{"ingest_schedule", "TZ=0"}, {"ingest_schedule", "* * * * * *"}, {"ingest_schedule", "*/30 * * * * *"}, {"ingest_schedule", "0,30 0 0 1 1 *"}, {"ingest_schedule", "0 0 29 2 *"}, {"ingest_schedule", "0 0 30 2 *"}, {"ingest_schedule", "@every 1s"},
		{"ingest_schedule", "CRON_TZ=Asia/Tokyo 0 0 * * *"}, {"open_access", "everything"},
		{"train_model_date_start", "2020-01-01", "train_model_date_end", "2020-01-01"},
	} {
		err := service.Set(ctx, boss, values(append([]string{"decision_fee", "0.002"}, bad...)...))
		if market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), bad[len(bad)-2]) {
			t.Errorf("%.40q gave %v", bad, err)
		}
	}
	if err := service.Set(ctx, boss, values("shoe_size", "43")); market.ErrorCode(err) != market.NotFound {
		t.Errorf("a name that no setting has gave %v", err)
	}
	if stored, err := database.StoredSettings(ctx); err != nil || len(stored) != 0 {
		t.Errorf("%v was stored, %v", stored, err)
	}
	// An end that does not go with the start of before is refused as well.
	if err := service.Set(ctx, boss, values("train_model_date_start", "2022-01-01")); err != nil {
		t.Fatal(err)
	}
	if err := service.Set(ctx, boss, values("train_model_date_end", "2021-01-01")); market.ErrorCode(err) != market.Invalid {
		t.Errorf("an end before the start gave %v", err)
	}
}

func TestWhatIsNoLongerTakenFallsBack(t *testing.T) {
	_, database := open(t)
	var log bytes.Buffer
	service := settings.NewService(database, slog.New(slog.NewTextHandler(&log, nil)))
	store(t, database, map[settings.Name]string{
		"websocket_sample_seconds": "many",
		"of_a_later_release":       "x",
		"train_model_date_start":   "2020-01-01T00:00:00Z", // after its end
		"train_model_date_end":     "2015-01-01T00:00:00Z",
	})
	for range 3 {
		s, err := service.Get(t.Context())
		if err != nil || !reflect.DeepEqual(s, settings.Defaults()) {
			t.Errorf("settings are %+v, %v", s, err)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 3 {
		t.Errorf("three values that cannot be used made %d lines of the log:\n%s", lines, &log)
	}
	list, err := service.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range list {
		if item.Changed != (item.Problem != "") || item.Value != item.Default {
			t.Errorf("listed as %+v", item)
		}
	}
	// Other settings can be changed all the same, and these be put right.
	if err := service.Set(t.Context(), boss, values("decision_fee", "0.002")); err != nil {
		t.Error(err)
	}
	if err := service.Set(t.Context(), boss, values("train_model_date_end", "2019-01-01")); market.ErrorCode(err) != market.Invalid {
		t.Errorf("an end before the stored start gave %v", err)
	}
	if err := service.Set(t.Context(), boss, values("train_model_date_end", "2021-01-01", "websocket_sample_seconds", "1")); err != nil {
		t.Error(err)
	}
	if s, err := service.Get(t.Context()); err != nil || s.Training.Start.Year() != 2020 || s.Training.End.Year() != 2021 || s.SampleEvery != time.Second {
		t.Errorf("settings are %+v, %v", s, err)
	}
}

// TestTheAuditLogTellsWhatHeld changes a setting to empty, which is a value, and back.
func TestTheAuditLogTellsWhatHeld(t *testing.T) {
	service, database := open(t)
	const all = "health,docs,market_data,forecasts,pages"
	for _, value := range []string{"", "health", all} {
		if err := service.Set(t.Context(), boss, values("open_access", value)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := database.Audit(t.Context(), 0, 10)
	if err != nil || len(entries) != 3 {
		t.Fatalf("the audit log has %d entries, %v", len(entries), err)
	}
	for i, want := range []map[string]string{{"before": "health", "after": all}, {"before": "", "after": "health"}, {"before": all, "after": ""}} {
		e := entries[i]
		if !reflect.DeepEqual(e.Details, want) || e.Address != boss.Address || e.Action != accounts.ChangeSetting || e.Outcome != accounts.Done {
			t.Errorf("entry %d is %+v, want %v", i, e, want)
		}
	}
	// What was given the default's value is at its default.
	if stored, err := database.StoredSettings(t.Context()); err != nil || len(stored) != 0 {
		t.Errorf("%v is stored, %v", stored, err)
	}
}

// TestNoChangeWithoutItsEntry lets the second entry of two fail.
func TestNoChangeWithoutItsEntry(t *testing.T) {
	service, database := open(t)
	good := accounts.EntryOf(boss, accounts.ChangeSetting, "symbols", accounts.Done, nil)
	bad := good
	bad.Outcome = "perhaps"
	err := database.ChangeSettings(t.Context(), "boss", func([]settings.Stored) ([]settings.Change, error) {
		return []settings.Change{{Name: "symbols", Value: "SOLUSDT", Entry: good}, {Name: "coin_ids", Value: "solana", Entry: bad}}, nil
	})
	if err == nil {
		t.Error("an entry that cannot be was stored")
	}
	if s, err := service.Get(t.Context()); err != nil || !reflect.DeepEqual(s, settings.Defaults()) {
		t.Errorf("settings are %+v, %v", s, err)
	}
	if entries, err := database.Audit(t.Context(), 0, 10); err != nil || len(entries) != 0 {
		t.Errorf("the audit log has %d entries, %v", len(entries), err)
	}
}

func TestSettingsAreChangedOneAfterTheOther(t *testing.T) {
	service, database := open(t)
	var working sync.WaitGroup
	for i := range 10 {
		working.Go(func() {
			day := time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC)
			err := service.Set(context.Background(), boss, values(
				"train_model_date_start", day.Format(time.DateOnly), "train_model_date_end", day.Add(time.Hour).Format(time.RFC3339)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	s, err := service.Get(t.Context())
	if err != nil || s.Training.End.Sub(s.Training.Start) != time.Hour {
		t.Errorf("settings of two changes are mixed: %+v, %v", s.Training, err)
	}
	if entries, err := database.Audit(t.Context(), 0, 100); err != nil || len(entries) != 20 {
		t.Errorf("the audit log has %d entries, %v", len(entries), err)
	}
}

// TestNobodyDecidesOnWhatIsBeingChanged changes a range's start while another change of
// its end, which fits the old start only, is asked for.
func TestNobodyDecidesOnWhatIsBeingChanged(t *testing.T) {
	service, database := open(t)
	err := database.ChangeSettings(t.Context(), "boss", func([]settings.Stored) ([]settings.Change, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := service.Set(ctx, boss, values("train_model_date_end", "2020-01-01")); err == nil || ctx.Err() == nil {
			t.Errorf("another change did not wait: %v", err)
		}
		if _, err := service.Get(t.Context()); err != nil {
			t.Errorf("a reader had to wait: %v", err)
		}
		entry := accounts.EntryOf(boss, accounts.ChangeSetting, "train_model_date_start", accounts.Done, nil)
		return []settings.Change{{Name: "train_model_date_start", Value: "2021-01-01T00:00:00Z", Entry: entry}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Set(t.Context(), boss, values("train_model_date_end", "2020-01-01")); market.ErrorCode(err) != market.Invalid {
		t.Errorf("an end before the new start gave %v", err)
	}
}

func TestWatch(t *testing.T) {
	service, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan settings.Settings)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		service.Watch(ctx, settings.Defaults(), time.Millisecond, func(s settings.Settings) { told <- s })
	}()
	if err := service.Set(ctx, boss, values("websocket_sample_seconds", "10")); err != nil {
		t.Fatal(err)
	}
	if s := <-told; s.SampleEvery != 10*time.Second {
		t.Errorf("told of %+v", s)
	}
	cancel()
	<-ended
}
