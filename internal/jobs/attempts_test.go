package jobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
)

func TestAPanicSaysWhere(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, call) (jobs.Report, error) { panic("out of order") })
	b.timing.Retry = 1
	service, _ := b.start("a")
	run := b.until(runNow(t, service, jobs.Score, "").ID, "tried", func(r jobs.Run) bool { return len(r.Attempts) == 1 && r.Attempts[0].Error != "" })
	if !run.Attempts[0].Panicked || !strings.Contains(run.Attempts[0].Error, "attempts_test.go:") {
		t.Errorf("the record says %+v", run)
	}
}

// What attempts wrote is counted together: it is all on the disk.
func TestRowsOfAllAttemptsCount(t *testing.T) {
	t.Parallel()
	tries := 0
	b := newBench(t, func(context.Context, call) (jobs.Report, error) {
		if tries++; tries == 1 {
			return jobs.Report{"candles_new": 5}, errors.New("the rest failed")
		}
		return jobs.Report{"candles_new": 2}, nil
	})
	service, _ := b.start("a")
	if run := b.untilState(runNow(t, service, jobs.Ingest, "BTCUSDT").ID, jobs.Succeeded); run.Rows != 7 || run.Report["candles_new"] != 7 ||
		len(run.Attempts) != 2 || run.Attempts[0].StartedAt.IsZero() || !run.Attempts[0].EndedAt.Before(run.Attempts[1].StartedAt) || run.Attempts[0].Instance == "" {
		t.Errorf("the record says %+v", run)
	}
}
