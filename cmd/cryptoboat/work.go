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
	"github.com/cryptoboat/cryptoboat/internal/live"
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
	hub        *live.Hub                // nil where the market is not followed
	current    func() settings.Settings // those that hold
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
			Claim: w.claim, Mended: w.tellMended,
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

func (w workers) claim(ctx context.Context) error { return claimDatabase(ctx, w.database, w.exchange) }

// tellMended tells those who follow a series of candles that the stream has not brought.
func (w workers) tellMended(series market.Series, candles []market.Candle) {
	if w.hub != nil && series.Interval == w.current().StreamInterval {
		w.hub.PublishMended(series, candles, exchangeClock{w.exchange}.Now())
	}
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

// auditKept is how long the audit log is kept.
const auditKept = 2 * 366 * 24 * time.Hour

// chores is what maintain does. Removing records of old runs is the queue's own.
func chores(w workers, backfiller *history.Backfiller) []jobs.Chore {
	return []jobs.Chore{
		{Name: "roll_ups_refreshed", Do: func(ctx context.Context) (int64, error) { return 0, refreshAll(ctx, w.database) }},
		{Name: "candles_found", Do: jobs.Recheck(jobs.RecheckConfig{
			Ranges: w.database, Claim: w.claim, Backfiller: backfiller, Now: w.now,
		})},
		{Name: "candles_packed", Do: w.database.PackCandles},
		{Name: "ticks_removed", Do: w.database.DropOldTicks},
		{Name: "model_files_removed", Do: func(ctx context.Context) (int64, error) {
			return w.database.PruneModelFiles(ctx, forecast.KeptFiles)
		}},
		{Name: "old_scores_corrected", Do: func(ctx context.Context) (int64, error) {
			news, corrected, err := w.database.ScoreClosed(ctx, time.Time{})
			return news + corrected, err
		}},
		{Name: "sessions_and_tokens_removed", Do: w.accounts.Prune},
		{Name: "audit_entries_removed", Do: func(ctx context.Context) (int64, error) {
			return w.database.PruneAudit(ctx, w.now().Add(-auditKept))
		}},
		{Name: "skips_removed", Do: func(ctx context.Context) (int64, error) {
			return w.database.PruneSkips(ctx, w.now().Add(-jobs.KeptFor))
		}},
	}
}

// refreshAll brings every roll-up up to date: a process that was killed between a write
// and its refresh left some behind. What is up to date costs next to nothing.
func refreshAll(ctx context.Context, database *timescale.Database) error {
	stored, err := database.Catalogue(ctx)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if err := database.RefreshRollUps(ctx, s.Series, market.TimeRange{Start: s.First, End: s.Interval.Next(s.Last)}); err != nil {
			return err
		}
	}
	return nil
}
