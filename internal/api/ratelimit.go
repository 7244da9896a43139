package api

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
)

const (
	// RequestsPerMinute is what one caller may ask of the operations unless the service
	// is told otherwise: enough to fetch a symbol's history many times over.
	RequestsPerMinute = 1200
	// MostRequestsPerMinute is the highest limit that there can be.
	MostRequestsPerMinute = 1_000_000
)

// RateLimiter bounds how often each caller asks: a user by name, and those who have not
// logged in by address, of IPv6 by the network of 64 bits, all of which one client has.
// It is safe for concurrent use.
//
// Each caller has a bucket of a minute's requests, which fills up evenly. All that is
// kept of a bucket is when it will be full (the generic cell rate algorithm).
type RateLimiter struct {
	perMinute int
	now       func() time.Time

	mutex sync.Mutex
	full  map[string]time.Time // when each caller's bucket is full again
	swept time.Time            // when the full ones were removed last
}

// NewRateLimiter returns a limiter of perMinute requests of each caller, from 1 to
// MostRequestsPerMinute, which may come at once.
func NewRateLimiter(perMinute int) *RateLimiter {
	return &RateLimiter{perMinute: perMinute, now: time.Now, full: map[string]time.Time{}}
}

// Limit puts the limiter in front of the operations among what next serves; those that
// ask too often get a problem with status 429. Pages and the health check have none, and
// a stream is one request. It goes within Wrap, which knows the callers.
func (l *RateLimiter) Limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isLimited(r.URL.Path) && !l.Take(w, r) {
			writeProblem(w, r, newProblem(r.Context(), http.StatusTooManyRequests,
				fmt.Sprintf("more than %d requests a minute: Retry-After says when to go on", l.perMinute)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLimited reports whether a path is that of an operation other than the health check.
func isLimited(path string) bool {
	if path == "/healthcheck" {
		return false // whoever watches the service must not be told that it is down
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first == "v1" || slices.Contains(olderPaths, "/"+first)
}

// Take counts a request and sets the headers that say what the caller has left. Where
// that is nothing, it also sets Retry-After and returns false: whoever serves the
// request refuses it, with status 429, in a way that its clients understand.
func (l *RateLimiter) Take(w http.ResponseWriter, r *http.Request) bool {
	wait, untilFull := l.take(limitedAs(accounts.CallerOf(r.Context())))
	remaining := l.perMinute - int(math.Ceil(float64(untilFull)/float64(l.perRequest())))
	header := w.Header()
	header.Set("RateLimit-Limit", strconv.Itoa(l.perMinute))
	header.Set("RateLimit-Remaining", strconv.Itoa(max(0, remaining)))
	header.Set("RateLimit-Reset", wholeSeconds(untilFull))
	if wait > 0 {
		header.Set("Retry-After", wholeSeconds(wait))
	}
	return wait <= 0
}

// wholeSeconds rounds up, so that who waits that long does not come too early.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// limitedAs returns whose requests are counted together. No address has the form of a
// user's.
func limitedAs(caller accounts.Caller) string {
	if caller.Known() {
		return "user " + caller.Username
	}
	address, err := netip.ParseAddr(caller.Address)
	if err != nil {
		return "" // all whose address is not known
	}
	if address = address.Unmap().WithZone(""); address.Is6() {
		return netip.PrefixFrom(address, 64).Masked().String()
	}
	return address.String()
}

func (l *RateLimiter) perRequest() time.Duration { return time.Minute / time.Duration(l.perMinute) }

// take counts a request of a caller, unless the bucket is empty: then it returns how
// long until it is not. It also returns how long until the bucket is full.
func (l *RateLimiter) take(caller string) (wait, untilFull time.Duration) {
	now := l.now()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.sweep(now)
	full := l.full[caller]
	if full.Before(now) {
		full = now
	}
	if wait = full.Add(l.perRequest()).Sub(now) - time.Minute; wait > 0 {
		return wait, full.Sub(now)
	}
	full = full.Add(l.perRequest())
	l.full[caller] = full
	return 0, full.Sub(now)
}

// sweep forgets the callers whose buckets are full, once a minute, so that those of many
// addresses do not fill the memory.
func (l *RateLimiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for caller, full := range l.full {
		if !full.After(now) {
			delete(l.full, caller)
		}
	}
}
