package binance

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// patience is how long a request waits for the end of a pause.
const patience = 2 * time.Minute

// pauseKnownFor is how long the stored pause is taken to be as it was read.
const pauseKnownFor = 10 * time.Second

// governor is the http.RoundTripper through which every request goes. It
// reserves a request's weight before it sends it, and delays it until two things
// hold:
//
//   - What this process sent within any time as long as one of the exchange's
//     windows is within share of the limit, wherever the windows begin. A request
//     counts from when it is sent until a window after its answer, so this needs
//     no clock but ours.
//   - What the exchange said was used in its present window, by whomever, and
//     what was sent since, is within that share too.
//
// Until the limit is told, that of assumedLimit is kept to.
//
// While nothing is known of what others use, after the start and after a pause,
// one request at a time is sent. During a pause none is.
type governor struct {
	next   http.RoundTripper
	host   string // whose pauses are kept to
	pauses PauseStore
	clock  func() (exchange time.Time, known bool)
	log    *slog.Logger

	turn      turnstile     // held by the request that is first in line
	answered  chan struct{} // holds a token when an answer came since the first in line looked
	pauseRead time.Time     // when the stored pause was; guarded by turn
	saving    sync.Mutex    // held while a pause is stored, so that the longest one is last

	mu       sync.Mutex
	limit    weightLimit
	told     bool     // whether the exchange did tell the limit, or refuse to
	inFlight int      // weight of the requests without an answer
	charges  []charge // of the answered requests that still count, by answer
	charged  int      // their weight
	reading  reading
	metered  bool // whether there was a reading since the start, or the last pause
	pause    history.Pause
}

// charge is what an answered request weighs.
type charge struct {
	weight   int
	answered time.Time
}

// reading is what an answer said of the weight used in the exchange's window.
type reading struct {
	used int
	// since is the weight of our requests that used may not hold: sent after the
	// request that brought the reading, or on their way together with it.
	since int
	ends  time.Time // when the window has ended for certain, by our clock
}

func newGovernor(
	next http.RoundTripper, host string, pauses PauseStore, clock func() (time.Time, bool), log *slog.Logger,
) *governor {
	if pauses == nil {
		pauses = noPauses{}
	}
	return &governor{
		next: next, host: host, pauses: pauses, clock: clock, log: log,
		turn: newTurnstile(), answered: make(chan struct{}, 1),
		limit: usualLimit,
	}
}

// setLimit replaces the limit that was assumed by the one that the exchange told.
func (g *governor) setLimit(limit weightLimit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit.header != g.limit.header {
		g.metered, g.reading = false, reading{} // it was of other windows
	}
	g.limit, g.told = limit, true
}

// knowsUse reports whether an answer told what is used, since the start or the
// last pause.
func (g *governor) knowsUse() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.metered
}

func (g *governor) perMinute() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(float64(g.limit.allowed()) * float64(time.Minute) / float64(g.limit.window))
}

// RoundTrip sends the request when it may be sent. It returns an Unavailable
// error where the exchange asks us to wait, or did so before and the wait is
// longer than patience.
func (g *governor) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	weight, err := weightOf(request.URL)
	if err != nil {
		return nil, err
	}
	if err := g.reserve(ctx, weight); err != nil {
		return nil, err
	}
	sent := time.Now()
	response, err := g.next.RoundTrip(request)
	pause := g.settle(weight, sent, response)
	if err != nil {
		return nil, unreachable(ctx, request.URL.Host, err)
	}
	if pause.Until.IsZero() {
		return response, nil
	}
	response.Body.Close()
	g.log.Warn("the exchange asks us to wait", slog.Time("until", pause.Until), slog.String("reason", pause.Reason))
	g.keepPause(ctx)
	return nil, pausedError(pause)
}

