package accounts

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Wrong passwords are counted in windows of a few minutes: of an account from one
// address, of an address, and of an account from everywhere. The last keeps many
// addresses from guessing together; so that they cannot lock its owner out, it does
// not hold for an address from which the account was entered before. Whoever has a
// session or a token is not asked for a password at all. Each process counts for
// itself: a few of them let as many times more be tried, which does not help anybody
// who guesses.
const (
	throttlePeriod     = 5 * time.Minute
	wrongOfAccountHere = 5
	wrongOfAddress     = 25
	wrongOfAccount     = 50
	// mostCounted bounds the memory of what is counted, some 200 bytes each; what
	// comes beyond shares one count. A wrong password costs a hash and makes three
	// counts at most, so that two cores do not come so far in a window.
	mostCounted = 100_000
	// mostHomes bounds the memory of where accounts were entered from.
	mostHomes = 5_000
)

// ThrottledError says how long to wait before the next password is looked at.
type ThrottledError struct{ Wait time.Duration }

// Error says how long.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many wrong passwords: wait for %s", e.Wait)
}

// Unwrap gives the error its code.
func (e *ThrottledError) Unwrap() error { return market.Errorf(market.Throttled, "%s", e.Error()) }

type throttle struct {
	now     func() time.Time
	mutex   sync.Mutex
	since   time.Time // when the window began
	counts  map[throttleKey]*tries
	homes   map[throttleKey]struct{}
	waiting int
	ended   chan struct{} // closed and replaced when a try ends
}

// throttleKey has the network that an address is of, not the address. One of the two
// may be empty.
type throttleKey struct{ account, network string }

// tries are counted while they run, or as many as come at the same moment would all be
// looked at.
type tries struct{ wrong, running int }

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, counts: map[throttleKey]*tries{}, homes: map[throttleKey]struct{}{}, ended: make(chan struct{})}
}

// try is a password that is looked at.
type try struct {
	throttle *throttle
	home     throttleKey
	counts   [3]*tries
}

// enter begins to look at a password, which settle ends. It returns a *ThrottledError
// where that is not to be done. Where it depends on passwords that are being looked at
// it waits for them.
func (t *throttle) enter(ctx context.Context, account, address string) (*try, error) {
	home := throttleKey{account, networkOf(address)}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for {
		now := t.now()
		if passed := now.Sub(t.since); passed < 0 || passed >= throttlePeriod {
			clear(t.counts)
			t.since = now
		}
		_, atHome := t.homes[home]
		keys := [...]throttleKey{home, {"", home.network}, {account, ""}}
		full, spent := false, false
		for i, limit := range [...]int{wrongOfAccountHere, wrongOfAddress, wrongOfAccount} {
			if i == 2 && atHome {
				continue
			}
			counted := t.counts[t.place(keys[i], atHome)]
			if counted == nil {
				continue
			}
			spent = spent || counted.wrong >= limit
			full = full || counted.wrong+counted.running >= limit
		}
		switch {
		case spent:
			// In whole seconds, not less than it takes.
			return nil, &ThrottledError{Wait: (t.since.Add(throttlePeriod).Sub(now) + time.Second - 1).Truncate(time.Second)}
		case !full:
			here := &try{throttle: t, home: home}
			for i, key := range keys {
				here.counts[i] = t.count(t.place(key, atHome))
				here.counts[i].running++
			}
			return here, nil
		case t.waiting >= mostWaiting:
			return nil, errBusy
		}
		if err := t.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// wait waits until a try ends, with the mutex unlocked meanwhile.
func (t *throttle) wait(ctx context.Context) error {
	ended := t.ended
	t.waiting++
	t.mutex.Unlock()
	defer func() {
		t.mutex.Lock()
		t.waiting--
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// verdict is what was found of a password.
type verdict int

const (
	undecided verdict = iota // it could not be looked at
	wrong
	right
)

// settle ends a try. A right password is where its owner is at home, and makes up for
// the wrong ones from there.
func (y *try) settle(v verdict) {
	t := y.throttle
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, c := range y.counts {
		c.running--
		if v == wrong {
			c.wrong++
		}
	}
	if v == right {
		y.counts[0].wrong = 0
		if len(t.homes) >= mostHomes {
			clear(t.homes)
		}
		t.homes[y.home] = struct{}{}
	}
	close(t.ended)
	t.ended = make(chan struct{})
}

// place returns the key under which the tries of one are counted. Those of an owner at
// home are never counted with others'.
func (t *throttle) place(key throttleKey, atHome bool) throttleKey {
	if _, known := t.counts[key]; !known && !atHome && len(t.counts) >= mostCounted {
		return throttleKey{"\x00", "\x00"}
	}
	return key
}

// count returns the tries of a key, for a password that is going to be looked at: a
// request that is turned away must not take memory, for it costs who sends it nothing.
func (t *throttle) count(key throttleKey) *tries {
	if t.counts[key] == nil {
		t.counts[key] = new(tries)
	}
	return t.counts[key]
}

// networkOf returns the part of an address that one customer of a provider cannot
// choose: of IPv6 the first 64 bits (RFC 6177), of IPv4 all. Whatever is no address
// is one network, which is never empty.
func networkOf(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return "no address"
	}
	parsed = parsed.Unmap()
	bits := parsed.BitLen()
	if parsed.Is6() {
		bits = 64
	}
	network, _ := parsed.Prefix(bits) // fails only beyond its length
	return network.String()
}
