package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// runArgs is what the queue keeps of a run. Of a job and a symbol at most one is
// active, whatever else they differ in.
type runArgs struct {
	Job         Name          `json:"job" river:"unique"`
	Symbol      market.Symbol `json:"symbol" river:"unique"`
	WantedStart *time.Time    `json:"wanted_start,omitempty"`
	WantedEnd   *time.Time    `json:"wanted_end,omitempty"`
	Trigger     Trigger       `json:"trigger"`
	By          string        `json:"by"`
	ScheduledAt time.Time     `json:"scheduled_at"`
}

// Kind names the arguments in the queue.
func (runArgs) Kind() string { return "run" }

// The queues: trainings take all cores, so that a process does one at a time.
const (
	usualQueue = river.QueueDefault
	trainQueue = "train"
)

// activeStates are those of which there is one run of a job and symbol at most.
var activeStates = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

// InsertOpts implements river.JobArgsWithInsertOpts.
func (a runArgs) InsertOpts() river.InsertOpts {
	queue, attempts := usualQueue, 1
	if definition, known := definitionOf(a.Job); known { // the library asks for the zero value's too
		attempts = definition.Attempts
	}
	if a.Job == Train {
		queue = trainQueue
	}
	return river.InsertOpts{
		Queue: queue, MaxAttempts: attempts, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: activeStates},
	}
}

func (a runArgs) task() Task {
	task := Task{Symbol: a.Symbol}
	if a.WantedStart != nil {
		task.Wanted.Start = *a.WantedStart
	}
	if a.WantedEnd != nil {
		task.Wanted.End = *a.WantedEnd
	}
	return task
}

// worker does what runs ask for.
type worker struct {
	river.WorkerDefaults[runArgs]
	works    map[Name]Work
	held     *held
	limit    float64 // factor on what an attempt may take
	stopping <-chan struct{}
	log      *slog.Logger
}

// Timeout bounds an attempt.
func (w *worker) Timeout(job *river.Job[runArgs]) time.Duration {
	definition, known := definitionOf(job.Args.Job)
	if !known { // 0 would not bound it by that
		return time.Minute
	}
	return max(time.Duration(float64(definition.Timeout)*w.limit), 1)
}

// Work does one attempt. What it came to is recorded even where it failed. An attempt
// that the end of the process interrupts does not count: another process goes on at
// once, or this one when it is started again.
func (w *worker) Work(ctx context.Context, job *river.Job[runArgs]) error {
	log := w.log.With(slog.String("job", string(job.Args.Job)), slog.String("symbol", string(job.Args.Symbol)),
		slog.Int64("run", job.ID), slog.Int("attempt", job.Attempt))
	log.InfoContext(ctx, "job begins", slog.String("trigger", string(job.Args.Trigger)))
	if err := noteAttempt(ctx, job); err != nil {
		return err
	}
	work := w.works[job.Args.Job]
	if work == nil {
		log.WarnContext(ctx, "nobody does this job: another release asked for it")
		return river.JobCancel(market.Errorf(market.NotFound, "this release knows no such job; %s", jobNames))
	}
	began := time.Now()
	ctx, release := w.held.hold(ctx, attemptKey{job.ID, job.Attempt}, job.Args.Job, job.Args.Symbol)
	defer release()
	report, err := work(ctx, job.Args.task())
	if recordErr := record(ctx, job, report); recordErr != nil {
		err = errors.Join(err, recordErr)
	}
	took := slog.Duration("took", time.Since(began).Round(time.Millisecond))
	if errors.Is(context.Cause(ctx), errTaken) { // what is returned is refused by the database
		log.WarnContext(ctx, "job is left alone: another process has it", took, slog.Any("report", report))
		return errTaken
	}
	if err == nil {
		log.InfoContext(ctx, "job is done", took, slog.Any("report", report))
		return nil
	}
	if w.isStopping() && ctx.Err() != nil {
		log.InfoContext(ctx, "job is put back: the process ends", took)
		return river.JobSnooze(0)
	}
	if paused, ok := errors.AsType[*history.PausedError](err); ok {
		wait := max(time.Until(paused.Pause.Until), time.Second)
		log.WarnContext(ctx, "job waits: the exchange asks for a pause", took, slog.Duration("wait", wait), slog.Any("error", err))
		return river.JobSnooze(wait)
	}
	log.WarnContext(ctx, "job failed", took, slog.Any("error", err))
	switch market.ErrorCode(err) {
	case market.Invalid, market.NotFound, market.Conflict, market.Forbidden:
		return river.JobCancel(err) // it would fail again
	}
	return err
}

// AttemptsKey is where a run's metadata has its attempts, a Try each by their number.
const AttemptsKey = "attempts"

// Try is what is noted of an attempt: the queue itself keeps of those that ended only
// how they failed.
type Try struct {
	BeganAt  time.Time `json:"began_at"`
	Instance string    `json:"instance"`
}

// endsKey is where a run's metadata says which attempt of whom it is that ends with it:
// the database refuses it of one that is not the run's any more, and keeps it of none.
const endsKey = "ends"

// noteAttempt adds an attempt to those noted. One that did not count, because the
// process ended or the exchange paused, gives its number to the next.
func noteAttempt(ctx context.Context, job *river.Job[runArgs]) error {
	instance := job.AttemptedBy[len(job.AttemptedBy)-1]
	if err := river.MetadataSet(ctx, endsKey, map[string]any{"instance": instance, "attempt": job.Attempt}); err != nil {
		return err
	}
	var noted struct {
		Attempts map[int]Try `json:"attempts"`
	}
	if err := json.Unmarshal(job.Metadata, &noted); err != nil {
		return fmt.Errorf("read the attempts before: %w", err)
	}
	if noted.Attempts == nil {
		noted.Attempts = map[int]Try{}
	}
	noted.Attempts[job.Attempt] = Try{job.AttemptedAt.UTC(), instance}
	return river.MetadataSet(ctx, AttemptsKey, noted.Attempts)
}

// record adds an attempt's report to those of the attempts before: what they wrote is
// stored all the same.
func record(ctx context.Context, job *river.Job[runArgs], report Report) error {
	if report == nil {
		return nil
	}
	together := Report{}
	if before := job.Output(); before != nil {
		if err := json.Unmarshal(before, &together); err != nil {
			return fmt.Errorf("read the report of the attempts before: %w", err)
		}
	}
	for name, rows := range report {
		together[name] += rows
	}
	return river.RecordOutput(ctx, together)
}

func (w *worker) isStopping() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// retries are how long to wait after each attempt that failed.
var retries = []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// backoff says when a run is tried again: ever later, and not all at the same moment.
type backoff struct{ scale float64 }

// NextRetry implements river.ClientRetryPolicy.
func (b backoff) NextRetry(job *rivertype.JobRow) time.Time {
	wait := float64(retries[min(max(len(job.Errors), 0), len(retries)-1)]) * b.scale
	return time.Now().Add(time.Duration(wait * (1 + 0.1*rand.Float64())))
}
