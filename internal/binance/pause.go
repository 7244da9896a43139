package binance

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// PauseStore keeps the pause that a host of the exchange last asked for, so that
// a process that is started anew, and others beside it, keep to it.
type PauseStore interface {
	// Pause returns what SetPause stored for the host, the zero Pause where it
	// never did or the pause is over.
	Pause(ctx context.Context, host string) (history.Pause, error)
	// SetPause stores a pause unless the stored one of the host ends later.
	SetPause(ctx context.Context, host string, pause history.Pause) error
}

// noPauses is the PauseStore of a client or dialer without one.
type noPauses struct{}

func (noPauses) Pause(context.Context, string) (history.Pause, error)  { return history.Pause{}, nil }
func (noPauses) SetPause(context.Context, string, history.Pause) error { return nil }

// statusBanned is Binance's for an address that went on after a 429.
const statusBanned = http.StatusTeapot

// How long to wait where the exchange does not say. Its bans last from 2 minutes
// to 3 days; longer than maxPause is no wait but a mistake.
const (
	limitedPause = time.Minute
	bannedPause  = 10 * time.Minute
	maxPause     = 7 * 24 * time.Hour
)

// demandedPause returns the pause that an answer asks for, the zero one for all
// but 429 and 418.
func demandedPause(response *http.Response, now time.Time) history.Pause {
	var wait time.Duration
	var reason string
	switch response.StatusCode {
	case http.StatusTooManyRequests:
		wait, reason = limitedPause, "it answered 429, too many requests"
	case statusBanned:
		wait, reason = bannedPause, "it answered 418, this address is banned"
	default:
		return history.Pause{}
	}
	if told := retryAfter(response.Header.Get("Retry-After"), now); told > 0 {
		wait = min(told, maxPause)
	}
	return history.Pause{Until: now.Add(wait).UTC(), Reason: reason}
}

// retryAfter returns how long a Retry-After header says to wait, not positive
// where it says nothing of use.
func retryAfter(header string, now time.Time) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 64)
	switch {
	case err == nil && seconds == 0:
		return 0
	case err == nil && seconds < uint64(maxPause/time.Second):
		// They are whole seconds, and may have been rounded down.
		return time.Duration(seconds+1) * time.Second
	case err == nil, errors.Is(err, strconv.ErrRange):
		return maxPause
	}
	if at, err := http.ParseTime(header); err == nil {
		return at.Sub(now)
	}
	return 0
}

func pausedError(pause history.Pause) error { return &history.PausedError{Pause: pause} }
