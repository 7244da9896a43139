package history

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// world is a market, what is stored of it, and what goes wrong: drawn whole
// before time begins, as a bubble has goroutines of its own.
type world struct {
	interval market.Interval
	listed   time.Time
	truth    []market.Candle
	most     int // candles in an answer
	now      time.Time
	wanted   market.TimeRange
	stored   []market.Candle
	empty    []EmptyRange // what is known of before
	runs     []mishaps    // before the first undisturbed run
}

// mishaps say what becomes of the requests and transactions of a run, from the
// first on; all others fare well.
type mishaps struct{ requests, transactions []mishap }

type mishap int

const (
	none mishap = iota
	passes
	remains
	killed
	killedLater // once a transaction has ended
)

func drawWorld(t *rapid.T) world {
	w := world{
		interval: rapid.SampledFrom(market.Intervals()).Draw(t, "interval"),
		most:     rapid.SampledFrom([]int{PageLimit, PageLimit, 500, 499, 7}).Draw(t, "candles in an answer"),
	}
	const count = 2800 // so many months a time.Duration can hold
	first := w.interval.Floor(FirstListing)
	place := func(k int) time.Time { return placeAfter(w.interval, first, k) }
	length := w.interval.Length() * 9 / 10 // of any candle at least
	within := func(k int, label string) time.Time {
		return place(k).Add(rapid.SampledFrom([]time.Duration{0, length / 3, length}).Draw(t, label))
	}

	const hole, offGrid, kinds = 1, 2, 5 // the others are on the grid
	truth := drawRuns(t, "truth", count, kinds)
	n := len(truth)
	listed := rapid.IntRange(0, n).Draw(t, "listed")
	w.listed = later(within(listed, "listed within it"), FirstListing)
	now := n - rapid.IntRange(0, n-listed).Draw(t, "places in the future")
	w.now = later(within(now, "share of the open candle"), w.listed)
	for k := listed; k < n; k++ {
		open := place(k)
		switch truth[k] {
		case hole:
			continue
		case offGrid:
			open = open.Add(length / 2)
		}
		w.truth = append(w.truth, candleOpening(open, w.interval, float64(k+1)))
	}
	if rapid.Bool().Draw(t, "wants from") {
		w.wanted.Start = within(rapid.IntRange(0, n).Draw(t, "from"), "from within it")
	}
	if rapid.Bool().Draw(t, "wants to") {
		w.wanted.End = within(n-rapid.IntRange(0, n).Draw(t, "unwanted"), "to within it")
		if w.wanted.Empty() {
			w.wanted.End = w.wanted.Start.Add(1)
		}
	}

	stored := drawRuns(t, "stored", n, 2)
	for _, c := range w.truth {
		if k := places(w.interval, market.TimeRange{Start: first, End: w.interval.Floor(c.OpenTime)}); k < int64(len(stored)) &&
			stored[k] == 1 && w.closed(c, w.now) {
			w.stored = append(w.stored, c)
		}
	}
	for k, asked := range drawRuns(t, "asked in vain", now, emptyConfirmations+2) {
		switch n := len(w.empty); {
		case asked == 0:
		case n > 0 && w.empty[n-1].Asked == asked && w.empty[n-1].End.Equal(place(k)):
			w.empty[n-1].End = place(k + 1)
		default:
			w.empty = append(w.empty, EmptyRange{
				market.TimeRange{Start: place(k), End: place(k + 1)}, asked,
				w.now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes ago")) * time.Minute),
			})
		}
	}
	return w
}

func drawMishaps(t *rapid.T) mishaps {
	draw := rapid.SliceOfN(rapid.SampledFrom([]mishap{none, passes, none, killed, none, killedLater, none, remains}), 0, 12)
	return mishaps{requests: draw.Draw(t, "of requests"), transactions: draw.Draw(t, "of transactions")}
}

func (w world) closed(c market.Candle, now time.Time) bool {
	return !w.interval.Next(c.OpenTime).After(now)
}

