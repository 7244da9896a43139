package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
)

// Schema is where River's tables are.
const Schema = "river"

// Driver is how River reaches the database.
type Driver = riverdriver.Driver[pgx.Tx]

// KeptFor is how long the record of a run is kept: the newest of a monthly job has to
// be known, and some before it.
const KeptFor = 100 * 24 * time.Hour

const (
	// usualWorkers is how many runs but trainings a process works at once: they wait
	// for the exchange and the database most of the time.
	usualWorkers = 4
	// softStop is what work is given to end by itself before it is told to.
	softStop = time.Second
	// hardStop is what it is given to end after that.
	hardStop = 2 * time.Second
	// stuckAfter is how long after its time was up an attempt is thought to end by itself.
	stuckAfter = 10 * time.Second
	// asksAgain is how long a database is left alone that did not answer.
	asksAgain = 5 * time.Second
)

// Timing says how fast things are noticed; the zero value is what is usual.
type Timing struct {
	Beat   time.Duration // between two signs of life, 5 s
	Silent time.Duration // after which a process counts as ended, 30 s
	Retry  float64       // factor on the waits before another attempt, 1
	Limit  float64       // factor on what an attempt may take, 1
}

// Config is what a Service is made of.
type Config struct {
	Driver Driver
	Store  Store
	Works  map[Name]Work // of every job
	Plan   Plan
	Now    func() time.Time
	Timing Timing
	Log    *slog.Logger
}

// Service queues runs and works them, together with the services of other processes on
// the same database. It is safe for concurrent use.
type Service struct {
	*Control
	store    Store
	now      func() time.Time
	timing   Timing
	log      *slog.Logger
	process  string
	held     *held
	plan     atomic.Pointer[Plan]
	look     chan struct{} // tells to see what is due
	stopping chan struct{}
}

// NewService returns a service that does nothing yet.
func NewService(config Config) (*Service, error) {
	timing := config.Timing
	timing.Beat = cmp.Or(timing.Beat, 5*time.Second)
	timing.Silent = cmp.Or(timing.Silent, 30*time.Second)
	timing.Retry = cmp.Or(timing.Retry, 1)
	timing.Limit = cmp.Or(timing.Limit, 1)
	for _, definition := range definitions {
		if config.Works[definition.Name] == nil {
			return nil, fmt.Errorf("nobody does the job %s", definition.Name)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	s := &Service{
		store: config.Store, now: config.Now, timing: timing, log: config.Log,
		process: host[:min(len(host), 60)] + "-" + rand.Text()[:8],
		held:    newHeld(),
		look:    make(chan struct{}, 1), stopping: make(chan struct{}),
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{works: config.Works, held: s.held, limit: timing.Limit, stopping: s.stopping, log: config.Log})
	client, err := river.NewClient(config.Driver, &river.Config{
		ID: s.process, Schema: Schema, Workers: workers,
		Queues: map[string]river.QueueConfig{
			usualQueue: {MaxWorkers: usualWorkers},
			trainQueue: {MaxWorkers: 1},
		},
		PeriodicJobs:                []*river.PeriodicJob{s.follow(config.Plan)},
		RetryPolicy:                 backoff{timing.Retry},
		CompletedJobRetentionPeriod: KeptFor, CancelledJobRetentionPeriod: KeptFor, DiscardedJobRetentionPeriod: KeptFor,
		// The net behind the signs of life; longer than any job may take.
		RescueStuckJobsAfter: 3 * time.Hour,
		JobStuckHandler:      s.giveBackStuck,
		JobStuckThreshold:    max(time.Duration(float64(stuckAfter)*timing.Limit), time.Millisecond),
		SoftStopTimeout:      softStop,
		Logger:               slog.New(quiet{config.Log.Handler()}),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the queue of jobs: %w", err)
	}
	s.Control = &Control{client: client, store: config.Store, now: config.Now}
	return s, nil
}

// Change puts another plan in place of the one before.
func (s *Service) Change(plan Plan) {
	periodic := s.client.PeriodicJobs()
	periodic.Clear()
	periodic.Add(s.follow(plan))
}

// Run queues what is due and works runs until ctx ends. A database that cannot be
// reached is waited for. Work that is being done when ctx ends has a few seconds to
// end; what does not is put back into the queue.
func (s *Service) Run(ctx context.Context) error {
	for {
		err := s.beat(ctx)
		if err == nil {
			err = s.client.Start(ctx) // work outlives it by softStop
		}
		if err == nil {
			break
		}
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "jobs are not worked yet: the database is asked again", slog.Any("error", err))
		}
		select {
		case <-time.After(asksAgain):
		case <-ctx.Done():
			return nil
		}
	}
	ended, unsubscribe := s.client.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled)
	defer unsubscribe()
	var queueing sync.WaitGroup
	queueing.Go(func() { s.queueWhatIsDue(ctx, ended) })
	s.beatUntil(ctx)
	close(s.stopping)
	queueing.Wait()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), softStop+hardStop)
	defer cancel()
	err := s.client.Stop(grace)
	if err == nil {
		err = s.store.Leave(grace, s.process)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.WarnContext(ctx, "jobs did not end in time: others take them up")
		return nil
	}
	return err
}

