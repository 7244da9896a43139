package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/robfig/cron/v3"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// minutely is a schedule of every minute from some second of it on.
type minutely time.Duration

func (m minutely) Next(after time.Time) time.Time {
	return after.Add(-time.Duration(m)).Truncate(time.Minute).Add(time.Minute + time.Duration(m))
}

// Of many that look at the same time one queues what is due, also where that is done
// before the others have looked.
func TestWhatIsDueIsQueuedOnce(t *testing.T) {
	t.Parallel()
	b, _ := newBenchAt(t, nil)
	for round := range 10 {
		slot := time.Now().Add(time.Duration(round) * time.Minute).UTC().Truncate(time.Minute)
		var queueing sync.WaitGroup
		var mutex sync.Mutex
		queued := 0
		for range 10 {
			queueing.Go(func() {
				err := b.database.QueueIfDue(context.Background(), jobs.Score, "", slot, func(ctx context.Context, tx pgx.Tx) error {
					// One that is done at once, which holds nobody up.
					_, err := tx.Exec(ctx, `
						INSERT INTO river.river_job (kind, args, max_attempts, state, finalized_at) VALUES ('run',
							jsonb_build_object('job', 'score', 'symbol', '', 'trigger', 'schedule', 'by', '', 'scheduled_at', $1::timestamptz), 1, 'completed', now())`, slot)
					mutex.Lock()
					defer mutex.Unlock()
					queued++
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		queueing.Wait()
		if queued != 1 {
			t.Errorf("%d runs were queued for %s", queued, slot)
		}
	}
}

// Ten processes with the same plan, each of which is told to look again and again, make
// one run of what is due.
func TestTenProcessesKeepToOneSchedule(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, call) (jobs.Report, error) { return nil, nil })
	begun := time.Now()
	b.plan = jobs.Plan{Schedules: map[jobs.Name]cron.Schedule{jobs.Score: minutely(0), jobs.Maintain: minutely(0)}}
	var services []*jobs.Service
	for k := range 10 {
		service, _ := b.start(fmt.Sprint("process ", k))
		services = append(services, service)
	}
	for range 20 {
		for _, service := range services {
			service.Change(b.plan)
		}
	}
	for _, name := range []jobs.Name{jobs.Score, jobs.Maintain} {
		b.untilNewest(name, func(r jobs.Run) bool { return r.State == jobs.Succeeded })
		runs, err := b.database.Runs(t.Context(), jobs.Filter{Job: name, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		due := map[time.Time]int{}
		for _, run := range runs {
			due[run.ScheduledAt]++
		}
		for at, count := range due {
			if count != 1 {
				t.Errorf("%s was queued %d times for %s", name, count, at)
			}
		}
		if len(due) > int(time.Since(begun)/time.Minute)+2 {
			t.Errorf("%s was queued for %v", name, due)
		}
	}
}

// A back-fill does not do what is due: that is queued when the back-fill has ended, and
// not called skipped.
func TestABackfillSkipsNothing(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBench(t, func(ctx context.Context, c call) (jobs.Report, error) {
		if c.task.Wanted == (market.TimeRange{}) {
			return nil, nil
		}
		select {
		case <-release:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	control, err := jobs.NewControl(b.database.JobDriver(), b.database, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	wanted := market.TimeRange{Start: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)}
	backfill, err := control.RunNow(t.Context(), jobs.Ingest, jobs.Task{Symbol: "BTCUSDT", Wanted: wanted}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	// What was due a while ago, before somebody asked for the back-fill.
	b.plan = jobs.Plan{
		Symbols:   []market.Symbol{"BTCUSDT", "ETHUSDT"},
		Schedules: map[jobs.Name]cron.Schedule{jobs.Ingest: minutely(time.Since(time.Now().Truncate(time.Minute)) - 40*time.Second)},
	}
	b.start("a")
	for other := false; !other; { // until the schedule was looked at
		other = (<-b.calls).task.Symbol == "ETHUSDT"
	}
	b.untilState(backfill.ID, jobs.Running)
	runs, err := b.database.Runs(t.Context(), jobs.Filter{Job: jobs.Ingest, Symbol: "BTCUSDT", Limit: 10})
	if err != nil || len(runs) != 1 {
		t.Fatalf("beside the back-fill there are %+v, %v", runs, err)
	}
	close(release)
	ended := time.Now()
	run := b.untilNewest(jobs.Ingest, func(r jobs.Run) bool {
		return r.Task.Symbol == "BTCUSDT" && r.ID != backfill.ID && r.State == jobs.Succeeded
	})
	if run.Task.Wanted != (market.TimeRange{}) || run.Trigger == jobs.ByPerson || !run.ScheduledAt.Before(run.QueuedAt) {
		t.Errorf("after the back-fill came %+v", run)
	}
	if waited := run.QueuedAt.Sub(ended); waited > 10*time.Second {
		t.Errorf("it was queued only %v after the back-fill", waited)
	}
	skipped, err := b.database.Runs(t.Context(), jobs.Filter{State: jobs.Skipped, Limit: 10})
	if err != nil || len(skipped) != 0 {
		t.Errorf("skipped were %+v, %v", skipped, err)
	}
}

func TestUpcoming(t *testing.T) {
	at := time.Date(2024, time.May, 6, 12, 0, 30, 0, time.UTC)
	plan := jobs.Plan{
		Symbols:   []market.Symbol{"BTCUSDT", "ETHUSDT"},
		Schedules: map[jobs.Name]cron.Schedule{jobs.Maintain: minutely(0), jobs.Ingest: minutely(45 * time.Second)},
	}
	got := plan.Upcoming(at.In(time.FixedZone("east", 3600)))
	next := at.Add(15 * time.Second)
	want := []jobs.Upcoming{{jobs.Ingest, "BTCUSDT", next}, {jobs.Ingest, "ETHUSDT", next}, {jobs.Maintain, "", at.Add(30 * time.Second)}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("upcoming are %v, want %v", got, want)
	}
	if next := plan.Upcoming(next)[0].At; !next.Equal(at.Add(75 * time.Second)) {
		t.Errorf("after an instant of a schedule comes %v", next)
	}
}
