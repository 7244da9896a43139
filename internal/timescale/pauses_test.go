package timescale_test

import (
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestTheLongestPauseHolds(t *testing.T) {
	d := timescaletest.Open(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, test := range []struct{ set, want history.Pause }{
		{history.Pause{Until: now.Add(-time.Second), Reason: "over"}, history.Pause{}},
		{history.Pause{Until: now.Add(time.Hour), Reason: "429"}, history.Pause{Until: now.Add(time.Hour), Reason: "429"}},
		{history.Pause{Until: now.Add(2 * time.Hour), Reason: "418"}, history.Pause{Until: now.Add(2 * time.Hour), Reason: "418"}},
		{history.Pause{Until: now.Add(time.Minute), Reason: "429"}, history.Pause{Until: now.Add(2 * time.Hour), Reason: "418"}},
		{history.Pause{Until: now.Add(2 * time.Hour), Reason: "again"}, history.Pause{Until: now.Add(2 * time.Hour), Reason: "418"}},
	} {
		if err := d.SetPause(t.Context(), "exchange", test.set); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Pause(t.Context(), "exchange"); err != nil || got != test.want {
			t.Errorf("after %+v: %+v, %v; want %+v", test.set, got, err, test.want)
		}
	}
}

func TestAPauseIsOfOneHost(t *testing.T) {
	d := timescaletest.Open(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	over := history.Pause{Until: now.Add(-time.Second), Reason: "over"}
	lasting := history.Pause{Until: now.Add(time.Hour), Reason: "418"}
	for _, set := range []struct {
		host string
		history.Pause
	}{{"over", over}, {"banned", lasting}, {"asked", over}} {
		if err := d.SetPause(t.Context(), set.host, set.Pause); err != nil {
			t.Fatal(err)
		}
	}
	for host, want := range map[string]history.Pause{"over": {}, "banned": lasting, "asked": {}, "other": {}} {
		if got, err := d.Pause(t.Context(), host); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", host, got, err, want)
		}
	}
	var rows int
	if err := d.Pool().QueryRow(t.Context(), "SELECT count(*) FROM exchange_pauses").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("%d rows, %v; want the one that holds and the newest", rows, err)
	}
}