// beatUntil gives signs of life until ctx ends.
func (s *Service) beatUntil(ctx context.Context) {
	tick := time.NewTicker(s.timing.Beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.beat(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "no sign of life could be given", slog.Any("error", err))
		}
	}
}

func (s *Service) beat(ctx context.Context) error {
	// A connection that hangs must not silence a process that lives.
	ctx, cancel := context.WithTimeout(ctx, s.timing.Silent/3)
	defer cancel()
	given, err := s.store.Beat(ctx, s.process, s.timing.Silent)
	for _, run := range given {
		s.log.WarnContext(ctx, "a run is given back: its process ended while it worked on it, or was cut off",
			slog.String("job", string(run.Job)), slog.String("symbol", string(run.Symbol)), slog.Int64("run", run.ID),
			slog.Int("attempt", run.Attempt), slog.String("process", run.Process))
	}
	if err != nil {
		return err
	}
	return s.endWhatWasTaken(ctx)
}

// endWhatWasTaken ends the work on attempts that were given to other processes, while
// this one was not heard of.
func (s *Service) endWhatWasTaken(ctx context.Context) error {
	working := s.held.all() // before the question, so that each is in the answer
	if len(working) == 0 {
		return nil
	}
	held, err := s.store.Held(ctx, s.process)
	if err != nil {
		return err
	}
	for _, key := range working {
		if held[key.run] != key.attempt {
			s.held.take(key)
		}
	}
	return nil
}

// giveBackStuck gives a run back whose work does not end although its time is up. The
// library calls it; the place of the work, which may never end, is filled.
func (s *Service) giveBackStuck(ctx context.Context, params river.JobStuckHandlerParams) river.JobStuckHandlerResult {
	filled := river.JobStuckHandlerResult{AddWorkerSlot: true}
	key, attempt, known := s.held.stick(params.ID)
	if !known { // it has ended just now
		return filled
	}
	log := s.log.With(slog.String("job", string(attempt.job)), slog.String("symbol", string(attempt.symbol)),
		slog.Int64("run", key.run), slog.Int("attempt", key.attempt))
	log.WarnContext(ctx, "a run is given back: its time is up and its work does not end; restart this process if it goes on")
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	failure := fmt.Sprintf("its time was up and the work did not end in the process %s", s.process)
	if _, err := s.store.GiveBack(ctx, s.process, key.run, key.attempt, failure); err != nil {
		log.WarnContext(ctx, "the run could not be given back: it is in a few hours", slog.Any("error", err))
	}
	return filled
}

// quiet keeps the library's chatter out of the log: what it has to say of runs, the
// worker and the record say.
type quiet struct{ slog.Handler }

// Enabled lets errors through only.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && q.Handler.Enabled(ctx, level)
}

// WithAttrs keeps it quiet.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup keeps it quiet.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
