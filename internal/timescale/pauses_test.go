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
		if err := d.SetPause(t.Context(), test.set); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Pause(t.Context()); err != nil || got != test.want {
			t.Errorf("after %+v: %+v, %v; want %+v", test.set, got, err, test.want)
		}
	}
}