// life is a world in a bubble.
type life struct {
	world
	exchange   *fakeExchange
	store      *fakeStore
	backfiller *Backfiller
}

func (w world) begin() life {
	series := market.Series{Symbol: bitcoin.Symbol, Interval: w.interval}
	exchange := &fakeExchange{
		series: series, truth: w.truth, listed: w.listed, most: w.most, base: w.now, opened: time.Now(),
	}
	store := newFakeStore(w.interval)
	for _, c := range w.stored {
		store.candles[c.OpenTime] = c
	}
	store.empty = append(store.empty, w.empty...)
	return life{w, exchange, store, NewBackfiller(exchange, store, quiet())}
}

// run plans, lets go wrong what is to, and runs.
func (l life) run(ctx context.Context, recheck bool, wrong mishaps) (BackfillPlan, BackfillReport, error) {
	plan, err := l.backfiller.Plan(ctx, BackfillRequest{Series: l.exchange.series, Wanted: l.wanted, Recheck: recheck})
	if err != nil {
		return plan, BackfillReport{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	strike := func(what mishap, after bool) error {
		switch {
		case (what == killedLater) != after:
			return nil
		case what == passes:
			return errAway
		case what == remains:
			return errBarred
		case what == killed, what == killedLater:
			cancel()
			return context.Canceled
		}
		return nil
	}
	l.exchange.asked = nil
	l.exchange.fail = func(k int) error {
		if k < len(wrong.requests) {
			return strike(wrong.requests[k], false)
		}
		return nil
	}
	transaction := -1
	l.store.begin = func() error {
		if transaction++; transaction < len(wrong.transactions) {
			return strike(wrong.transactions[transaction], false)
		}
		return nil
	}
	l.store.committed = func() error {
		if transaction < len(wrong.transactions) {
			return strike(wrong.transactions[transaction], true)
		}
		return nil
	}
	report, err := l.backfiller.Run(ctx, plan, func(BackfillProgress) {})
	return plan, report, err
}

// checkTrue returns an error if anything is stored that is not so, or that was
// not closed.
func (l life) checkTrue() error {
	closed := map[time.Time]market.Candle{}
	now := l.exchange.time()
	for _, c := range l.truth {
		if l.closed(c, now) {
			closed[c.OpenTime] = c
		}
	}
	for open, c := range l.store.candles {
		if closed[open] != c {
			return fmt.Errorf("stored %+v, want %+v", c, closed[open])
		}
	}
	if len(l.store.stale) > 0 {
		return fmt.Errorf("%d buckets are stale", len(l.store.stale))
	}
	return nil
}

// checkComplete returns an error if a closed candle that opens in window is not
// stored, other than in the ranges that are excused.
func (l life) checkComplete(window market.TimeRange, asOf time.Time, excused []EmptyRange) error {
	for _, c := range l.truth {
		place := l.interval.Floor(c.OpenTime)
		if !window.Contains(place) || !l.closed(c, asOf) {
			continue
		}
		skip := false
		for _, e := range excused {
			skip = skip || e.Contains(place) && e.Confirmed()
		}
		if _, ok := l.store.candles[c.OpenTime]; !ok && !skip {
			return fmt.Errorf("the candle of %s is not stored", c.OpenTime)
		}
	}
	return nil
}

// checkPending returns an error if a place of window is pending at which, as far
// as is known then, a closed candle opens; or any, if none may be left.
func (l life) checkPending(window market.TimeRange, asOf time.Time, noneLeft bool) error {
	opens := map[time.Time]market.Candle{}
	for _, c := range l.truth {
		opens[l.interval.Floor(c.OpenTime)] = c
	}
	gaps, err := l.store.Gaps(context.Background(), l.exchange.series, window)
	if err != nil {
		return err
	}
	for _, gap := range gaps {
		for place := gap.Start; place.Before(gap.End) && gap.Cause == Pending; place = l.interval.Next(place) {
			if c, ok := opens[place]; ok && l.closed(c, asOf) {
				return fmt.Errorf("%s is pending, where the exchange has a candle", place)
			} else if !ok && noneLeft {
				return fmt.Errorf("%s is pending, having been empty %d times", place, gap.Asked)
			}
		}
	}
	return nil
}

// requestsFor is how many requests an undisturbed run may take: as many answers
// as the candles in its pages take, one more a page to learn that there are no
// others, and one more for each answer with a candle off the grid.
func (l life) requestsFor(plan BackfillPlan) int {
	requests := 0
	for _, page := range plan.Pages {
		candles, offGrid := 0, 0
		for _, c := range l.truth {
			if page.Contains(c.OpenTime) {
				candles++
				if !l.interval.Floor(c.OpenTime).Equal(c.OpenTime) {
					offGrid++
				}
			}
		}
		answers := (candles + l.most - 1) / l.most
		requests += answers + 1 + min(answers, offGrid)
	}
	return requests
}

// inBubble has what f returns fail the rapid test, so that it is shrunk.
func inBubble(outer *testing.T, t *rapid.T, f func(ctx context.Context) error) {
	var err error
	synctest.Test(outer, func(inner *testing.T) { err = f(inner.Context()) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackfillCompletesAnyMarket(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := drawWorld(r)
		inBubble(t, r, func(ctx context.Context) error {
			l := w.begin()
			began := l.exchange.time()
			plan, report, err := l.run(ctx, false, mishaps{})
			switch {
			case err != nil:
				return err
			case report.Unfinished > 0 || report.Pages != len(plan.Pages):
				return fmt.Errorf("report %+v of %d pages", report, len(plan.Pages))
			case len(l.exchange.asked) > l.requestsFor(plan):
				return fmt.Errorf("%d requests, want at most %d", len(l.exchange.asked), l.requestsFor(plan))
			case report.New != int64(len(l.store.candles)-len(w.stored)) || report.Corrected > 0:
				return fmt.Errorf("report %+v, %d candles stored, %d before", report, len(l.store.candles), len(w.stored))
			}
			if err := errors.Join(l.checkTrue(), l.checkComplete(plan.Wanted, began, w.empty),
				l.checkPending(plan.Wanted, began, false)); err != nil {
				return err
			}
			return l.settle(ctx, plan.Wanted)
		})
	})
}

func TestBackfillEndsInOneStateWhateverGoesWrong(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := drawWorld(r)
		w.runs = rapid.SliceOfN(rapid.Custom(drawMishaps), 1, 5).Draw(r, "runs that go wrong")
		inBubble(t, r, func(ctx context.Context) error {
			l := w.begin()
			var window market.TimeRange
			for k, wrong := range w.runs {
				before := len(l.store.candles)
				plan, report, err := l.run(ctx, k%2 == 1, wrong)
				if k == 0 {
					window = plan.Wanted
				}
				if err == nil != (report.Unfinished == 0) {
					return fmt.Errorf("report %+v, error %w", report, err)
				}
				// A transaction may have ended without our being told.
				if stored := int64(len(l.store.candles) - before); report.New > stored {
					return fmt.Errorf("report %+v, but %d candles more than before", report, stored)
				}
				if err := l.checkTrue(); err != nil {
					return err
				}
			}
			return l.settle(ctx, window)
		})
	})
}

// settle runs until nothing can be left to do in window, and checks that nothing
// is.
func (l life) settle(ctx context.Context, window market.TimeRange) error {
	time.Sleep(2 * l.interval.Length()) // until what opened off the grid is closed
	for range emptyConfirmations {
		time.Sleep(occasionsApart)
		if _, _, err := l.run(ctx, false, mishaps{}); err != nil {
			return err
		}
	}
	if err := l.checkPending(window, l.exchange.time(), true); err != nil {
		return err
	}
	if _, _, err := l.run(ctx, true, mishaps{}); err != nil {
		return err
	}
	return errors.Join(l.checkTrue(), l.checkComplete(window, l.exchange.time(), nil))
}
