package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Trainer trains models; *forecast.Forecaster does.
type Trainer interface {
	Train(ctx context.Context, series market.Series, r market.TimeRange, progress func(done, total int)) (forecast.Model, bool, error)
}

// NewTrain returns the work of train: a model of the symbol from the candles that the
// settings name, which is put to use if it is good enough. Nothing is trained where a
// model has learnt from the very same candles.
func NewTrain(reader SettingsReader, trainer Trainer, now func() time.Time, log *slog.Logger) Work {
	return func(ctx context.Context, task Task) (Report, error) {
		s, err := reader.Get(ctx)
		if err != nil {
			return nil, err
		}
		series := market.Series{Symbol: task.Symbol, Interval: s.Training.Interval}
		told := now()
		model, known, err := trainer.Train(ctx, series, s.Training.Within(now()), func(done, total int) {
			if at := now(); at.Sub(told) >= progressEvery {
				told = at
				log.InfoContext(ctx, "training", slog.String("series", series.String()), slog.Int("trees", done), slog.Int("of", total))
			}
		})
		if err != nil {
			return nil, err
		}
		log.InfoContext(ctx, "trained", slog.String("series", series.String()), slog.Int64("model", model.ID), slog.Int("rows", model.Rows),
			slog.Bool("known_before", known), slog.Bool("promoted", model.Verdict.Promoted), slog.String("verdict", model.Verdict.Reason))
		if known {
			return Report{"models_new": 0}, nil
		}
		return Report{"models_new": 1}, nil
	}
}