// reserve waits until a request of that weight may be sent and counts it as sent.
func (g *governor) reserve(ctx context.Context, weight int) error {
	if err := g.turn.enter(ctx); err != nil {
		return err
	}
	defer g.turn.leave()
	for {
		if err := g.readPause(ctx); err != nil {
			return err
		}
		wait, err := g.admit(weight)
		if wait <= 0 || err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-g.answered:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// admit counts a request of that weight as sent, or returns how long to wait
// before asking again; an answer may make it worth asking sooner.
func (g *governor) admit(weight int) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if left := g.pause.Until.Sub(now); left > patience {
		return 0, pausedError(g.pause)
	} else if left > 0 {
		return left, nil
	}
	if wait := g.wait(weight, now); wait > 0 {
		return wait, nil
	}
	g.inFlight += weight
	g.reading.since += weight
	return 0, nil
}

func (g *governor) wait(weight int, now time.Time) time.Duration {
	untilAnswered := g.limit.window // any time that is not short does
	if !g.metered && g.inFlight > 0 {
		return untilAnswered
	}
	for len(g.charges) > 0 && now.Sub(g.charges[0].answered) >= g.limit.window {
		g.charged -= g.charges[0].weight
		g.charges = g.charges[1:]
	}
	allowed := g.limit.allowed()
	if excess := g.charged + g.inFlight + weight - allowed; excess > 0 {
		for _, charge := range g.charges {
			if excess -= charge.weight; excess <= 0 {
				return charge.answered.Add(g.limit.window).Sub(now)
			}
		}
		return untilAnswered
	}
	if g.reading.used+g.reading.since+weight > allowed {
		return g.reading.ends.Sub(now) // not positive where the window has ended
	}
	return 0
}

// settle counts a request as answered, or as failed where the answer is nil, and
// returns the pause that is in force where the answer asks for one.
func (g *governor) settle(weight int, sent time.Time, response *http.Response) history.Pause {
	exchange, known := g.clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var pause history.Pause
	if response != nil {
		if !g.told {
			if assumed, found := assumedLimit(response.Header); found {
				g.limit = assumed
			}
		}
		if used, err := strconv.ParseUint(headerValue(response.Header, g.limit.header), 10, 31); err == nil {
			g.metered = !now.Before(g.pause.Until)
			g.reading = reading{used: int(used), since: g.inFlight - weight, ends: now.Add(g.limit.window)}
			for k := len(g.charges) - 1; k >= 0 && g.charges[k].answered.After(sent); k-- {
				g.reading.since += g.charges[k].weight
			}
			if date, dated := dateOf(response.Header); !known && dated {
				exchange, known = date, true // as of when the answer was made, or earlier
			}
			if known {
				end := exchange.Truncate(g.limit.window).Add(g.limit.window)
				g.reading.ends = now.Add(end.Sub(exchange))
			}
		}
		if pause = demandedPause(response, now); !pause.Until.IsZero() {
			if g.pause.Until.After(pause.Until) {
				pause = g.pause
			}
			g.pause, g.metered = pause, false
		}
	}
	g.inFlight -= weight
	g.charges = append(g.charges, charge{weight, now})
	g.charged += weight
	select {
	case g.answered <- struct{}{}:
	default:
	}
	return pause
}

// dateOf returns when an answer was made by the exchange's clock, in whole
// seconds rounded down, and whether its header tells that.
func dateOf(header http.Header) (time.Time, bool) {
	date, err := http.ParseTime(headerValue(header, "Date"))
	return date, err == nil
}

// headerValue spares the search for the canonical form of a key that is in it.
func headerValue(header http.Header, canonical string) string {
	if values := header[canonical]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// readPause takes over the stored pause where it ends later than the one that is
// known. The caller holds turn.
func (g *governor) readPause(ctx context.Context) error {
	if !g.pauseRead.IsZero() && time.Since(g.pauseRead) < pauseKnownFor {
		return nil
	}
	stored, err := g.pauses.Pause(ctx, g.host)
	if err != nil {
		return fmt.Errorf("reading whether the exchange asked us to wait: %w", err)
	}
	g.pauseRead = time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if stored.Until.After(g.pause.Until) {
		g.pause, g.metered = stored, false
	}
	return nil
}

// keepPause stores the pause, even for a caller that has gone. Where it cannot,
// this process keeps to the pause all the same.
func (g *governor) keepPause(ctx context.Context) {
	const timeout = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	g.saving.Lock()
	defer g.saving.Unlock()
	g.mu.Lock()
	pause := g.pause
	g.mu.Unlock()
	if err := g.pauses.SetPause(ctx, g.host, pause); err != nil {
		g.log.Error("the exchange's pause could not be stored: a process started anew would not keep to it",
			slog.Time("until", pause.Until), slog.Any("error", err))
	}
}
