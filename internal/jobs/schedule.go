package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/robfig/cron/v3"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Plan says what is done when.
type Plan struct {
	Symbols   []market.Symbol
	Schedules map[Name]cron.Schedule // a job that has none is run when it is asked for
}

const (
	// looksEvery is how often it is seen to that nothing that was due was missed: a
	// database that did not answer at the moment, a leader that was killed.
	looksEvery = time.Minute
	// early is how long before an instant River may call, with a little over: it does
	// together what is due within a tenth of a second.
	early = 150 * time.Millisecond
	// onTime is how late a run may be queued to count as one of the schedule's.
	onTime = 30 * time.Second
	// lookTimeout bounds the question whether a run is due.
	lookTimeout = 10 * time.Second
)

// Next implements river.PeriodicSchedule: the instants of all schedules, and looks
// between.
func (p Plan) Next(after time.Time) time.Time {
	next := after.Add(looksEvery)
	for _, schedule := range p.Schedules {
		if at := schedule.Next(after.UTC()); !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

// slot returns the newest instant of a schedule that has passed, zero where there is
// none within the last two years.
func slot(schedule cron.Schedule, now time.Time) time.Time {
	// Schedules only tell what comes next: from ever further back, until something does.
	for back := time.Minute; back < 2*366*24*time.Hour; back *= 4 {
		var newest time.Time
		for at := schedule.Next(now.Add(-back)); !at.IsZero() && !at.After(now); at = schedule.Next(at) {
			newest = at
		}
		if !newest.IsZero() {
			return newest.UTC()
		}
	}
	return time.Time{}
}

// runs returns the run that each job and symbol is to have had by now.
func (p Plan) runs(now time.Time) []runArgs {
	var runs []runArgs
	for _, definition := range definitions {
		schedule, planned := p.Schedules[definition.Name]
		if !planned {
			continue
		}
		at := slot(schedule, now.Add(early))
		if at.IsZero() {
			continue
		}
		trigger := BySchedule
		if now.Sub(at) > onTime {
			trigger = ByCatchUp
		}
		symbols := []market.Symbol{""}
		if definition.PerSymbol {
			symbols = p.Symbols
		}
		for _, symbol := range symbols {
			runs = append(runs, runArgs{Job: definition.Name, Symbol: symbol, Trigger: trigger, ScheduledAt: at})
		}
	}
	return runs
}

// follow makes a plan the one that holds. River's leader calls when an instant of it
// has come, and at once when it has become the leader or the plan is a new one.
func (s *Service) follow(plan Plan) *river.PeriodicJob {
	s.plan.Store(&plan)
	return river.NewPeriodicJob(plan, func() (river.JobArgs, *river.InsertOpts) {
		// River must not be kept waiting here, so that it is only told to look.
		select {
		case s.look <- struct{}{}:
		default: // a look is to come anyway
		}
		return nil, nil
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

// queueWhatIsDue looks whenever it is told to, until ctx ends. A look that fails is
// logged, and the next one makes up for it: one run does all that was missed.
func (s *Service) queueWhatIsDue(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.look:
		}
		for _, run := range s.plan.Load().runs(s.now().UTC()) {
			if err := s.queueIfDue(ctx, run); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "whether a job is due is not known: it is asked again in a minute",
					slog.String("job", string(run.Job)), slog.String("symbol", string(run.Symbol)), slog.Any("error", err))
				break // the others would fare no better
			}
		}
	}
}

// queueIfDue queues a run where neither it nor a later one has been.
func (s *Service) queueIfDue(ctx context.Context, run runArgs) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if run.Trigger == ByCatchUp && !definitionOf(run.Job).FirstLate {
		before, err := s.store.Runs(ctx, Filter{Job: run.Job, Symbol: run.Symbol, Limit: 1})
		if err != nil || len(before) == 0 {
			return err
		}
	}
	isDue, err := s.store.Due(ctx, run.Job, run.Symbol, run.ScheduledAt)
	if err == nil && isDue {
		_, err = s.client.Insert(ctx, run, nil)
	}
	return err
}
