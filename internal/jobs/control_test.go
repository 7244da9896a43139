package jobs_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// A reason is one of the state that the run is in.
func TestARunThatWasRetriedIsNotCalledCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, call) (jobs.Report, error) { return nil, nil })
	control, err := jobs.NewControl(b.database.JobDriver(), b.database, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run, err := control.RunNow(t.Context(), jobs.Score, jobs.Task{}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if run, err = control.Cancel(t.Context(), run.ID, "eve"); err != nil || run.Reason != "cancelled by eve" {
		t.Fatalf("%+v, %v", run, err)
	}
	if run, err = control.Retry(t.Context(), run.ID, "bob"); err != nil || run.Reason != "" || run.CancelledBy != "" || run.RetriedBy != "bob" {
		t.Errorf("%+v, %v", run, err)
	}
	b.start("a")
	if run = b.untilState(run.ID, jobs.Succeeded); run.Reason != "" {
		t.Errorf("the record says %+v", run)
	}
}

// Which run is in the way is said, also where it is an old one that is tried again.
func TestARetryBesideAnActiveRunIsAConflict(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	control, err := jobs.NewControl(b.database.JobDriver(), b.database, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var runs []jobs.Run
	for range 2 {
		run, err := control.RunNow(t.Context(), jobs.Score, jobs.Task{}, "ada")
		if err == nil {
			run, err = control.Cancel(t.Context(), run.ID, "ada")
		}
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	if _, err := control.Retry(t.Context(), runs[0].ID, "ada"); err != nil {
		t.Fatal(err)
	}
	_, err = control.Retry(t.Context(), runs[1].ID, "ada")
	wantCode(t, err, market.Conflict)
	if err != nil && !strings.Contains(err.Error(), "run 1 ") {
		t.Errorf("the error is %v", err)
	}
}
