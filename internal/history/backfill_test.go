package history

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var (
	errAway   = market.Errorf(market.Unavailable, "the exchange is away")
	errBarred = market.Errorf(market.Forbidden, "the exchange serves nobody here")
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// backfill plans and runs, and checks that reports come one at a time and add
// up.
func backfill(
	ctx context.Context, t *testing.T, b *Backfiller, request BackfillRequest,
) (BackfillPlan, BackfillReport, error) {
	t.Helper()
	plan, err := b.Plan(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	var last BackfillProgress
	reports := 0
	report, err := b.Run(ctx, plan, func(progress BackfillProgress) {
		reports++ // the race detector sees calls that overlap
		last = progress
		if !slices.Contains(plan.Pages, progress.Page) || progress.Pages != reports {
			t.Errorf("progress %+v in report %d", progress, reports)
		}
	})
	if report.Pages != reports || report.Pages+report.Unfinished != len(plan.Pages) || last.New > report.New {
		t.Errorf("report %+v after %d reports, the last one %+v, of %d pages", report, reports, last, len(plan.Pages))
	}
	return plan, report, err
}

// A candle off the grid is stored only where the exchange stands by it.
func TestACandleOffTheGridHasToBeSaidTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange := marketOf(100, func(int) bool { return false })
		exchange.truth[70].OpenTime = exchange.truth[70].OpenTime.Add(7 * time.Minute)
		exchange.damage = func(k int, answer []market.Candle) {
			if k == 1 {
				answer[30].OpenTime = answer[30].OpenTime.Add(time.Minute)
			}
		}
		store := newFakeStore(bitcoin.Interval)
		_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
		if err != nil || report.Retries != 1 || len(exchange.asked) != 4 {
			t.Errorf("%d retries, %d requests, %v", report.Retries, len(exchange.asked), err)
		}
		if report.New != 100 || !slices.EqualFunc(store.openTimes(), exchange.truth, func(stored time.Time, c market.Candle) bool {
			return stored.Equal(c.OpenTime)
		}) {
			t.Errorf("stored are %d candles, not the truth", report.New)
		}
	})
}

func TestBackfillFetchesAllThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange := marketOf(9500, func(k int) bool { return k >= 100 && k < 110 })
		exchange.base = exchange.base.Add(time.Minute)
		store := newFakeStore(bitcoin.Interval)
		b := NewBackfiller(exchange, store, quiet())
		plan, report, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Wanted != bitcoinPlaces(0, 9500) || len(plan.Pages) != 10 || plan.Candles != 9500 {
			t.Errorf("plan from %v of %d pages and %d candles", plan.Wanted, len(plan.Pages), plan.Candles)
		}
		want := BackfillReport{Pages: 10, New: 9490, StayedEmpty: 10, StayPending: 10, Duration: 300 * time.Millisecond}
		if report != want {
			t.Errorf("report %+v, want %+v", report, want)
		}
		if len(store.pages) != 10 || exchange.busiest != parallelPages {
			t.Errorf("%d transactions, %d requests at once", len(store.pages), exchange.busiest)
		}
		if !slices.Equal(store.fresh, []market.TimeRange{plan.Wanted}) || len(store.stale) > 0 {
			t.Errorf("refreshed %v, %d stale", store.fresh, len(store.stale))
		}
		asked := len(exchange.asked)
		plan, _, err = backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if err != nil || plan.Candles != 10 || len(exchange.asked) != asked+1 || exchange.listings != 1 {
			t.Errorf("the second time: plan %+v, %d requests, %d for the listing, error %v",
				plan, len(exchange.asked)-asked, exchange.listings, err)
		}
	})
}

