package jobs

import (
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
	"github.com/riverqueue/river/rivertype"

	"github.com/cryptoboat/cryptoboat/internal/market"
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
	// asksAgain is how long a database is left alone that did not answer.
	asksAgain = 5 * time.Second
)

// Timing says how fast things are noticed; the zero value is what is usual.
type Timing struct {
	Beat   time.Duration // between two signs of life, 5 s
	Silent time.Duration // after which a process counts as ended, 30 s
	Retry  float64       // factor on the waits before another attempt, 1
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
	plan     atomic.Pointer[Plan]
	look     chan struct{} // tells to see what is due
	stopping chan struct{}
}

// NewService returns a service that does nothing yet.
func NewService(config Config) (*Service, error) {
	timing := config.Timing
	if timing.Beat == 0 {
		timing.Beat = 5 * time.Second
	}
	if timing.Silent == 0 {
		timing.Silent = 30 * time.Second
	}
	if timing.Retry == 0 {
		timing.Retry = 1
	}
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
		look:    make(chan struct{}, 1), stopping: make(chan struct{}),
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{works: config.Works, stopping: s.stopping, log: config.Log})
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
	var queueing sync.WaitGroup
	queueing.Go(func() { s.queueWhatIsDue(ctx) })
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
	if err == nil && given > 0 {
		s.log.WarnContext(ctx, "runs were given back whose process had ended", slog.Int64("runs", given))
	}
	return err
}

// Control asks for runs and calls them off, in a process that works them or not. It is
// safe for concurrent use.
type Control struct {
	client *river.Client[pgx.Tx]
	store  Store
	now    func() time.Time
}

// NewControl returns a Control for a process that works no runs.
func NewControl(driver Driver, store Store, now func() time.Time, log *slog.Logger) (*Control, error) {
	client, err := river.NewClient(driver, &river.Config{Schema: Schema, Logger: slog.New(quiet{log.Handler()})})
	if err != nil {
		return nil, fmt.Errorf("prepare the queue of jobs: %w", err)
	}
	return &Control{client: client, store: store, now: now}, nil
}

// RunNow queues a run that by asked for, or that a change did where by is empty. Its
// errors are Invalid where the task does not go with the job, and Conflict, which names
// the run, where one of the same job and symbol is active.
func (c *Control) RunNow(ctx context.Context, name Name, task Task, by string) (Run, error) {
	switch perSymbol := definitionOf(name).PerSymbol; {
	case perSymbol && task.Symbol == "":
		return Run{}, market.Errorf(market.Invalid, "the job %s is run for a symbol: name one", name)
	case !perSymbol && task.Symbol != "":
		return Run{}, market.Errorf(market.Invalid, "the job %s is run for all symbols together: name none", name)
	case task.Wanted != market.TimeRange{} && name != Ingest:
		return Run{}, market.Errorf(market.Invalid, "only ingest takes a range")
	case !task.Wanted.End.IsZero() && !task.Wanted.Start.Before(task.Wanted.End):
		return Run{}, market.Errorf(market.Invalid, "the end must be after the start")
	}
	args := runArgs{Job: name, Symbol: task.Symbol, Trigger: ByPerson, By: by, ScheduledAt: c.now().UTC()}
	if by == "" {
		args.Trigger = ByChange
	}
	if !task.Wanted.Start.IsZero() {
		args.WantedStart = &task.Wanted.Start
	}
	if !task.Wanted.End.IsZero() {
		args.WantedEnd = &task.Wanted.End
	}
	result, err := c.client.Insert(ctx, args, nil)
	if err != nil {
		return Run{}, fmt.Errorf("queue a run of %s: %w", name, err)
	}
	if result.UniqueSkippedAsDuplicate {
		return Run{}, market.Errorf(market.Conflict, "run %d of %s is active: wait for it, or cancel it", result.Job.ID, name)
	}
	return c.store.Run(ctx, result.Job.ID)
}

// Retry queues a run again that failed or was cancelled, or at once one that waits for
// another attempt. Its errors are NotFound, and Conflict where there is nothing to try
// again or another run of the same job and symbol is active.
func (c *Control) Retry(ctx context.Context, id int64) (Run, error) {
	run, err := c.store.Run(ctx, id)
	if err != nil {
		return Run{}, err
	}
	if run.State != Failed && run.State != Cancelled && run.State != Retrying {
		return Run{}, market.Errorf(market.Conflict, "run %d is %s: only one that failed, was cancelled or waits for another attempt can be tried again", id, run.State)
	}
	if _, err := c.client.JobRetry(ctx, id); err != nil {
		if active, lookErr := c.active(ctx, run.Job, run.Task.Symbol); lookErr == nil && active != 0 && active != id {
			return Run{}, market.Errorf(market.Conflict, "run %d of %s is active: wait for it, or cancel it", active, run.Job)
		}
		return Run{}, fmt.Errorf("retry run %d: %w", id, gone(err, id))
	}
	return c.store.Run(ctx, id)
}

// active returns the active run of a job and symbol, which need not be the newest, or 0.
func (c *Control) active(ctx context.Context, job Name, symbol market.Symbol) (int64, error) {
	for _, state := range []State{Running, Queued, Retrying} {
		runs, err := c.store.Runs(ctx, Filter{Job: job, State: state, Limit: MostRuns})
		if err != nil {
			return 0, err
		}
		for _, run := range runs { // an empty symbol does not limit what is asked for
			if run.Task.Symbol == symbol {
				return run.ID, nil
			}
		}
	}
	return 0, nil
}

// Cancel calls a run off, whose work ends soon where it is being done. Its errors are
// NotFound, and Conflict where the run has ended.
func (c *Control) Cancel(ctx context.Context, id int64, by string) (Run, error) {
	run, err := c.store.Run(ctx, id)
	if err != nil {
		return Run{}, err
	}
	if run.State.Final() {
		return Run{}, market.Errorf(market.Conflict, "run %d is %s already", id, run.State)
	}
	if err := c.store.NoteCancel(ctx, id, by); err != nil {
		return Run{}, err
	}
	if _, err := c.client.JobCancel(ctx, id); err != nil {
		return Run{}, fmt.Errorf("cancel run %d: %w", id, gone(err, id))
	}
	return c.store.Run(ctx, id)
}

// gone is NotFound for a run that was pruned a moment ago.
func gone(err error, id int64) error {
	if errors.Is(err, rivertype.ErrNotFound) {
		return market.Errorf(market.NotFound, "there is no run %d", id)
	}
	return err
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
