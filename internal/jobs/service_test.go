package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/robfig/cron/v3"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var quick = jobs.Timing{Beat: 20 * time.Millisecond, Silent: 2 * time.Second, Retry: 0.001}

// call is a task that some service was given.
type call struct {
	by   string
	name jobs.Name
	task jobs.Task
}

// database is what services need of one.
type database interface {
	jobs.Store
	JobDriver() jobs.Driver
}

// bench is a database and what its services are asked to do.
type bench struct {
	t        *testing.T
	database database
	calls    chan call
	work     func(ctx context.Context, c call) (jobs.Report, error)
	plan     jobs.Plan
	timing   jobs.Timing
	log      *slog.Logger
}

func newBench(t *testing.T, work func(ctx context.Context, c call) (jobs.Report, error)) *bench {
	return &bench{t: t, database: timescaletest.Open(t), calls: make(chan call, 1000), work: work, timing: quick, log: slog.New(slog.DiscardHandler)}
}

// start starts a service and returns it and what ends it.
func (b *bench) start(name string) (*jobs.Service, func()) {
	b.t.Helper()
	works := map[jobs.Name]jobs.Work{}
	for _, d := range jobs.Definitions() {
		works[d.Name] = func(ctx context.Context, task jobs.Task) (jobs.Report, error) {
			c := call{name, d.Name, task}
			b.calls <- c
			return b.work(ctx, c)
		}
	}
	service, err := jobs.NewService(jobs.Config{
		Driver: b.database.JobDriver(), Store: b.database, Works: works, Plan: b.plan,
		Now: time.Now, Timing: b.timing, Log: b.log,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	return service, stop
}

// until looks at a run until it is as wanted.
func (b *bench) until(id int64, what string, isSo func(jobs.Run) bool) jobs.Run {
	b.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		run, err := b.database.Run(context.Background(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		if isSo(run) {
			return run
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("run %d is not %s: %+v", id, what, run)
		}
		<-tick.C
	}
}

func (b *bench) untilState(id int64, state jobs.State) jobs.Run {
	b.t.Helper()
	return b.until(id, string(state), func(r jobs.Run) bool { return r.State == state })
}

func runNow(t *testing.T, c *jobs.Service, name jobs.Name, symbol market.Symbol) jobs.Run {
	t.Helper()
	run, err := c.RunNow(t.Context(), name, jobs.Task{Symbol: symbol}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func wantCode(t *testing.T, err error, want market.Code) {
	t.Helper()
	if got := market.ErrorCode(err); got != want {
		t.Errorf("the error %v has the code %q, want %q", err, got, want)
	}
}

func TestARunIsWorkedAndRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ context.Context, c call) (jobs.Report, error) {
		return jobs.Report{"candles_new": 5, "candles_corrected": 2}, nil
	})
	service, _ := b.start("a")
	wanted := market.TimeRange{Start: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)}
	run, err := service.RunNow(t.Context(), jobs.Ingest, jobs.Task{Symbol: "BTCUSDT", Wanted: wanted}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if c := <-b.calls; c.name != jobs.Ingest || c.task.Symbol != "BTCUSDT" || c.task.Wanted != wanted {
		t.Errorf("the work was %+v", c)
	}
	run = b.untilState(run.ID, jobs.Succeeded)
	if run.Job != jobs.Ingest || run.Task.Wanted != wanted || run.Trigger != jobs.ByPerson || run.By != "ada" || run.Rows != 7 ||
		run.Report["candles_new"] != 5 || run.Attempted != 1 || len(run.Attempts) != 1 || !run.StartedAt.Valid || !run.EndedAt.Valid ||
		run.Attempts[0].Instance == "" || run.Attempts[0].Error != "" || run.Attempts[0].StartedAt.IsZero() {
		t.Errorf("the record says %+v", run)
	}
	_, err = service.Retry(t.Context(), run.ID, "eve")
	wantCode(t, err, market.Conflict)
	_, err = service.Cancel(t.Context(), run.ID, "ada")
	wantCode(t, err, market.Conflict)
	_, err = service.Cancel(t.Context(), 999, "ada")
	wantCode(t, err, market.NotFound)
	for _, bad := range []struct {
		name jobs.Name
		task jobs.Task
	}{{"reckon", jobs.Task{}}, {"", jobs.Task{Symbol: "BTCUSDT"}}, {jobs.Ingest, jobs.Task{}}, {jobs.Score, jobs.Task{Symbol: "BTCUSDT"}}, {jobs.Train, jobs.Task{Symbol: "BTCUSDT", Wanted: wanted}},
		{jobs.Ingest, jobs.Task{Symbol: "BTCUSDT", Wanted: market.TimeRange{Start: wanted.End, End: wanted.Start}}}} {
		_, err := service.RunNow(t.Context(), bad.name, bad.task, "ada")
		wantCode(t, err, market.Invalid)
	}
}

func TestFailuresAreTriedAgainAndPanicsRecorded(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	b := newBench(t, func(context.Context, call) (jobs.Report, error) {
		switch tries.Add(1) {
		case 1:
			panic("out of order")
		case 2:
			return jobs.Report{"forecasts_scored": 1}, errors.New("half of it")
		}
		return jobs.Report{"forecasts_scored": 3}, nil
	})
	service, _ := b.start("a")
	run := b.untilState(runNow(t, service, jobs.Score, "").ID, jobs.Succeeded)
	if len(run.Attempts) != 3 || !run.Attempts[0].Panicked || !strings.Contains(run.Attempts[0].Error, "out of order") ||
		run.Attempts[1].Error != "half of it" || run.Attempts[1].Panicked || run.Attempts[2].Error != "" || run.Rows != 4 {
		t.Errorf("the record says %+v", run)
	}
}

func TestWhatCannotPassIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, call) (jobs.Report, error) {
		return nil, market.Errorf(market.NotFound, "there is no such symbol")
	})
	service, _ := b.start("a")
	run := b.untilState(runNow(t, service, jobs.Ingest, "NOUSDT").ID, jobs.Failed)
	if len(run.Attempts) != 1 || !strings.Contains(run.Attempts[0].Error, "no such symbol") {
		t.Errorf("the record says %+v", run)
	}
	b.work = func(context.Context, call) (jobs.Report, error) { return nil, nil }
	if _, err := service.Retry(t.Context(), run.ID, "eve"); err != nil {
		t.Fatal(err)
	}
	if run = b.untilState(run.ID, jobs.Succeeded); len(run.Attempts) != 2 || run.By != "ada" || run.RetriedBy != "eve" {
		t.Errorf("the record says %+v", run)
	}
}

