package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

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
// errors are Invalid where there is no such job or the task does not go with it, and
// Conflict, which names the run, where one of the same job and symbol is active.
func (c *Control) RunNow(ctx context.Context, name Name, task Task, by string) (Run, error) {
	switch definition, known := definitionOf(name); {
	case !known:
		return Run{}, market.Errorf(market.Invalid, "there is no such job; %s", jobNames)
	case definition.PerSymbol && task.Symbol == "":
		return Run{}, market.Errorf(market.Invalid, "the job %s is run for a symbol: name one", name)
	case !definition.PerSymbol && task.Symbol != "":
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

// retriable are the states of a run that can be tried again.
var retriable = []State{Failed, Cancelled, Retrying}

// Retry queues a run again that failed or was cancelled, or at once one that waits for
// another attempt, and records that by asked for it. Its errors are NotFound, and
// Conflict where there is nothing to try again or another run of the same job and symbol
// is active.
func (c *Control) Retry(ctx context.Context, id int64, by string) (Run, error) {
	run, err := c.store.Run(ctx, id)
	if err != nil {
		return Run{}, err
	}
	done := false
	if slices.Contains(retriable, run.State) {
		done, err = c.store.Request(ctx, id, RequestRetry, by, retriable, func(ctx context.Context, tx pgx.Tx) error {
			_, err := c.client.JobRetryTx(ctx, tx, id)
			return err
		})
	}
	if err != nil {
		if active, lookErr := c.active(ctx, run.Job, run.Task.Symbol); lookErr == nil && active != 0 && active != id {
			return Run{}, market.Errorf(market.Conflict, "run %d of %s is active: wait for it, or cancel it", active, run.Job)
		}
		return Run{}, fmt.Errorf("retry run %d: %w", id, gone(err, id))
	}
	if run, err = c.store.Run(ctx, id); err == nil && !done {
		err = market.Errorf(market.Conflict, "run %d is %s: only one that failed, was cancelled or waits for another attempt can be tried again", id, run.State)
	}
	return run, err
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

// cancellable are the states of a run that can be called off.
var cancellable = []State{Queued, Running, Retrying}

// Cancel calls a run off, whose work ends soon where it is being done, and records that
// by did. Its errors are NotFound, and Conflict where the run has ended.
func (c *Control) Cancel(ctx context.Context, id int64, by string) (Run, error) {
	run, err := c.store.Run(ctx, id)
	if err != nil {
		return Run{}, err
	}
	done := false
	if slices.Contains(cancellable, run.State) {
		done, err = c.store.Request(ctx, id, RequestCancel, by, cancellable, func(ctx context.Context, tx pgx.Tx) error {
			_, err := c.client.JobCancelTx(ctx, tx, id)
			return err
		})
	}
	if err != nil {
		return Run{}, fmt.Errorf("cancel run %d: %w", id, gone(err, id))
	}
	if run, err = c.store.Run(ctx, id); err == nil && !done {
		err = market.Errorf(market.Conflict, "run %d is %s already", id, run.State)
	}
	return run, err
}

// gone is NotFound for a run that was pruned a moment ago.
func gone(err error, id int64) error {
	if errors.Is(err, rivertype.ErrNotFound) {
		return market.Errorf(market.NotFound, "there is no run %d", id)
	}
	return err
}
