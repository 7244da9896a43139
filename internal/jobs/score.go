package jobs

import (
	"context"
	"time"
)

// Scorer scores stored forecasts by stored candles.
type Scorer interface {
	// ScoreClosed scores the forecasts of candles that open since an instant and are
	// stored, where they were not scored or by other prices, and returns how many.
	ScoreClosed(ctx context.Context, since time.Time) (int64, error)
}

// scoredBack is how far back forecasts are scored that were not when their candle
// closed: what the exchange publishes or corrects later than that is not waited for.
const scoredBack = 60 * 24 * time.Hour

// NewScore returns the work of score: forecasts whose candle came by another way than
// the stream, while no process followed it, or was corrected since.
func NewScore(scorer Scorer, now func() time.Time) Work {
	return func(ctx context.Context, _ Task) (Report, error) {
		scored, err := scorer.ScoreClosed(ctx, now().Add(-scoredBack))
		return Report{"forecasts_scored": scored}, err
	}
}
