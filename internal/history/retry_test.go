package history

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// banned makes the exchange refuse whatever it is asked for until an instant.
func (e *fakeExchange) banned(until time.Time) {
	e.fail = func(int) error {
		if time.Now().Before(until) {
			return &PausedError{Pause{Until: until, Reason: "it answered 418"}}
		}
		return nil
	}
}

func TestBackfillWaitsUntilAPauseIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(20_000, nil), newFakeStore(bitcoin.Interval)
		exchange.banned(time.Now().Add(200 * time.Second))
		var log bytes.Buffer
		b := NewBackfiller(exchange, store, slog.New(slog.NewTextHandler(&log, nil)))
		_, report, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if err != nil || report.New != 20_000 || report.Retries != 0 {
			t.Errorf("report %+v, error %v", report, err)
		}
		if report.Duration < 200*time.Second || report.Duration > 202*time.Second {
			t.Errorf("it took %s", report.Duration)
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "418") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

func TestBackfillDoesNotWaitForALongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(20_000, nil), newFakeStore(bitcoin.Interval)
		until := time.Now().Add(longestPause + time.Minute)
		exchange.banned(until)
		_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
		paused, ok := errors.AsType[*PausedError](err)
		if !ok || !paused.Pause.Until.Equal(until) || report.SetAside > 0 || report.Unfinished != 20 {
			t.Errorf("report %+v, error %v", report, err)
		}
		if report.Duration > time.Second || len(exchange.asked) > parallelPages {
			t.Errorf("%d requests in %s", len(exchange.asked), report.Duration)
		}
	})
}

// An exchange that asks for one short pause after another is not asked for ever.
func TestPausesAreWaitedForWithinABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		_, err := Patiently(t.Context(), quiet(), "testing", func() (int, error) {
			tries++
			return 0, &PausedError{Pause{Until: time.Now().Add(time.Minute)}}
		})
		if _, ok := errors.AsType[*PausedError](err); !ok || tries != int(longestPause/time.Minute)+1 {
			t.Errorf("%d tries, error %v", tries, err)
		}
		if took := time.Since(began); took > longestPause {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAPauseThatIsOverIsNoReasonToHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, over := time.Now(), time.Now().Add(-time.Second)
		const wrong = 2 * time.Second // of the other's clock
		tries := 0
		got, err := Patiently(t.Context(), quiet(), "testing", func() (int, error) {
			if tries++; time.Since(began) < wrong {
				return 0, &PausedError{Pause{Until: over}}
			}
			return 7, nil
		})
		if got != 7 || err != nil || tries > int(wrong/firstWait)+1 {
			t.Errorf("%d after %d tries, error %v", got, tries, err)
		}
	})
}

func TestWaitingForAPauseEndsWhenToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		exchange, store := marketOf(2000, nil), newFakeStore(bitcoin.Interval)
		exchange.banned(time.Now().Add(10 * time.Minute))
		time.AfterFunc(time.Minute, cancel)
		_, report, err := backfill(ctx, t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
		if !errors.Is(err, context.Canceled) || report.Duration != time.Minute {
			t.Errorf("after %s: %v", report.Duration, err)
		}
	})
}

func TestPatiently(t *testing.T) {
	for _, test := range []struct {
		name  string
		fails int // times
		with  error
		tries int
		code  market.Code
	}{
		{"at once", 0, nil, 1, ""},
		{"what passes", 3, errAway, 4, ""},
		{"what does not", 3, errBarred, 1, market.Forbidden},
		{"what takes too long", 100, errAway, maxAttempts, market.Unavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			_, err := Patiently(t.Context(), quiet(), "testing", func() (int, error) {
				if tries++; tries <= test.fails {
					return 0, test.with
				}
				return 0, nil
			})
			if tries != test.tries || market.ErrorCode(err) != test.code {
				t.Errorf("%s: %d tries, error %v", test.name, tries, err)
			}
		})
	}
}

// Tirelessly outlasts what Patiently does not, and nothing else.
func TestTirelessly(t *testing.T) {
	longPause := func(began time.Time) error {
		return &PausedError{Pause{Until: began.Add(3 * longestPause), Reason: "it answered 418"}}
	}
	for _, test := range []struct {
		name   string
		during time.Duration
		with   func(began time.Time) error
		code   market.Code
	}{
		{"an exchange that is away for a day", 24 * time.Hour, func(time.Time) error { return errAway }, ""},
		{"a long pause", 3 * longestPause, longPause, ""},
		{"what will not pass", time.Hour, func(time.Time) error { return errBarred }, market.Forbidden},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := Tirelessly(t.Context(), quiet(), "testing", func() (int, error) {
				if time.Since(began) < test.during {
					return 0, test.with(began)
				}
				return 0, nil
			})
			took := time.Since(began)
			if market.ErrorCode(err) != test.code || err == nil && (took < test.during || took > test.during+longestWait) {
				t.Errorf("%s: after %s, error %v", test.name, took, err)
			}
		})
	}
}

func TestTirelesslyEndsWhenToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		_, err := Tirelessly(ctx, quiet(), "testing", func() (int, error) { return 0, errAway })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// oddAt makes the exchange never answer usably for some ranges.
func oddAt(e *fakeExchange, odd func(market.TimeRange) bool) {
	e.fail = func(k int) error {
		e.mu.Lock()
		asked := e.asked[k]
		e.mu.Unlock()
		if odd(asked) {
			return market.Errorf(market.Unavailable, "the answer is malformed: high is below low")
		}
		return nil
	}
}

func TestAPageWithoutAUsableAnswerIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(20_000, nil), newFakeStore(bitcoin.Interval)
		oddAt(exchange, func(asked market.TimeRange) bool {
			return asked.Contains(bitcoinPlace(2500)) || asked.Contains(bitcoinPlace(9999))
		})
		var log bytes.Buffer
		b := NewBackfiller(exchange, store, slog.New(slog.NewTextHandler(&log, nil)))
		plan, report, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "2 of 20 pages are set aside") ||
			!strings.Contains(err.Error(), "high is below low") {
			t.Errorf("error %v", err)
		}
		if report.SetAside != 2 || report.Unfinished != 2 || report.Pages != 18 || report.New != 18_000 {
			t.Errorf("report %+v", report)
		}
		if strings.Count(log.String(), "a page is set aside") != 2 || len(store.stale) > 0 || !store.fresh[0].Contains(plan.Wanted.Start) {
			t.Errorf("%d stale, log:\n%s", len(store.stale), log.String())
		}
		exchange.fail = nil
		_, report, err = backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if err != nil || report.New != 2000 || report.Pages != 2 {
			t.Errorf("once it answers: report %+v, error %v", report, err)
		}
	})
}

func TestAnExchangeThatIsAwayStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(20_000, nil), newFakeStore(bitcoin.Interval)
		oddAt(exchange, func(asked market.TimeRange) bool { return !asked.Start.Before(bitcoinPlace(6000)) })
		_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
		if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "3 pages in a row") {
			t.Errorf("error %v", err)
		}
		if report.New != 6000 || report.SetAside < mostSetAside || report.SetAside > parallelPages || report.Duration > 70*time.Second {
			t.Errorf("report %+v", report)
		}
	})
}

// A database that is away is not the fault of a page.
func TestADatabaseThatIsAwaySetsNothingAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(2000, nil), newFakeStore(bitcoin.Interval)
		away := market.Errorf(market.Unavailable, "the database does not answer")
		store.begin = func() error { return away }
		_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
		if !errors.Is(err, away) || report.SetAside > 0 {
			t.Errorf("report %+v, error %v", report, err)
		}
	})
}

// Whatever is asked of the database is asked again where its failure passes.
func TestAHiccupOfTheDatabaseIsOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(1500, func(k int) bool { return k == 9 }), newFakeStore(bitcoin.Interval)
		hiccups := map[string]int{}
		everyOther := func(what string) error {
			if hiccups[what]++; hiccups[what]%2 == 1 {
				return market.Errorf(market.Unavailable, "the database does not answer")
			}
			return nil
		}
		store.begin = func() error { return everyOther("writing") }
		store.looking = func() error { return everyOther("looking") }
		store.refreshing = func(context.Context) error { return everyOther("refreshing") }
		_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
		if err != nil || report.New != 1499 || report.StayPending != 1 || len(store.stale) > 0 {
			t.Errorf("report %+v, error %v", report, err)
		}
		differences, _, err := reconcile(t.Context(), exchange, store, ReconcileRequest{Series: bitcoin, Mend: true})
		if err != nil || len(differences) > 0 {
			t.Errorf("reconciling: %v, error %v", differences, err)
		}
		for _, what := range []string{"writing", "looking", "refreshing"} {
			if hiccups[what] < 2 {
				t.Errorf("%s was tried %d times", what, hiccups[what])
			}
		}
	})
}
