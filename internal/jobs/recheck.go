package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// EmptyRanges knows what an exchange was confirmed not to have.
type EmptyRanges interface {
	// RangesToRecheck returns requests for the ranges that are confirmed to be empty
	// and were last asked for before an instant, the one that waits longest first, at
	// most limit of them.
	RangesToRecheck(ctx context.Context, before time.Time, limit int) ([]history.BackfillRequest, error)
}

// RecheckConfig is what a recheck works with.
type RecheckConfig struct {
	Ranges     EmptyRanges
	Claim      func(ctx context.Context) error // as in IngestConfig
	Backfiller Backfiller
	Now        func() time.Time
}

const (
	// recheckedAfter is when an exchange is asked again for what it had not.
	recheckedAfter = 30 * 24 * time.Hour
	// recheckedPages bounds how much it is asked for in a run: the next goes on.
	recheckedPages = 50
)

// Recheck returns a chore that asks the exchange again for what it was confirmed not to
// have a month ago, a bounded number of pages at a time. It counts the candles that are
// there by now. A range that cannot be asked for keeps no other waiting, an exchange
// that is away does.
func Recheck(config RecheckConfig) func(ctx context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		requests, err := config.Ranges.RangesToRecheck(ctx, config.Now().Add(-recheckedAfter), recheckedPages)
		if err != nil || len(requests) == 0 {
			return 0, err
		}
		if err := config.Claim(ctx); err != nil {
			return 0, err
		}
		var found int64
		var failed error
		pages := recheckedPages
		for _, request := range requests {
			if pages == 0 {
				break
			}
			plan, err := config.Backfiller.Plan(ctx, request)
			if err == nil {
				plan.Pages = plan.Pages[:min(len(plan.Pages), pages)]
				pages -= len(plan.Pages)
				var done history.BackfillReport
				done, err = config.Backfiller.Run(ctx, plan, func(history.BackfillProgress) {})
				found += done.New + done.Corrected
			}
			if err == nil {
				continue
			}
			failed = errors.Join(failed, fmt.Errorf("ask again for %s from %s: %w",
				request.Series, request.Wanted.Start.Format(time.RFC3339), err))
			if ctx.Err() != nil || market.ErrorCode(err) == market.Unavailable {
				break
			}
		}
		return found, failed
	}
}