func TestPlanTakesWhatIsWanted(t *testing.T) {
	for _, test := range []struct {
		name     string
		interval market.Interval
		wanted   market.TimeRange
		want     market.TimeRange
	}{
		{"all", market.Minute15, market.TimeRange{}, bitcoinPlaces(20, 200)},
		{"from before the listing into the future", market.Minute15,
			market.TimeRange{Start: time.Unix(0, 0).UTC(), End: bitcoinPlace(10_000)}, bitcoinPlaces(20, 200)},
		{"a part", market.Minute15, bitcoinPlaces(40, 50), bitcoinPlaces(40, 50)},
		{"off the grid", market.Minute15,
			market.TimeRange{Start: bitcoinPlace(40).Add(1), End: bitcoinPlace(50).Add(1)}, bitcoinPlaces(41, 51)},
		{"the future", market.Minute15,
			market.TimeRange{Start: bitcoinPlace(1000)}, bitcoinPlaces(1000, 1000)},
		{"the day of the listing", market.Day1, market.TimeRange{}, market.TimeRange{
			Start: time.Date(2017, time.August, 17, 0, 0, 0, 0, time.UTC), End: time.Date(2017, time.August, 19, 0, 0, 0, 0, time.UTC)}},
	} {
		synctest.Test(t, func(t *testing.T) {
			exchange := marketOf(200, nil)
			exchange.listed = bitcoinPlace(20)
			series := market.Series{Symbol: bitcoin.Symbol, Interval: test.interval}
			store := newFakeStore(test.interval)
			b := NewBackfiller(exchange, store, quiet())
			plan, err := b.Plan(t.Context(), BackfillRequest{Series: series, Wanted: test.wanted})
			if err != nil || plan.Wanted != test.want || plan.Candles != places(test.interval, test.want) {
				t.Errorf("%s: plan %+v, want %v, error %v", test.name, plan, test.want, err)
			}
			if store.listed != market.Some(exchange.listed) {
				t.Errorf("%s: stored listing %v", test.name, store.listed)
			}
		})
	}
}

func TestPlanRefusesBadRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBackfiller(marketOf(10, nil), newFakeStore(bitcoin.Interval), quiet())
		_, err := b.Plan(t.Context(), BackfillRequest{Series: bitcoin, Wanted: bitcoinPlaces(5, 5)})
		if market.ErrorCode(err) != market.Invalid {
			t.Errorf("empty range: error %v", err)
		}
		_, err = b.Plan(t.Context(), BackfillRequest{Series: ether})
		if market.ErrorCode(err) != market.NotFound || !strings.Contains(err.Error(), "ETHUSDT") {
			t.Errorf("unknown symbol: error %v", err)
		}
	})
}

func TestBackfillTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange := marketOf(500, nil)
		exchange.fail = func(k int) error {
			if k < 3 {
				return errAway
			}
			return nil
		}
		var log bytes.Buffer
		store := newFakeStore(bitcoin.Interval)
		writes := 0
		store.begin = func() error {
			if writes++; writes == 1 {
				return market.Errorf(market.Unavailable, "the database is away")
			}
			return nil
		}
		b := NewBackfiller(exchange, store, slog.New(slog.NewTextHandler(&log, nil)))
		_, report, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if err != nil || report.Retries != 4 || report.New != 500 {
			t.Errorf("report %+v, error %v", report, err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 4 || !strings.Contains(log.String(), errAway.Error()) {
			t.Errorf("log: %s", log.String())
		}
	})
}

func TestBackfillGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange := marketOf(500, nil)
		exchange.fail = func(int) error { return errAway }
		store := newFakeStore(bitcoin.Interval)
		_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
		if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "tried 8 times") ||
			!strings.Contains(err.Error(), "from 2017-08-17T04:00:00Z") {
			t.Errorf("error %v", err)
		}
		if len(exchange.asked) != maxAttempts || report.Retries != maxAttempts-1 || report.Unfinished != 1 {
			t.Errorf("%d requests, report %+v", len(exchange.asked), report)
		}
		if report.Duration > 35*time.Second {
			t.Errorf("gave up after %s", report.Duration)
		}
	})
}

func TestBackoffGrowsUpToABound(t *testing.T) {
	for attempt, bound := range map[int]time.Duration{
		1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 7: 16 * time.Second, 8: 30 * time.Second, 20: 30 * time.Second,
	} {
		var longest time.Duration
		for range 1000 {
			longest = max(longest, backoff(attempt))
		}
		if longest > bound || longest < bound*9/10 {
			t.Errorf("attempt %d: waits up to %s, want %s", attempt, longest, bound)
		}
	}
}

