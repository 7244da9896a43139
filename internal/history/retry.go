package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
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

// longestPause bounds how long a pause is waited for. Who is banned for hours is
// better told so.
const longestPause = 15 * time.Minute

// Patiently calls try until it succeeds or fails in a way that will not pass,
// which is any that is not of the code Unavailable, or has failed for half a
// minute or so. A pause is waited for, if it ends within a quarter of an hour.
// It logs what it waits for; doing says what for people.
func Patiently[T any](ctx context.Context, log *slog.Logger, doing string, try func() (T, error)) (T, error) {
	var retries int
	return retry(ctx, &patience{log: log}, log, doing, &retries, try)
}

// Tirelessly is Patiently for a service that has nothing else to do until then:
// what may pass is tried again, and a pause waited for, however long that takes.
func Tirelessly[T any](ctx context.Context, log *slog.Logger, doing string, try func() (T, error)) (T, error) {
	var retries int
	return retry(ctx, &patience{log: log, endless: true}, log, doing, &retries, try)
}

// retry is Patiently for one of several that may meet the same pause. It counts
// how often it tried again; the end of a pause is no failure, and not counted.
func retry[T any](
	ctx context.Context, pauses *patience, log *slog.Logger, doing string, retries *int, try func() (T, error),
) (T, error) {
	var none T
	var latest time.Time // that a pause may end
	for attempt := 1; ; {
		if ctx.Err() != nil {
			return none, context.Cause(ctx)
		}
		value, err := try()
		if paused, ok := errors.AsType[*PausedError](err); ok {
			if latest.IsZero() {
				latest = time.Now().Add(longestPause)
			}
			if paused.Pause.Until.After(latest) && !pauses.endless {
				return value, err
			}
			pauses.await(ctx, paused.Pause)
			continue
		}
		switch {
		case market.ErrorCode(err) != market.Unavailable:
			return value, err
		case attempt == maxAttempts && !pauses.endless:
			return value, fmt.Errorf("tried %d times: %w", attempt, err)
		}
		wait := backoff(attempt)
		log.WarnContext(ctx, "failed, trying again", "doing", doing, "attempt", attempt, "wait", wait, "error", err)
		select {
		case <-time.After(wait):
			attempt++
			*retries++
		case <-ctx.Done():
		}
	}
}

// patience waits for the ends of pauses, and tells the log once of each, however
// many wait for it.
type patience struct {
	log     *slog.Logger
	endless bool // neither a pause nor a failure that may pass lasts too long
	mu      sync.Mutex
	told    time.Time // when the pause ends that the log knows of
}

// await returns when the pause is over, or ctx done.
func (p *patience) await(ctx context.Context, pause Pause) {
	p.mu.Lock()
	news := pause.Until.After(p.told)
	if news {
		p.told = pause.Until
	}
	p.mu.Unlock()
	if news {
		p.log.InfoContext(ctx, "waiting, as the exchange asked us to", "until", pause.Until, "reason", pause.Reason)
	}
	select {
	// Some time at least: clocks differ, and a pause that is over by one of them
	// may not be by the other.
	case <-time.After(max(time.Until(pause.Until), firstWait)):
	case <-ctx.Done():
	}
}

// backoff returns how long to wait after an attempt, counted from 1: anything up
// to a bound that doubles, so that pages that failed together are not asked for
// together again.
func backoff(attempt int) time.Duration {
	bound := min(firstWait<<min(attempt-1, maxAttempts), longestWait)
	return rand.N(bound + 1)
}
