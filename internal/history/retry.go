package history

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// What fails is tried maxAttempts times, within half a minute or so, before it
// is given up; the next run goes on from there.
const (
	maxAttempts = 8
	firstWait   = 250 * time.Millisecond
	longestWait = 30 * time.Second
)

// retry calls try until it succeeds or fails in a way that will not pass, which
// is any that is not of the code Unavailable. It counts how often it tried
// again.
func retry[T any](
	ctx context.Context, log *slog.Logger, doing string, retries *int, try func() (T, error),
) (T, error) {
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			var none T
			return none, context.Cause(ctx)
		}
		value, err := try()
		switch {
		case market.ErrorCode(err) != market.Unavailable:
			return value, err
		case attempt == maxAttempts:
			return value, fmt.Errorf("tried %d times: %w", attempt, err)
		}
		wait := backoff(attempt)
		log.WarnContext(ctx, "failed, trying again", "doing", doing, "attempt", attempt, "wait", wait, "error", err)
		select {
		case <-time.After(wait):
			*retries++
		case <-ctx.Done():
		}
	}
}

// backoff returns how long to wait after an attempt, counted from 1: anything up
// to a bound that doubles, so that pages that failed together are not asked for
// together again.
func backoff(attempt int) time.Duration {
	bound := min(firstWait<<(attempt-1), longestWait)
	return rand.N(bound + 1)
}
