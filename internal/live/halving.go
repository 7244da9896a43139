package live

import (
	"context"
	"errors"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// storeAttempts is how often a store is asked, within some minutes, to keep what
// it refuses for a reason unknown. A database that is away is waited for.
const storeAttempts = 12

// halving sees to it that what a store refuses keeps nothing else waiting: a
// batch that is refused is halved until the one that cannot be stored is alone.
type halving struct {
	most         int  // in a batch
	size         int  // of the next batch
	refusals     int  // of one alone for a reason unknown, since the last that was stored or set aside
	othersStored bool // since begin
}

// outcome is what is to become of a batch that was given to a store.
type outcome int

const (
	isStored outcome = iota
	isHalved         // the next batch is smaller
	setAside         // the one in it never will be stored
	waits            // it is tried again later
)

func newHalving(most int) halving { return halving{most: most, size: most} }

// begin begins a run over all that waits.
func (h *halving) begin() { h.othersStored = false }

// after says what becomes of a batch of so many, by what its store answered.
func (h *halving) after(count int, err error) outcome {
	switch {
	case err == nil:
		h.size, h.refusals, h.othersStored = min(2*h.size, h.most), 0, true
		return isStored
	case !refused(err):
		return waits
	case count > 1:
		h.size = count / 2
		return isHalved
	case h.hopeless(err):
		h.refusals = 0
		return setAside
	default:
		return waits
	}
}

// hopeless reports whether what was refused alone never will be stored: the
// reason says so, or others can be stored, or it has been tried often. It must not
// keep those behind it waiting.
func (h *halving) hopeless(err error) bool {
	h.refusals++
	return market.ErrorCode(err) != market.Internal || h.othersStored || h.refusals >= storeAttempts
}

// refused reports whether a store has answered that it will not, rather than that
// it cannot now, or nothing at all.
func refused(err error) bool {
	return market.ErrorCode(err) != market.Unavailable && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}