func TestOneRunOfAJobAndSymbolAtATime(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBench(t, func(ctx context.Context, _ call) (jobs.Report, error) {
		select {
		case <-release:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	first, _ := b.start("a")
	second, _ := b.start("b")
	var working sync.WaitGroup
	var queued, refused atomic.Int64
	for i := range 20 {
		working.Go(func() {
			service := []*jobs.Service{first, second}[i%2]
			_, err := service.RunNow(context.Background(), jobs.Ingest, jobs.Task{Symbol: "BTCUSDT"}, "ada")
			switch market.ErrorCode(err) {
			case "":
				queued.Add(1)
			case market.Conflict:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	working.Wait()
	if queued.Load() != 1 || refused.Load() != 19 {
		t.Errorf("%d runs were queued and %d refused", queued.Load(), refused.Load())
	}
	<-b.calls
	// What is due meanwhile is skipped, and the record says so.
	slot := time.Now().Add(time.Minute).UTC().Truncate(time.Microsecond)
	for range 2 {
		err := b.database.QueueIfDue(t.Context(), jobs.Ingest, "BTCUSDT", slot, func(context.Context, pgx.Tx) error {
			t.Error("beside an active run another one is due")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	runs, err := b.database.Runs(t.Context(), jobs.Filter{Job: jobs.Ingest, Limit: 10})
	if err != nil || len(runs) != 2 || runs[0].State != jobs.Skipped || !runs[0].ScheduledAt.Equal(slot) || !strings.Contains(runs[0].Reason, fmt.Sprint("run ", runs[1].ID)) {
		t.Fatalf("the record says %+v, %v", runs, err)
	}
	if skipped, err := b.database.Run(t.Context(), runs[0].ID); err != nil || skipped.State != jobs.Skipped {
		t.Errorf("the skipped run is %+v, %v", skipped, err)
	}
	page, err := b.database.Runs(t.Context(), jobs.Filter{Before: jobs.PlaceOf(runs[0]), Limit: 10})
	if err != nil || len(page) != 1 || page[0].ID != runs[1].ID {
		t.Errorf("the next page has %+v, %v", page, err)
	}
	close(release)
	b.untilState(runs[1].ID, jobs.Succeeded)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(ctx context.Context, _ call) (jobs.Report, error) {
		<-ctx.Done()
		return jobs.Report{"candles_new": 1}, ctx.Err()
	})
	service, _ := b.start("a")
	control, err := jobs.NewControl(b.database.JobDriver(), b.database, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run := runNow(t, service, jobs.Maintain, "")
	<-b.calls
	b.untilState(run.ID, jobs.Running)
	if _, err := control.Cancel(t.Context(), run.ID, "eve"); err != nil {
		t.Fatal(err)
	}
	run = b.untilState(run.ID, jobs.Cancelled)
	if run.Reason != "cancelled by eve" || run.CancelledBy != "eve" || run.By != "ada" || run.Rows != 1 {
		t.Errorf("the record says %+v", run)
	}
}

func TestTwoServicesShareTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	met := make(chan struct{})
	var there sync.Map
	b.work = func(ctx context.Context, c call) (jobs.Report, error) {
		there.Store(c.by, true)
		if _, a := there.Load("a"); a {
			if _, b := there.Load("b"); b {
				select {
				case <-met:
				default:
					close(met)
				}
			}
		}
		select {
		case <-met: // nobody is done before both have begun
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	first, _ := b.start("a")
	b.start("b")
	var ids []int64
	for i := range 8 { // more than one of them has workers for
		ids = append(ids, runNow(t, first, jobs.Ingest, market.Symbol(fmt.Sprint("S", i, "USDT"))).ID)
	}
	for _, id := range ids {
		b.untilState(id, jobs.Succeeded)
	}
}

func TestWhatAnEndingProcessWorksOnGoesToAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(ctx context.Context, c call) (jobs.Report, error) {
		if c.by == "a" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	})
	first, stop := b.start("a")
	run := runNow(t, first, jobs.Train, "BTCUSDT")
	<-b.calls
	stop()
	b.start("b")
	run = b.untilState(run.ID, jobs.Succeeded)
	if run.Attempted != 1 {
		t.Errorf("the interruption counted as an attempt: %+v", run)
	}
}

func TestCatchUpAfterDowntime(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, call) (jobs.Report, error) { return nil, nil })
	// Some moment of the last hours: nobody was there.
	past := time.Now().Add(-90 * time.Minute).UTC()
	schedule, err := cron.ParseStandard(fmt.Sprintf("%d %d * * *", past.Minute(), past.Hour()))
	if err != nil {
		t.Fatal(err)
	}
	schedule.(*cron.SpecSchedule).Location = time.UTC
	b.plan = jobs.Plan{Symbols: []market.Symbol{"BTCUSDT", "ETHUSDT"}, Schedules: map[jobs.Name]cron.Schedule{jobs.Ingest: schedule}}
	service, stop := b.start("a")
	got := map[market.Symbol]bool{(<-b.calls).task.Symbol: true, (<-b.calls).task.Symbol: true}
	if !got["BTCUSDT"] || !got["ETHUSDT"] {
		t.Errorf("%v were caught up", got)
	}
	runs, err := b.database.NewestRuns(t.Context())
	if err != nil || len(runs) != 2 || runs[0].Trigger != jobs.ByCatchUp || !runs[0].ScheduledAt.Equal(past.Truncate(time.Minute)) {
		t.Fatalf("the record says %+v, %v", runs, err)
	}
	for _, r := range runs {
		b.untilState(r.ID, jobs.Succeeded)
	}
	// A symbol that joins is caught up as well; the others are not done again, now or
	// by the next process.
	b.plan.Symbols = append(b.plan.Symbols, "SOLUSDT")
	service.Change(b.plan)
	if c := <-b.calls; c.task.Symbol != "SOLUSDT" {
		t.Errorf("%s was caught up", c.task.Symbol)
	}
	stop()
	b.plan.Symbols = append(b.plan.Symbols, "XRPUSDT")
	b.start("b")
	if c := <-b.calls; c.task.Symbol != "XRPUSDT" {
		t.Errorf("%s was caught up", c.task.Symbol)
	}
}

func TestRunsOfProcessesThatEndedAreGivenBack(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBench(t, func(ctx context.Context, c call) (jobs.Report, error) {
		if c.by == "dead" {
			<-release // it neither ends nor fails
		}
		return nil, nil
	})
	b.timing.Beat = time.Hour // no sign of life
	dead, stop := b.start("dead")
	run := runNow(t, dead, jobs.Train, "BTCUSDT") // of which it takes no second one
	<-b.calls
	b.timing.Beat = quick.Beat
	b.start("alive")
	run = b.untilState(run.ID, jobs.Succeeded)
	last := len(run.Attempts) - 1
	if last < 1 || !strings.Contains(run.Attempts[0].Error, "ended while it worked on this") ||
		run.Attempts[last].Error != "" || run.Attempts[last].Instance == run.Attempts[0].Instance ||
		run.Attempts[0].StartedAt.IsZero() || run.Attempts[0].StartedAt.After(run.Attempts[last].StartedAt) {
		t.Errorf("the record says %+v", run)
	}
	close(release)
	stop()
}
