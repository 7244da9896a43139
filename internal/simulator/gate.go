package simulator

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// RateLimit is how much weight a client may ask for in each window of time.
// Windows lie on the clock's grid.
type RateLimit struct {
	Weight int           // 6000 by default
	Window time.Duration // whole seconds; a minute by default
}

// onTheWay is how long after the announcement of a pause a request counts as
// sent before it: it is refused, but not held against the client.
const onTheWay = 500 * time.Millisecond

// longestBan is Binance's.
const longestBan = 72 * time.Hour

// gate keeps a client to its limit: it counts weight, pauses a client that is
// over the limit with 429, and bans one that does not heed it with 418.
type gate struct {
	limit RateLimit
	ban   time.Duration // length of the first ban; 0 bans nobody

	mu      sync.Mutex
	window  Window
	status  int       // what is answered until then: 429 or 418
	since   time.Time // when that was announced
	until   time.Time
	bans    int
	traffic Traffic
}

// verdict is what becomes of a request.
type verdict struct {
	used   int // weight of the window so far, the request's included
	status int // 0 lets it in
	until  time.Time
}

// admit counts a request in and says whether it may pass.
func (g *gate) admit(now time.Time, weight int) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.traffic.Requests++
	if start := now.Truncate(g.limit.Window); start.After(g.window.Start) {
		g.window = Window{Start: start}
	}
	g.window.Weight += weight
	if g.window.Weight > g.traffic.FullestWindow.Weight {
		g.traffic.FullestWindow = g.window
	}
	switch {
	case now.Before(g.until):
		if now.Before(g.since.Add(onTheWay)) {
			break
		}
		g.traffic.Violations++
		if g.ban > 0 {
			g.bans++
			length := longestBan
			if doublings := g.bans - 1; doublings < 20 {
				length = min(g.ban<<doublings, longestBan)
			}
			g.status, g.until = http.StatusTeapot, now.Add(length)
		}
	case g.window.Weight > g.limit.Weight:
		g.status, g.since, g.until = http.StatusTooManyRequests, now, g.window.Start.Add(g.limit.Window)
	default:
		return verdict{used: g.window.Weight}
	}
	g.refused()
	return verdict{used: g.window.Weight, status: g.status, until: g.until}
}

// forbid announces that nothing is let in for a while, as of a request that had
// been.
func (g *gate) forbid(now time.Time, status int, length time.Duration) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status, g.since, g.until = status, now, now.Add(length)
	g.refused()
	return verdict{used: g.window.Weight, status: status, until: g.until}
}

func (g *gate) refused() {
	if g.status == http.StatusTooManyRequests {
		g.traffic.TooManyRequests++
	} else {
		g.traffic.Banned++
	}
}

func (g *gate) snapshot() Traffic {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.traffic
}

// setRetryAfter tells how long to wait, in whole seconds, at least one.
func setRetryAfter(header http.Header, now, until time.Time) {
	seconds := max(int64((until.Sub(now)+time.Second-1)/time.Second), 1)
	header.Set("Retry-After", strconv.FormatInt(seconds, 10))
}
