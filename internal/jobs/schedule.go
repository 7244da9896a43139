package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
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

// Upcoming is the next occasion of a job by its schedule.
type Upcoming struct {
	Job    Name
	Symbol market.Symbol // empty for a job that is not per symbol
	At     time.Time     // after the instant that was asked for
}

// Upcoming returns when each job, of each symbol where it is per symbol, is due next
// after an instant. A job without a schedule is not among them.
func (p Plan) Upcoming(after time.Time) []Upcoming {
	var upcoming []Upcoming
	for _, definition := range definitions {
		schedule, planned := p.Schedules[definition.Name]
		if !planned {
			continue
		}
		at := schedule.Next(after.UTC())
		if at.IsZero() {
			continue
		}
		for _, symbol := range p.symbolsOf(definition) {
			upcoming = append(upcoming, Upcoming{Job: definition.Name, Symbol: symbol, At: at.UTC()})
		}
	}
	return upcoming
}

// symbolsOf returns the symbols that a job has runs of: an empty one where it is not per
// symbol.
func (p Plan) symbolsOf(definition Definition) []market.Symbol {
	if definition.PerSymbol {
		return p.Symbols
	}
	return []market.Symbol{""}
}

// Upcoming returns when each job is due next by the plan that holds.
func (s *Service) Upcoming() []Upcoming { return s.plan.Load().Upcoming(s.now()) }

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
		for _, symbol := range p.symbolsOf(definition) {
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

// queueWhatIsDue looks whenever it is told to, and when a back-fill has ended, which may
// have held up what was due, until ctx ends. A look that fails is logged, and the next
// one makes up for it: one run does all that was missed.
func (s *Service) queueWhatIsDue(ctx context.Context, ended <-chan *river.Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.look:
		case event, open := <-ended:
			if !open {
				ended = nil // for ever
				continue
			}
			if !wasBackfill(event) {
				continue
			}
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

// wasBackfill reports whether a run that ended was one of a range.
func wasBackfill(event *river.Event) bool {
	var args runArgs
	if event.Job == nil || json.Unmarshal(event.Job.EncodedArgs, &args) != nil {
		return false
	}
	return args.task().Wanted != market.TimeRange{}
}

// queueIfDue queues a run where neither it nor a later one has been.
func (s *Service) queueIfDue(ctx context.Context, run runArgs) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if definition, _ := definitionOf(run.Job); run.Trigger == ByCatchUp && !definition.FirstLate {
		before, err := s.store.Runs(ctx, Filter{Job: run.Job, Symbol: run.Symbol, Limit: 1})
		if err != nil || len(before) == 0 {
			return err
		}
	}
	return s.store.QueueIfDue(ctx, run.Job, run.Symbol, run.ScheduledAt, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.client.InsertTx(ctx, tx, run, nil)
		return err
	})
}
