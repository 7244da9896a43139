package accounts

import (
	"fmt"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Wrong passwords are counted in windows of a few minutes: of an account from one
// address, of an address, and of an account from everywhere. The last keeps many
// addresses from guessing together; so that they cannot lock its owner out, it does
// not hold for an address from which the account was entered before. Each process
// counts for itself: a few of them let as many times more be tried, which does not
// help anybody who guesses.
const (
	throttlePeriod     = 5 * time.Minute
	wrongOfAccountHere = 5
	wrongOfAddress     = 25
	wrongOfAccount     = 50
	// mostCounted bounds the memory of what is counted; what comes beyond shares one
	// count.
	mostCounted = 20_000
	// mostHomes bounds the memory of where accounts were entered from.
	mostHomes = 5_000
)

// ThrottledError says how long to wait before the next password is looked at.
type ThrottledError struct{ Wait time.Duration }

// Error says how long.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many wrong passwords: wait for %s", e.Wait.Round(time.Second))
}

// Unwrap gives the error its code.
func (e *ThrottledError) Unwrap() error { return market.Errorf(market.Throttled, "%s", e.Error()) }

type throttle struct {
	now   func() time.Time
	mutex sync.Mutex
	since time.Time // when the window began
	wrong map[throttleKey]int
	homes map[throttleKey]struct{}
}

type throttleKey struct{ account, address string }

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, wrong: map[throttleKey]int{}, homes: map[throttleKey]struct{}{}}
}

// check returns a *ThrottledError where a password is not to be looked at.
func (t *throttle) check(account, address string) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	now := t.now()
	if passed := now.Sub(t.since); passed < 0 || passed >= throttlePeriod {
		clear(t.wrong)
		t.since = now
	}
	_, atHome := t.homes[throttleKey{account, address}]
	if t.wrong[t.place(account, address)] >= wrongOfAccountHere ||
		t.wrong[t.place("", address)] >= wrongOfAddress ||
		!atHome && t.wrong[t.place(account, "")] >= wrongOfAccount {
		return &ThrottledError{Wait: t.since.Add(throttlePeriod).Sub(now)}
	}
	return nil
}

// failed counts a wrong password.
func (t *throttle) failed(account, address string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.wrong[t.place(account, address)]++
	t.wrong[t.place("", address)]++
	t.wrong[t.place(account, "")]++
}

// succeeded forgets the wrong passwords of an account from there, and notes where its
// owner is.
func (t *throttle) succeeded(account, address string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.wrong, throttleKey{account, address})
	if len(t.homes) >= mostHomes {
		clear(t.homes)
	}
	t.homes[throttleKey{account, address}] = struct{}{}
}

// place is where the tries of a key are counted.
func (t *throttle) place(account, address string) throttleKey {
	key := throttleKey{account, address}
	if _, known := t.wrong[key]; !known && len(t.wrong) >= mostCounted {
		return throttleKey{"\x00", "\x00"}
	}
	return key
}
