package settings_test

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var boss = accounts.Caller{Username: "boss", Role: accounts.Admin, Address: "192.0.2.1"}

func open(t *testing.T) (*settings.Service, *timescale.Database) {
	database := timescaletest.Open(t)
	return settings.NewService(database, slog.New(slog.DiscardHandler)), database
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
		if want := slicesContain(item.Name, "symbols", "train_model_date_start", "train_model_date_end", "open_access", "ingest_schedule", "coin_ids"); item.Changed != want {
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

func slicesContain(name settings.Name, names ...string) bool {
	for _, n := range names {
		if n == string(name) {
			return true
		}
	}
	return false
}

func TestSetRefuses(t *testing.T) {
	service, database := open(t)
	ctx := t.Context()
	for _, bad := range [][]string{
		{"symbols", ""}, {"symbols", "BTC/USDT"}, {"symbols", "BTCUSDT,btcusdt"}, {"symbols", "BTCUSDT,"}, {"symbols", strings.Repeat("A", 10_001)},
		{"coin_ids", "Bit coin"}, {"crypto_data_ingestion_date_start", ""}, {"crypto_data_ingestion_date_start", "yesterday"},
		{"crypto_data_ingestion_date_end", "1999-01-01"}, {"crypto_data_ingestion_interval", "7m"}, {"train_model_interval", "1w"}, {"train_model_interval", "1M"},
		{"websocket_sample_seconds", "0"}, {"websocket_sample_seconds", "7"}, {"websocket_sample_seconds", "2.5"}, {"decision_fee", "NaN"}, {"decision_spread", "0.11"}, {"decision_spread", "-0.1"},
		{"ingest_schedule", "TZ=0"}, {"ingest_schedule", "* * * * * *"}, {"ingest_schedule", "*/30 * * * * *"}, {"ingest_schedule", "0 0 30 2 *"}, {"ingest_schedule", "@every 1s"},
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
	service, database := open(t)
	err := database.ChangeSettings(t.Context(), func([]settings.Stored) ([]settings.Change, error) {
		return []settings.Change{{Name: "websocket_sample_seconds", Value: "many"}, {Name: "of_a_later_release", Value: "x"}}, nil
	}, func(string, settings.Change) accounts.Entry {
		return accounts.EntryOf(boss, accounts.ChangeSetting, "", accounts.Done, nil)
	}, "boss")
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Get(t.Context())
	if err != nil || !reflect.DeepEqual(s, settings.Defaults()) {
		t.Errorf("settings are %+v, %v", s, err)
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

func FuzzParseSchedule(f *testing.F) {
	for _, seed := range []string{"7 */15 * * * *", "TZ=0", "0 0 * * *", "@daily", "", "1-0 * * * *"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		schedule, err := settings.ParseSchedule(text)
		if (err == nil) != (schedule != nil) || err != nil && market.ErrorCode(err) != market.Invalid {
			t.Errorf("%q gave %v, %v", text, schedule, err)
		}
	})
}
