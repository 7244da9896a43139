package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/coingecko"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// workers is what the jobs of a process work with.
type workers struct {
	database   *timescale.Database
	exchange   *binance.Client
	coins      *coingecko.Client
	forecaster *forecast.Forecaster
	settings   *settings.Service
	accounts   *accounts.Service
	now        func() time.Time
	log        *slog.Logger
}

// newJobs returns the service that runs the jobs as the settings say.
func newJobs(w workers, s settings.Settings) (*jobs.Service, error) {
	backfiller := history.NewBackfiller(w.exchange, w.database, w.log)
	var service *jobs.Service
	works := map[jobs.Name]jobs.Work{
		jobs.Ingest: jobs.NewIngest(jobs.IngestConfig{
			Settings: w.settings, Backfiller: backfiller, Stored: w.database, Coins: w.coins, CoinStore: w.database,
			Claim: func(ctx context.Context) error { return claimDatabase(ctx, w.database, w.exchange) },
			Ingested: func(ctx context.Context, series market.Series) error {
				return trainFirst(ctx, w, service, series.Symbol)
			},
			Now: w.now, Log: w.log,
		}),
		jobs.Train:    jobs.NewTrain(w.settings, w.forecaster, w.now, w.log),
		jobs.Score:    jobs.NewScore(w.database, w.now),
		jobs.Maintain: jobs.NewMaintain(chores(w, backfiller), w.log),
	}
	service, err := jobs.NewService(jobs.Config{
		Driver: w.database.JobDriver(), Store: w.database, Works: works, Plan: planOf(s), Now: w.now, Log: w.log,
	})
	return service, err
}

// planOf returns what the settings say is done when.
func planOf(s settings.Settings) jobs.Plan {
	plan := jobs.Plan{Symbols: s.Symbols, Schedules: map[jobs.Name]cron.Schedule{}}
	for name, specification := range map[jobs.Name]string{
		jobs.Ingest: s.IngestSchedule, jobs.Train: s.TrainSchedule, jobs.Score: s.ScoreSchedule, jobs.Maintain: s.MaintainSchedule,
	} {
		// Settings that hold can be read.
		if schedule, err := settings.ParseSchedule(specification); err == nil {
			plan.Schedules[name] = schedule
		}
	}
	return plan
}

// trainFirst asks for a training of a symbol of which there is no model: one that has
// just been added does not wait for a month.
func trainFirst(ctx context.Context, w workers, control *jobs.Service, symbol market.Symbol) error {
	s, err := w.settings.Get(ctx)
	if err != nil {
		return err
	}
	models, err := w.database.Models(ctx, market.Series{Symbol: symbol, Interval: s.Training.Interval})
	if err != nil || len(models) > 0 {
		return err
	}
	// Too little history is no model's and no run's to mend; the schedule tries again.
	before, err := w.database.Runs(ctx, jobs.Filter{Job: jobs.Train, Symbol: symbol, Limit: 1})
	if err != nil || len(before) > 0 {
		return err
	}
	_, err = control.RunNow(ctx, jobs.Train, jobs.Task{Symbol: symbol}, "")
	if market.ErrorCode(err) == market.Conflict {
		return nil
	}
	return err
}

const (
	// refreshedBack is how far back roll-ups are refreshed each day: a process that was
	// killed between a write and its refresh left some behind.
	refreshedBack = 7 * 24 * time.Hour
	// recheckedAfter is when the exchange is asked again for what it had not.
	recheckedAfter = 30 * 24 * time.Hour
	// auditKept is how long the audit log is kept.
	auditKept = 2 * 366 * 24 * time.Hour
)

// chores is what maintain does. Packing old chunks by column and dropping old ticks are
// jobs of the database's own where its edition has them.
func chores(w workers, backfiller *history.Backfiller) []jobs.Chore {
	return []jobs.Chore{
		{Name: "series_refreshed", Do: func(ctx context.Context) (int64, error) {
			stored, err := w.database.Catalogue(ctx)
			for k, s := range stored {
				recent := market.TimeRange{Start: s.Last.Add(-refreshedBack), End: s.Interval.Next(s.Last)}
				if err := w.database.RefreshRollUps(ctx, s.Series, recent); err != nil {
					return int64(k), err
				}
			}
			return int64(len(stored)), err
		}},
		{Name: "rechecked_candles", Do: func(ctx context.Context) (int64, error) { return recheck(ctx, w, backfiller) }},
		{Name: "sessions_and_tokens_removed", Do: w.accounts.Prune},
		{Name: "audit_entries_removed", Do: func(ctx context.Context) (int64, error) {
			return w.database.PruneAudit(ctx, w.now().Add(-auditKept))
		}},
		{Name: "skips_removed", Do: func(ctx context.Context) (int64, error) {
			return w.database.PruneSkips(ctx, w.now().Add(-jobs.KeptFor))
		}},
	}
}

// recheck asks the exchange again for what it was confirmed not to have long ago, and
// returns how many candles it has by now.
func recheck(ctx context.Context, w workers, backfiller *history.Backfiller) (int64, error) {
	series, err := w.database.SeriesToRecheck(ctx, w.now().Add(-recheckedAfter))
	if err != nil || len(series) == 0 {
		return 0, err
	}
	if err := claimDatabase(ctx, w.database, w.exchange); err != nil {
		return 0, err
	}
	var found int64
	for _, s := range series {
		plan, err := backfiller.Plan(ctx, history.BackfillRequest{Series: s, Recheck: true})
		if err != nil {
			return found, err
		}
		report, err := backfiller.Run(ctx, plan, func(history.BackfillProgress) {})
		found += report.New
		if err != nil {
			return found, err
		}
	}
	return found, nil
}
