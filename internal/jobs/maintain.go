package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Chore is a part of maintain. Its count is of the rows that it wrote or removed.
type Chore struct {
	Name string // in the report, such as sessions_removed
	Do   func(ctx context.Context) (int64, error)
}

// NewMaintain returns the work of maintain: the chores in their order, each whatever
// becomes of the others.
func NewMaintain(chores []Chore, log *slog.Logger) Work {
	return func(ctx context.Context, _ Task) (Report, error) {
		report := Report{}
		var failed error
		for _, chore := range chores {
			if ctx.Err() != nil {
				return report, context.Cause(ctx)
			}
			rows, err := chore.Do(ctx)
			report[chore.Name] = rows
			if err != nil {
				log.WarnContext(ctx, "a chore failed", slog.String("chore", chore.Name), slog.Any("error", err))
				failed = errors.Join(failed, fmt.Errorf("%s: %w", chore.Name, err))
			}
		}
		if failed != nil && market.ErrorCode(failed) != market.Internal && market.ErrorCode(failed) != market.Unavailable {
			// One chore's trouble is no reason not to try the others again.
			return report, market.Errorf(market.Unavailable, "%s", failed.Error())
		}
		return report, failed
	}
}