func TestBackfillStops(t *testing.T) {
	broken := errors.New("the disk is full")
	for _, test := range []struct {
		name string
		sets func(exchange *fakeExchange, store *fakeStore, cancel context.CancelFunc)
		want error
	}{
		{"where the exchange will not answer", func(e *fakeExchange, _ *fakeStore, _ context.CancelFunc) {
			e.fail = func(k int) error {
				if k == 6 {
					return errBarred
				}
				return nil
			}
		}, errBarred},
		{"where storing fails", func(_ *fakeExchange, s *fakeStore, _ context.CancelFunc) {
			s.begin = func() error {
				if len(s.pages) >= 4 {
					return broken
				}
				return nil
			}
		}, broken},
		{"when told to", func(e *fakeExchange, _ *fakeStore, cancel context.CancelFunc) {
			e.fail = func(k int) error {
				if k == 6 {
					cancel()
				}
				return nil
			}
		}, context.Canceled},
		{"when told to while waiting", func(e *fakeExchange, _ *fakeStore, cancel context.CancelFunc) {
			e.fail = func(k int) error {
				if k >= 4 {
					time.AfterFunc(time.Second, cancel)
					return errAway
				}
				return nil
			}
		}, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchange, store := marketOf(20_000, nil), newFakeStore(bitcoin.Interval)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				test.sets(exchange, store, cancel)
				b := NewBackfiller(exchange, store, quiet())
				plan, report, err := backfill(ctx, t, b, BackfillRequest{Series: bitcoin})
				if !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if report.Pages < 4 || report.Unfinished < 20-8 || report.New != int64(len(store.candles)) {
					t.Errorf("report %+v with %d candles stored", report, len(store.candles))
				}
				if report.Duration > 1400*time.Millisecond {
					t.Errorf("stopped after %s", report.Duration)
				}
				if !slices.Equal(store.fresh, []market.TimeRange{plan.Wanted}) || len(store.stale) > 0 {
					t.Errorf("refreshed %v, %d stale", store.fresh, len(store.stale))
				}
				exchange.fail, store.begin = nil, nil
				_, report, err = backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
				if err != nil || len(store.candles) != 20_000 || report.Unchanged > 0 {
					t.Errorf("the next run: %d candles stored, report %+v, error %v", len(store.candles), report, err)
				}
			})
		})
	}
}

func TestBackfillAsksForTheRestOfACutAnswer(t *testing.T) {
	for _, test := range []struct {
		name     string
		most     int
		requests int // for 1000 places of which 100 in the middle and the last 10 are empty
	}{
		{"not cut", PageLimit, 2},
		{"by a limit that divides it", 445, 3},
		{"by another", 400, 4},
		{"one by one", 1, 891},
	} {
		synctest.Test(t, func(t *testing.T) {
			exchange := marketOf(1000, func(k int) bool { return k >= 400 && k < 500 || k >= 990 })
			exchange.most = test.most
			store := newFakeStore(bitcoin.Interval)
			_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), BackfillRequest{Series: bitcoin})
			if err != nil || report.New != 890 || report.Unchanged != 0 || report.StayedEmpty != 110 || report.StayPending != 110 || report.Pages != 1 {
				t.Errorf("%s: report %+v, error %v", test.name, report, err)
			}
			if len(exchange.asked) != test.requests || len(store.pages) != test.requests {
				t.Errorf("%s: %d requests, %d transactions, want %d", test.name, len(exchange.asked), len(store.pages), test.requests)
			}
			want := []EmptyRange{{bitcoinPlaces(400, 500), 1, exchange.base}, {bitcoinPlaces(990, 1000), 1, exchange.base}}
			if !slices.Equal(store.empty, want) {
				t.Errorf("%s: empty %v, want %v", test.name, store.empty, want)
			}
		})
	}
}

func TestBackfillConfirmsEmptyRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange := marketOf(5000, func(k int) bool { return k >= 1000 && k < 3000 })
		store := newFakeStore(bitcoin.Interval)
		b := NewBackfiller(exchange, store, quiet())
		request := BackfillRequest{Series: bitcoin, Wanted: bitcoinPlaces(0, 5000)}
		for _, run := range []struct {
			after   time.Duration
			pages   int
			empties int
			pending int64 // places that stay so
			recheck bool
		}{
			{pages: 5, empties: 2, pending: 2000},
			{after: time.Minute, pages: 2, empties: 2, pending: 2000}, // not an occasion
			{after: occasionsApart, pages: 2, empties: 2, pending: 2000},
			{after: occasionsApart, pages: 2, empties: 2},
			{after: occasionsApart},
			{after: occasionsApart, pages: 2, empties: 2, recheck: true},
		} {
			time.Sleep(run.after)
			request.Recheck = run.recheck
			store.pages = nil
			plan, report, err := backfill(t.Context(), t, b, request)
			empties := 0
			for _, page := range store.pages {
				if len(page.Candles) == 0 {
					empties++
				}
			}
			if err != nil || len(plan.Pages) != run.pages || empties != run.empties || report.StayPending != run.pending {
				t.Errorf("want %+v: %d pages, %d empty answers, report %+v, error %v", run, len(plan.Pages), empties, report, err)
			}
		}
		for _, e := range store.empty {
			if e.Asked != emptyConfirmations+1 {
				t.Errorf("empty %v, want that a recheck counts as well", e)
			}
		}
	})
}

