package jobs

import (
	"context"
	"time"
)

// Scorer scores stored forecasts by stored candles.
type Scorer interface {
	// ScoreClosed scores every forecast whose candle is stored and that was not scored
	// yet, and those of candles that open since an instant that were scored by other
	// prices. It returns how many of each, also where it fails midway.
	ScoreClosed(ctx context.Context, since time.Time) (news, corrected int64, err error)
}

// scoredBack is how old candles may be that are looked at for corrections. The exchange
// corrects within hours, and by hand hardly anything older is mended.
const scoredBack = 60 * 24 * time.Hour

// NewScore returns the work of score: forecasts whose candle came by another way than
// the stream, while no process followed it, or was corrected since. Samples that are
// missing from the stream need no settling: they were accounted for as they were missed,
// or are by the next process that samples.
func NewScore(scorer Scorer, now func() time.Time) Work {
	return func(ctx context.Context, _ Task) (Report, error) {
		news, corrected, err := scorer.ScoreClosed(ctx, now().Add(-scoredBack))
		return Report{"scores_new": news, "scores_corrected": corrected}, err
	}
}
