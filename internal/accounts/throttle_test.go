package accounts

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestCountsAreBoundedAndKeepNoOwnerOut(t *testing.T) {
	throttle := newThrottle(time.Now)
	enter := func(account, address string) (*try, error) { return throttle.enter(t.Context(), account, address) }
	home, err := enter("owner", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	home.settle(right)
	for i := range mostCounted {
		throttle.counts[throttleKey{fmt.Sprint(i), ""}] = &tries{wrong: 1}
	}
	for i := range wrongOfAccountHere {
		y, err := enter(fmt.Sprint("guessed", i), fmt.Sprint("198.51.100.", i))
		if err != nil {
			t.Fatalf("guess %d: %v", i, err)
		}
		y.settle(wrong)
		if y.counts[0].wrong >= wrongOfAccountHere {
			break // the three counts of a try are one by now
		}
	}
	if _, err := enter("another", "198.51.100.200"); market.ErrorCode(err) != market.Throttled {
		t.Errorf("beyond what is counted: %v", err)
	}
	if y, err := enter("owner", "192.0.2.1"); err != nil {
		t.Errorf("the owner at home: %v", err)
	} else {
		y.settle(right)
	}
	if most := mostCounted + 10; len(throttle.counts) > most {
		t.Errorf("%d counts are kept, want at most %d", len(throttle.counts), most)
	}
}

// Who is turned away could fill the counts for nothing, and with them lock everybody out.
func TestWhoIsTurnedAwayTakesNoMemory(t *testing.T) {
	throttle := newThrottle(time.Now)
	for i := range wrongOfAddress {
		y, err := throttle.enter(t.Context(), fmt.Sprint("guessed", i), "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		y.settle(wrong)
	}
	before := len(throttle.counts)
	for i := range 1000 {
		if _, err := throttle.enter(t.Context(), fmt.Sprint("another", i), "192.0.2.1"); market.ErrorCode(err) != market.Throttled {
			t.Fatalf("beyond the limit of an address: %v", err)
		}
	}
	if after := len(throttle.counts); after != before {
		t.Errorf("of those turned away %d counts are kept", after-before)
	}
}

func TestWhatWasNotLookedAtIsNotCounted(t *testing.T) {
	throttle := newThrottle(time.Now)
	for range 10 * wrongOfAccount {
		y, err := throttle.enter(t.Context(), "owner", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		y.settle(undecided)
	}
}

func TestWaitingForTriesEndsWithThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle(time.Now)
		var running []*try
		for range wrongOfAccountHere {
			y, err := throttle.enter(t.Context(), "owner", "192.0.2.1")
			if err != nil {
				t.Fatal(err)
			}
			running = append(running, y)
		}
		ctx, cancel := context.WithCancel(t.Context())
		failures := make(chan error, mostWaiting)
		for range mostWaiting {
			go func() {
				y, err := throttle.enter(ctx, "owner", "192.0.2.1")
				if err == nil {
					y.settle(undecided)
				}
				failures <- err
			}()
		}
		synctest.Wait()
		if _, err := throttle.enter(t.Context(), "owner", "192.0.2.1"); market.ErrorCode(err) != market.Unavailable {
			t.Errorf("one too many to wait: %v", err)
		}
		running[0].settle(right)
		for range mostWaiting {
			if err := <-failures; err != nil {
				t.Errorf("one who waited: %v", err)
			}
		}

		again, err := throttle.enter(t.Context(), "owner", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := throttle.enter(ctx, "owner", "192.0.2.1")
			failures <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failures; !errors.Is(err, context.Canceled) {
			t.Errorf("one who went away: %v", err)
		}
		again.settle(undecided)
	})
}
