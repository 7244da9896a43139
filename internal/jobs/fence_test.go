package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// written is what was logged.
type written struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.text.String()
}

// wantLine looks for a line of a log that has all the words.
func (w *written) wantLine(t *testing.T, words ...string) {
	t.Helper()
	for line := range strings.Lines(w.String()) {
		has := true
		for _, word := range words {
			has = has && strings.Contains(line, word)
		}
		if has {
			return
		}
	}
	t.Errorf("no line has %q:\n%s", words, w)
}

// A process that was taken for dead cannot end the attempt of the one that took over,
// whatever becomes of its own.
func TestWhoWasTakenForDeadEndsNothing(t *testing.T) {
	for name, outcome := range map[string]func() error{
		"done":     func() error { return nil },
		"failed":   func() error { return errors.New("too late") },
		"panicked": func() error { panic("too late") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leave, finish := make(chan struct{}), make(chan struct{})
			b := newBench(t, func(ctx context.Context, c call) (jobs.Report, error) {
				if c.by == "dead" {
					<-leave
					return jobs.Report{"models_new": 100}, outcome()
				}
				select {
				case <-finish:
				case <-ctx.Done():
				}
				return jobs.Report{"models_new": 1}, ctx.Err()
			})
			b.timing.Beat = time.Hour // no sign of life, and no look whether it has the run still
			dead, stop := b.start("dead")
			run := runNow(t, dead, jobs.Train, "BTCUSDT")
			<-b.calls
			b.timing.Beat = quick.Beat
			said := &written{}
			b.log = slog.New(slog.NewTextHandler(said, nil))
			b.start("alive")
			<-b.calls
			run = b.until(run.ID, "tried again", func(r jobs.Run) bool { return r.State == jobs.Running && r.Attempted == 2 })
			said.wantLine(t, "given back", "job=train", "symbol=BTCUSDT", "run=1", "attempt=1", run.Attempts[0].Instance)
			close(leave)
			stop() // what it says of its attempt is said by then
			if run, _ = b.database.Run(t.Context(), run.ID); run.State != jobs.Running || run.Attempted != 2 || run.Rows != 0 {
				t.Errorf("after the end of the one taken for dead the record says %+v", run)
			}
			close(finish)
			run = b.untilState(run.ID, jobs.Succeeded)
			if run.Rows != 1 || len(run.Attempts) != 2 || run.Attempts[1].Error != "" || run.Attempts[1].Instance == run.Attempts[0].Instance {
				t.Errorf("the record says %+v", run)
			}
		})
	}
}

// A process that was cut off ends its work as soon as it hears that another has it.
func TestWhoWasCutOffStopsWorking(t *testing.T) {
	t.Parallel()
	address := timescaletest.URL(t)
	way, through := newFreezable(t, address)
	far := &bench{t: t, database: timescaletest.OpenAt(t, through), calls: make(chan call, 10), timing: quick}
	said := &written{}
	far.log = slog.New(slog.NewTextHandler(said, nil))
	stopped := make(chan error, 1)
	far.work = func(ctx context.Context, _ call) (jobs.Report, error) {
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return nil, ctx.Err()
	}
	b := &bench{t: t, database: timescaletest.OpenAt(t, address), calls: make(chan call, 10), timing: quick, log: slog.New(slog.DiscardHandler)}
	finish := make(chan struct{})
	b.work = func(context.Context, call) (jobs.Report, error) {
		<-finish
		return nil, nil
	}
	service, _ := far.start("far")
	run := runNow(t, service, jobs.Train, "BTCUSDT")
	<-far.calls
	thaw := way.freeze()
	defer thaw()
	b.start("near")
	<-b.calls
	select {
	case err := <-stopped:
		t.Fatalf("the work of the one cut off ended by itself: %v", err)
	default:
	}
	thaw()
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "given to another process") {
		t.Errorf("the work ended for %v", err)
	}
	close(finish)
	run = b.untilState(run.ID, jobs.Succeeded)
	if len(run.Attempts) != 2 || run.Attempts[1].Error != "" || run.Attempts[0].Instance == run.Attempts[1].Instance {
		t.Errorf("the record says %+v", run)
	}
	said.wantLine(t, "another process has it", "job=train", "symbol=BTCUSDT", "run=1", "attempt=1")
}

// Work that does not end when its time is up keeps neither the run nor its place.
func TestAStuckRunIsGivenBack(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBench(t, nil)
	b.work = func(_ context.Context, c call) (jobs.Report, error) {
		run, err := b.database.Runs(context.Background(), jobs.Filter{Job: c.name, Limit: 1})
		if err == nil && run[0].Attempted == 1 {
			<-release // whatever the context says
			return jobs.Report{"scores_new": 100}, nil
		}
		return jobs.Report{"scores_new": 1}, err
	}
	b.timing.Limit = 0.001 // 300 ms for score
	said := &written{}
	b.log = slog.New(slog.NewTextHandler(said, nil))
	service, stop := b.start("a")
	run := b.untilState(runNow(t, service, jobs.Score, "").ID, jobs.Succeeded)
	said.wantLine(t, "level=WARN", "time is up", "job=score", "run=1", "attempt=1")
	close(release)
	stop()
	run, err := b.database.Run(t.Context(), run.ID)
	if err != nil || len(run.Attempts) != 2 || !strings.Contains(run.Attempts[0].Error, "its time was up") || run.Attempts[1].Error != "" || run.Rows != 1 {
		t.Errorf("the record says %+v, %v", run, err)
	}
}
