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
	Schedules map[Name]cron.Schedule
}

const (
	// looksEvery is how often it is seen to that nothing that was due was missed: a
	// database that did not answer at the moment, a leader that was killed.
	looksEvery = time.Minute
	// onTime is how late a run may be queued to count as one of the schedule's.
	onTime = 30 * time.Second
	// lookTimeout bounds the question whether a run is due.
	lookTimeout = 10 * time.Second
)

// due is a job of one symbol, or of none, that is to be queued by schedule.
type due struct {
	name     Name
	symbol   market.Symbol
	schedule cron.Schedule
}

// Next implements river.PeriodicSchedule: the schedule's instants, and looks between.
func (d due) Next(after time.Time) time.Time {
	look := after.Add(looksEvery)
	if next := d.schedule.Next(after.UTC()); !next.IsZero() && next.Before(look) {
		return next
	}
	return look
}

// slot returns the newest instant of the schedule that has passed, zero where there is
// none within the last two years.
func (d due) slot(now time.Time) time.Time {
	// Schedules only tell what comes next: from ever further back, until something does.
	for back := time.Minute; back < 2*366*24*time.Hour; back *= 4 {
		var newest time.Time
		for at := d.schedule.Next(now.Add(-back)); !at.IsZero() && !at.After(now); at = d.schedule.Next(at) {
			newest = at
		}
		if !newest.IsZero() {
			return newest.UTC()
		}
	}
	return time.Time{}
}

// periodic returns what River's leader is to queue. A look that fails is logged, and
// the next one makes up for it: one run does all that was missed.
func (s *Service) periodic(plan Plan) []*river.PeriodicJob {
	var jobs []*river.PeriodicJob
	for _, definition := range definitions {
		schedule, planned := plan.Schedules[definition.Name]
		if !planned {
			continue
		}
		symbols := []market.Symbol{""}
		if definition.PerSymbol {
			symbols = plan.Symbols
		}
		for _, symbol := range symbols {
			d := due{definition.Name, symbol, schedule}
			jobs = append(jobs, river.NewPeriodicJob(d, func() (river.JobArgs, *river.InsertOpts) {
				ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
				defer cancel()
				args, err := s.look(ctx, d)
				if err != nil {
					s.log.WarnContext(ctx, "whether a job is due is not known: it is asked again in a minute",
						slog.String("job", string(d.name)), slog.String("symbol", string(d.symbol)), slog.Any("error", err))
				}
				if err != nil || args == nil {
					return nil, nil
				}
				return *args, nil
			}, &river.PeriodicJobOpts{RunOnStart: true}))
		}
	}
	return jobs
}

// look returns the run that is due, nil where there is none.
func (s *Service) look(ctx context.Context, d due) (*runArgs, error) {
	now := s.now().UTC()
	slot := d.slot(now)
	if slot.IsZero() {
		return nil, nil
	}
	isDue, err := s.store.Due(ctx, d.name, d.symbol, slot)
	if err != nil || !isDue {
		return nil, err
	}
	args := runArgs{Job: d.name, Symbol: d.symbol, Trigger: BySchedule, ScheduledAt: slot}
	if now.Sub(slot) > onTime {
		args.Trigger = ByCatchUp
	}
	return &args, nil
}
