package binance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// pauseStore keeps a pause as a database would.
type pauseStore struct {
	mu    sync.Mutex
	pause history.Pause
	reads int
	err   error
	hosts []string // that were asked for or set
	ctx   error    // of the last SetPause
}

func (s *pauseStore) Pause(_ context.Context, host string) (history.Pause, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	s.hosts = append(s.hosts, host)
	return s.pause, s.err
}

func (s *pauseStore) SetPause(ctx context.Context, host string, pause history.Pause) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = ctx.Err()
	s.hosts = append(s.hosts, host)
	if pause.Until.After(s.pause.Until) {
		s.pause = history.Pause{Until: pause.Until.Round(0), Reason: pause.Reason}
	}
	return s.err
}

func TestAPauseStopsEverybody(t *testing.T) {
	for _, test := range []struct {
		status     int
		retryAfter string
		pause      time.Duration
	}{
		{429, "30", 31 * time.Second},
		{429, "", time.Minute},
		{429, "0", time.Minute},
		{429, "-5", time.Minute},
		{429, "soon", time.Minute},
		{429, "90", 91 * time.Second},
		{429, "Mon, 03 Jan 2000 00:00:00 GMT", 48 * time.Hour},
		{418, "", 10 * time.Minute},
		{418, "259200", 3*24*time.Hour + time.Second},
		{418, "31536000", maxPause},
		{418, "99999999999999999999999", maxPause},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.retryAfter), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMeter(t, tenSeconds)
				m.latency = func() (time.Duration, time.Duration) { return 0, 0 }
				m.refuse = func() (int, string) { return test.status, test.retryAfter }
				store := &pauseStore{}
				g := m.governor(store)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				started := time.Now()
				err := ask(ctx, g, "klines")
				until := started.Add(test.pause)
				checkPaused(t, err, until)
				if !store.pause.Until.Equal(until) || !strings.Contains(store.pause.Reason, strconv.Itoa(test.status)) {
					t.Errorf("stored %+v, want it until %s", store.pause, until)
				}
				m.refuse = func() (int, string) { return 0, "" }
				// This process, and another one that begins now.
				for _, g := range []*governor{g, m.governor(store)} {
					err := ask(ctx, g, "ping")
					if test.pause <= patience {
						if err != nil || time.Now().Before(until) {
							t.Errorf("in a pause of %s: %v after %s", test.pause, err, time.Since(started))
						}
						continue
					}
					checkPaused(t, err, until)
					if now := time.Now(); now.After(started) {
						t.Errorf("waited %s in a pause of %s", now.Sub(started), test.pause)
					}
				}
				time.Sleep(time.Until(until))
				if err := ask(ctx, g, "ping"); err != nil {
					t.Errorf("after the pause: %v", err)
				}
			})
		})
	}
}

func checkPaused(t *testing.T, err error, until time.Time) {
	t.Helper()
	if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "asked us to wait until "+until.UTC().Format(time.RFC3339)) {
		t.Errorf("error %v, want a pause until %s", err, until)
	}
	if paused, ok := errors.AsType[*history.PausedError](err); !ok || !paused.Pause.Until.Equal(until) {
		t.Errorf("error %#v does not bear the end of the pause, %s", err, until)
	}
}

func TestWhoWaitsWhenAPauseBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		m.refuse = func() (int, string) { return 429, "60" }
		g := m.governor(nil)
		var callers sync.WaitGroup
		callers.Go(func() { checkPaused(t, ask(t.Context(), g, "klines"), time.Now().Add(61*time.Second)) })
		synctest.Wait()
		callers.Go(func() {
			if err := ask(t.Context(), g, "klines"); err != nil {
				t.Errorf("the one that waited: %v", err)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		callers.Go(func() {
			if err := ask(ctx, g, "klines"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one that went: %v", err)
			}
		})
		time.Sleep(time.Second)
		m.mu.Lock()
		m.refuse = func() (int, string) { return 0, "" }
		m.mu.Unlock()
		callers.Wait()
		if len(m.sent) != 2 {
			t.Errorf("%d requests were sent", len(m.sent))
		}
	})
}

// Answers that were on their way when a pause began do not tell what is used
// after it.
func TestALateAnswerTellsNothingOfTheTimeAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		g := m.governor(nil)
		if err := ask(t.Context(), g, "ping"); err != nil {
			t.Fatal(err)
		}
		status, back := 0, 5*time.Second
		m.refuse = func() (int, string) { return status, "20" }
		m.latency = func() (time.Duration, time.Duration) { return 0, back }
		var callers sync.WaitGroup
		callers.Go(func() { _ = ask(t.Context(), g, "klines") }) // answered late
		synctest.Wait()
		status, back = http.StatusTooManyRequests, time.Second
		checkPaused(t, ask(t.Context(), g, "klines"), time.Now().Add(21*time.Second))
		callers.Wait()
		status = 0
		for range 3 {
			callers.Go(func() { _ = ask(t.Context(), g, "klines") })
		}
		time.Sleep(17*time.Second + time.Millisecond)
		if flying := m.inFlight(); flying != 1 {
			t.Errorf("%d requests are in flight after the pause", flying)
		}
		callers.Wait()
	})
}

func TestAPauseIsStoredForACallerWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		ctx, cancel := context.WithCancel(t.Context())
		m.refuse = func() (int, string) {
			cancel()
			return 418, "600"
		}
		store := &pauseStore{}
		g := m.governor(store)
		_ = ask(ctx, g, "klines")
		if store.pause.Until.IsZero() || store.ctx != nil {
			t.Errorf("stored %+v with a context that is %v", store.pause, store.ctx)
		}
		for _, host := range store.hosts {
			if host != "exchange" {
				t.Errorf("of %q", host)
			}
		}
	})
}

func TestAnotherProcessMayBegetAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		store := &pauseStore{}
		g := m.governor(store)
		for range 5 {
			if err := ask(t.Context(), g, "ping"); err != nil {
				t.Fatal(err)
			}
		}
		if store.reads != 1 {
			t.Errorf("the store was read %d times within %s", store.reads, pauseKnownFor)
		}
		until := time.Now().Add(time.Hour)
		store.pause.Until = until
		time.Sleep(pauseKnownFor)
		checkPaused(t, ask(t.Context(), g, "ping"), until)
	})
}

func TestNothingIsSentWhileThePauseIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		store := &pauseStore{err: errors.New("no database")}
		g := m.governor(store)
		if err := ask(t.Context(), g, "ping"); !errors.Is(err, store.err) || len(m.sent) != 0 {
			t.Errorf("error %v, %d requests sent", err, len(m.sent))
		}
		store.err = nil
		if err := ask(t.Context(), g, "ping"); err != nil {
			t.Error(err)
		}
	})
}
