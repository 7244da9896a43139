package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// errTaken is why the work on an attempt is ended that is not this process's any more.
var errTaken = errors.New("the run was given to another process meanwhile")

// attemptKey names an attempt.
type attemptKey struct {
	run     int64
	attempt int
}

// heldAttempt is an attempt that this process works on.
type heldAttempt struct {
	job    Name
	symbol market.Symbol
	end    context.CancelCauseFunc
	stuck  bool // its time was up, and it did not end
}

// held are the attempts that this process works on, however the database sees it. It is
// safe for concurrent use.
type held struct {
	mutex    sync.Mutex
	attempts map[attemptKey]*heldAttempt
}

func newHeld() *held { return &held{attempts: map[attemptKey]*heldAttempt{}} }

// hold returns the context of the work on an attempt, and what is to be called when that
// has ended.
func (h *held) hold(ctx context.Context, key attemptKey, job Name, symbol market.Symbol) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.attempts[key] = &heldAttempt{job: job, symbol: symbol, end: end}
	return ctx, func() {
		end(nil)
		h.mutex.Lock()
		defer h.mutex.Unlock()
		delete(h.attempts, key)
	}
}

// all returns the attempts that are worked on.
func (h *held) all() []attemptKey {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return slices.Collect(maps.Keys(h.attempts))
}

// take ends the work on an attempt that is somebody else's.
func (h *held) take(key attemptKey) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if a := h.attempts[key]; a != nil {
		a.end(errTaken)
	}
}

// stick marks the oldest attempt of a run that was not marked yet as stuck, and returns
// it, false where there is none.
func (h *held) stick(run int64) (attemptKey, heldAttempt, bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	oldest := attemptKey{}
	for key, a := range h.attempts {
		if key.run == run && !a.stuck && (oldest.run == 0 || key.attempt < oldest.attempt) {
			oldest = key
		}
	}
	a := h.attempts[oldest]
	if a == nil {
		return attemptKey{}, heldAttempt{}, false
	}
	a.stuck = true
	return oldest, *a, true
}
