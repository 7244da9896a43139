package timescale_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/backup"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// The roll-ups of the Community edition are tables, and one of them holds what nothing
// else does.
func TestABackupOfTheCommunityEditionIsRestored(t *testing.T) {
	d := community(t)
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	someOfEverything(t, d)
	late := days(200, 200).Start
	writeTicks(t, d, sample("BTCUSDT", late, 30))
	if dropped, err := d.DropOldTicks(t.Context()); err != nil || dropped != 100 {
		t.Fatalf("%d ticks are dropped, %v", dropped, err)
	}
	before, file := rowsOf(t, d), takeBackup(t, d)
	if strings.HasPrefix(before["dropped_ticks"], "0 ") || !strings.HasPrefix(before["ticks_1m"], "12 ") {
		t.Fatalf("dropped ticks: %s, minutes: %s", before["dropped_ticks"], before["ticks_1m"])
	}

	_, err := backup.Restore(t.Context(), bytes.NewReader(file), openEmpty(t))
	if market.ErrorCode(err) != market.Conflict || !strings.Contains(err.Error(), "9 minutes of ticks") {
		t.Errorf("on the Apache edition: %v", err)
	}

	restored := community(t)
	if _, err := backup.Restore(t.Context(), bytes.NewReader(file), restored); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, rowsOf(t, restored)); diff != "" {
		t.Error(diff)
	}
	// What follows finds all that a database finds which was never backed up.
	for _, database := range []*timescale.Database{d, restored} {
		insert(t, database, btc15m, late, 50)
		refresh(t, database, btc15m, days(200, 201))
		writeTicks(t, database, sample("BTCUSDT", late.AddDate(0, 0, 1), 30))
	}
	if diff := differences(rowsOf(t, d), rowsOf(t, restored)); diff != "" {
		t.Errorf("after more was written: %s", diff)
	}
}

func TestABackupOfTheApacheEditionIsRestoredToTheCommunityEdition(t *testing.T) {
	apache := timescaletest.Open(t)
	if license := ask[string](t, apache, `SHOW timescaledb.license`)[0]; license != "apache" {
		t.Skipf("the database of the tests is %q, not the Apache edition", license)
	}
	someOfEverything(t, apache)
	before, file := rowsOf(t, apache), takeBackup(t, apache)
	restored := community(t)
	if _, err := backup.Restore(t.Context(), bytes.NewReader(file), restored); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, rowsOf(t, restored)); diff != "" {
		t.Error(diff)
	}
	// The stored part of the roll-ups, which a refresh of a later bucket leaves as it is.
	insert(t, restored, btc15m, days(100, 100).Start, 10)
	refresh(t, restored, btc15m, days(100, 101))
	if n := materialized[int64](t, restored, "candles_1h", `SELECT count(*) FROM candles_1h WHERE symbol = 'BTCUSDT' AND open_time < $1`, days(90, 90).Start)[0]; n != 75 {
		t.Errorf("%d hours are stored", n)
	}
}
