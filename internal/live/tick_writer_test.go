package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// refusing returns a rig with ten places of ticks of two series, of which the
// store never takes some of bitcoin's.
func refusing(failure error, bad ...int) (*rig, *tickWriter) {
	r := newRig(nil, two...)
	r.store.refuse = func(tick market.Tick) error {
		if place := int(tick.SampledAt.Sub(midnight) / sampled); tick.Symbol == bitcoin.Symbol && slices.Contains(bad, place) {
			return failure
		}
		return nil
	}
	r.ticks.begin(midnight)
	for k := range 10 {
		for _, series := range two {
			r.ticks.add(market.Tick{Series: series, SampledAt: midnight.Add(time.Duration(k) * sampled)})
		}
	}
	return r, newTickWriter(r.Service)
}

func TestATickThatIsRefusedIsSetAside(t *testing.T) {
	invalid := market.Errorf(market.Invalid, "low is above high")
	unknown := errors.New("new row violates a check constraint")
	for _, test := range []struct {
		name    string
		failure error
		bad     []int
		flushes int // until all is stored
	}{
		{"the first", invalid, []int{0}, 1},
		{"the last", invalid, []int{9}, 1},
		{"several", invalid, []int{2, 3, 7}, 1},
		{"for a reason unknown, behind others", unknown, []int{3, 5}, 1},
		{"for a reason unknown, the first", unknown, []int{0, 1, 5}, storeAttempts},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, w := refusing(test.failure, test.bad...)
			flushes := 1
			for ; flushes < 3*storeAttempts; flushes++ {
				if err := w.flush(t.Context(), false); err == nil {
					break
				}
			}
			if flushes != test.flushes {
				t.Errorf("stored after %d flushes, want %d", flushes, test.flushes)
			}
			bad := len(test.bad)
			if n := len(r.store.ticks[ether.Symbol]); n != 10 {
				t.Errorf("%d ticks of the other series are stored", n)
			}
			status := r.Status().Symbols[0]
			if int(status.Samples) != 10-bad || int(status.Missing) != bad || int(status.Refused) != bad || status.Held != 0 {
				t.Errorf("status is %#v", status)
			}
			r.checkPlaces(t, bitcoin.Symbol, midnight, midnight.Add(10*sampled))
			if n := r.log.count("cannot be stored and is set aside"); n != bad {
				t.Errorf("it was logged %d times", n)
			}
			for _, disorder := range r.store.disorder {
				t.Error(disorder)
			}
			r.ticks.add(market.Tick{Series: bitcoin, SampledAt: midnight.Add(10 * sampled)})
			if err := w.flush(t.Context(), false); err != nil || len(r.store.ticks[bitcoin.Symbol]) != 11-bad {
				t.Errorf("the next: %v", err)
			}
		})
	}
}

// Ticks are not thrown away because of a fault that is none of theirs.
func TestADatabaseThatStoresNothingHasTicksWait(t *testing.T) {
	for name, test := range map[string]struct {
		failure  error
		setAside int64
	}{
		"away":            {errAway, 0},
		"does not answer": {fmt.Errorf("write: %w", context.DeadlineExceeded), 0},
		"unknown":         {errors.New("permission denied"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := refusing(nil)
			r.store.refuse = func(market.Tick) error { return test.failure }
			for range storeAttempts + 1 {
				if w.flush(t.Context(), false) == nil {
					t.Fatal("stored")
				}
			}
			if s := r.Status().Symbols[0]; s.Refused != test.setAside || s.Held != 10-test.setAside {
				t.Errorf("status is %#v", s)
			}
		})
	}
}