func TestBackfillTellsOfCorrections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(10, nil), newFakeStore(bitcoin.Interval)
		for _, k := range []int{1, 3, 5} {
			c := exchange.truth[k]
			c.Close = 9
			store.candles[c.OpenTime] = c
		}
		var log bytes.Buffer
		b := NewBackfiller(exchange, store, slog.New(slog.NewTextHandler(&log, nil)))
		_, report, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if err != nil || report.New != 7 || report.Corrected != 3 {
			t.Errorf("report %+v, error %v", report, err)
		}
		for _, want := range []string{"BTCUSDT 15m", "candles=3", "2017-08-17 04:15:00", "2017-08-17 05:15:00"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q: %s", want, log.String())
			}
		}
	})
}

// A candle that opens off the grid may still be open when its bucket has closed.
func TestBackfillLeavesOpenCandlesAlone(t *testing.T) {
	for _, onGrid := range []int{9, 10} { // in the second case, one of the same bucket too
		synctest.Test(t, func(t *testing.T) {
			exchange, store := marketOf(onGrid, nil), newFakeStore(bitcoin.Interval)
			late := candleOpening(bitcoinPlace(9).Add(8*time.Minute), bitcoin.Interval, 10)
			exchange.truth = append(exchange.truth, late)
			exchange.base = bitcoinPlace(10).Add(time.Minute)
			b := NewBackfiller(exchange, store, quiet())
			_, report, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
			if err != nil || report.New != 9 || len(store.empty) > 0 || store.pages[0].Asked != bitcoinPlaces(0, 9) {
				t.Errorf("report %+v, empty %v, error %v", report, store.empty, err)
			}
			time.Sleep(7 * time.Minute)
			_, _, err = backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
			if err != nil || len(store.candles) != onGrid+1 || store.candles[late.OpenTime] != late {
				t.Errorf("once it is closed: %d candles stored, error %v", len(store.candles), err)
			}
		})
	}
}

func TestBackfillOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(10, nil), newFakeStore(bitcoin.Interval)
		request := BackfillRequest{Series: bitcoin, Wanted: market.TimeRange{Start: bitcoinPlace(20)}}
		_, report, err := backfill(t.Context(), t, NewBackfiller(exchange, store, quiet()), request)
		if err != nil || report != (BackfillReport{}) || len(exchange.asked) > 0 || len(store.fresh) > 0 {
			t.Errorf("report %+v, %d requests, refreshed %v, error %v", report, len(exchange.asked), store.fresh, err)
		}
	})
}

func TestBackfillRefreshesWhatOthersLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(10, nil), newFakeStore(bitcoin.Interval)
		away := errors.New("the database is away")
		store.refreshing = func(context.Context) error { return away }
		b := NewBackfiller(exchange, store, quiet())
		_, report, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if !errors.Is(err, away) || report.New != 10 || len(store.stale) != 10 {
			t.Errorf("report %+v, %d stale, error %v", report, len(store.stale), err)
		}
		store.refreshing = nil
		plan, _, err := backfill(t.Context(), t, b, BackfillRequest{Series: bitcoin})
		if err != nil || len(plan.Pages) > 0 || len(store.stale) > 0 {
			t.Errorf("the next run: %d pages, %d stale, error %v", len(plan.Pages), len(store.stale), err)
		}
	})
}

func TestRefreshAfterAStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(10, nil), newFakeStore(bitcoin.Interval)
		store.refreshing = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		exchange.fail = func(int) error {
			cancel()
			return nil
		}
		b := NewBackfiller(exchange, store, quiet())
		_, report, err := backfill(ctx, t, b, BackfillRequest{Series: bitcoin})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, context.DeadlineExceeded) || report.Duration > 31*time.Second {
			t.Errorf("report %+v, error %v", report, err)
		}
	})
}
