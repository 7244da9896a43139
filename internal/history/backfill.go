package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// parallelPages is how many pages are asked for at once: enough to hide the way
// to the exchange and back, too few to run into its limits by surprise.
const parallelPages = 4

// refreshAfterStop bounds how long a run that was stopped goes on for the sake
// of the roll-ups. What it does not reach, the next run does.
const refreshAfterStop = 3 * time.Second

// mostSetAside is how many pages in a row may fail before the exchange counts as
// away.
const mostSetAside = 3

// Backfiller makes stored series complete with what an exchange has.
type Backfiller struct {
	exchange Exchange
	store    Store
	log      *slog.Logger
	pauses   *patience
}

// NewBackfiller returns a Backfiller that is safe for concurrent use.
func NewBackfiller(exchange Exchange, store Store, log *slog.Logger) *Backfiller {
	return &Backfiller{exchange: exchange, store: store, log: log, pauses: &patience{log: log}}
}

// BackfillReport says what a run came to, or has come to so far.
type BackfillReport struct {
	Pages                     int           // of the plan that are done
	Unfinished                int           // of the plan that are not, in whole or in part
	SetAside                  int           // of the unfinished ones, those that never got a usable answer
	New, Unchanged, Corrected int64         // candles, as in WriteResult
	StayedEmpty               int64         // places that were asked for and have no candle
	StayPending               int64         // places of the wanted range that were asked for, but not often enough to be confirmed
	Retries                   int           // requests and transactions that were tried again
	Duration                  time.Duration // since the run began
}

// BackfillProgress says that a page is done.
type BackfillProgress struct {
	Page           market.TimeRange // of the plan
	BackfillReport                  // so far
}

// Run asks for the pages of a plan, several at once, and stores every answer as
// it comes in a transaction of its own. It calls report after each page, one
// call at a time. What fails with the code Unavailable is tried again for a
// while, and a pause of up to a quarter of an hour is waited for.
//
// A page that still gets no usable answer is set aside, and the error at the end
// tells of it. When several in a row are, the exchange counts as away. That, a
// longer pause, any other failure and ctx stop the run; what is stored by then
// stays, and the next plan goes on from there.
//
// However a run ends, it refreshes the roll-ups of all that the plan wanted, not
// only of what it wrote: a run before it may have been killed between the one
// and the other.
func (b *Backfiller) Run(
	ctx context.Context, plan BackfillPlan, report func(BackfillProgress),
) (BackfillReport, error) {
	started := time.Now()
	total := BackfillReport{Unfinished: len(plan.Pages)}
	var err error
	if len(plan.Pages) > 0 {
		err = b.fetch(ctx, plan, func(fetched fetchedPage) {
			total.add(fetched.came)
			total.Duration = time.Since(started)
			if fetched.err == nil {
				report(BackfillProgress{Page: fetched.page, BackfillReport: total})
			}
		})
	}
	if err == nil && total.StayedEmpty > 0 {
		total.StayPending, err = b.stayPending(ctx, plan, &total.Retries)
	}
	err = errors.Join(err, b.refresh(ctx, plan.Series, plan.Wanted, &total.Retries))
	total.Duration = time.Since(started)
	if err != nil {
		return total, fmt.Errorf("backfill of %s: %w", plan.Series, err)
	}
	return total, nil
}

// fetchedPage is what became of a page of a plan.
type fetchedPage struct {
	page market.TimeRange
	came BackfillReport
	err  error
}

// stayPending counts the places of a plan that the exchange was asked for in
// vain, and that will be asked for again.
func (b *Backfiller) stayPending(ctx context.Context, plan BackfillPlan, retries *int) (int64, error) {
	gaps, err := b.gaps(ctx, plan.Series, plan.Wanted, retries)
	var pending int64
	for _, gap := range gaps {
		if gap.Cause == Pending && gap.Asked > 0 {
			pending += int64(gap.Missing)
		}
	}
	return pending, err
}

// unusable is the failure of a page that the exchange gave no usable answer for,
// however often it was asked.
type unusable struct{ error }

// Unwrap returns what was wrong with the last answer.
func (u unusable) Unwrap() error { return u.error }

// fetch fetches the pages of a plan and calls done after each, one call at a
// time. The first failure stops it, unless the page can be set aside.
func (b *Backfiller) fetch(ctx context.Context, plan BackfillPlan, done func(fetchedPage)) error {
	// By the exchange's clock, which has no jumps that ours may have, and which
	// says what is closed.
	asking, err := b.now(ctx)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	queue := make(chan market.TimeRange)
	fetched := make(chan fetchedPage)
	go func() {
		defer close(queue)
		for _, page := range plan.Pages {
			select {
			case queue <- page:
			case <-ctx.Done():
				return
			}
		}
	}()
	var working sync.WaitGroup
	for range parallelPages {
		working.Go(func() {
			for page := range queue {
				came, err := b.fetchPage(ctx, plan.Series, page, asking)
				if err != nil && came.SetAside == 0 {
					stop(err)
				}
				fetched <- fetchedPage{page, came, err}
			}
		})
	}
	go func() {
		working.Wait()
		close(fetched)
	}()
	var setAside []error
	inARow := 0
	for page := range fetched {
		if page.came.SetAside == 0 {
			inARow = 0
		} else {
			b.log.WarnContext(ctx, "a page is set aside", "series", plan.Series.String(),
				"start", page.page.Start, "end", page.page.End, "error", page.err)
			setAside = append(setAside, page.err)
			if inARow++; inARow == mostSetAside {
				stop(fmt.Errorf("%d pages in a row have failed: %w", inARow, page.err))
			}
		}
		done(page)
	}
	if err := context.Cause(ctx); err != nil || len(setAside) == 0 {
		return err
	}
	return fmt.Errorf("%d of %d pages are set aside, as the exchange gives no usable answer for them; the first: %w",
		len(setAside), len(plan.Pages), setAside[0])
}

// fetchPage stores what the exchange answers for a page, and returns what that
// came to even where it fails.
func (b *Backfiller) fetchPage(
	ctx context.Context, series market.Series, page market.TimeRange, asking time.Time,
) (BackfillReport, error) {
	var came BackfillReport
	err := b.ask(ctx, series, page, asking, &came.Retries, func(answer Page) error {
		result, err := b.write(ctx, series, answer, &came.Retries)
		if err != nil {
			return err
		}
		came.New += result.New
		came.Unchanged += result.Unchanged
		came.Corrected += result.Corrected
		for _, empty := range emptyPlaces(series.Interval, answer) {
			came.StayedEmpty += places(series.Interval, empty)
		}
		return nil
	})
	if err == nil {
		came.Pages, came.Unfinished = 1, -1
	} else if _, ok := errors.AsType[unusable](err); ok && ctx.Err() == nil { // once it is stopped, the error may be another page's
		came.SetAside = 1
	}
	return came, err
}

func (r *BackfillReport) add(page BackfillReport) {
	r.Pages += page.Pages
	r.Unfinished += page.Unfinished
	r.New += page.New
	r.Unchanged += page.Unchanged
	r.Corrected += page.Corrected
	r.SetAside += page.SetAside
	r.StayedEmpty += page.StayedEmpty
	r.Retries += page.Retries
}

// ask asks the exchange for a range on the grid and hands on its answers, which
// together are about all of it, except for candles that are open when asking.
//
// An answer says nothing of the places after its last candle, as it may have
// been cut there, by a limit that we know or by one that we do not. They are
// asked for again, until an answer reaches the end or is empty.
func (b *Backfiller) ask(
	ctx context.Context, series market.Series, rest market.TimeRange, asking time.Time, retries *int,
	answered func(Page) error,
) error {
	interval := series.Interval
	for !rest.Empty() {
		log := b.log.With("series", series.String(), "start", rest.Start, "end", rest.End)
		candles, err := retry(ctx, b.pauses, log, "asking for candles", retries, func() ([]market.Candle, error) {
			return b.candles(ctx, series, rest)
		})
		if err != nil {
			if _, paused := errors.AsType[*PausedError](err); !paused && ctx.Err() == nil && market.ErrorCode(err) == market.Unavailable {
				err = unusable{err}
			}
			return fmt.Errorf("asking for candles from %s to %s: %w", instant(rest.Start), instant(rest.End), err)
		}
		page := closedPart(interval, Page{Asked: rest, Candles: candles, Asking: asking})
		rest.End = page.Asked.End
		if n := len(page.Candles); n > 0 {
			page.Asked.End = interval.Next(interval.Floor(page.Candles[n-1].OpenTime))
		}
		rest.Start = page.Asked.End
		if page.Asked.Empty() {
			continue
		}
		if err := answered(page); err != nil {
			return err
		}
	}
	return nil
}

// candles asks the exchange once, and once more where a candle opens off the
// grid: so few really do that the exchange has to say so twice.
func (b *Backfiller) candles(ctx context.Context, series market.Series, r market.TimeRange) ([]market.Candle, error) {
	candles, err := b.exchange.Candles(ctx, series, r)
	offGrid := func(c market.Candle) bool { return !series.Interval.Floor(c.OpenTime).Equal(c.OpenTime) }
	if err != nil || !slices.ContainsFunc(candles, offGrid) {
		return candles, err
	}
	again, err := b.exchange.Candles(ctx, series, r)
	if err != nil {
		return nil, err
	}
	sameOpenTime := func(a, b market.Candle) bool { return a.OpenTime.Equal(b.OpenTime) }
	if !slices.EqualFunc(candles, again, sameOpenTime) {
		return nil, market.Errorf(market.Unavailable, "of candles of %s off the grid, from %s to %s, the exchange gives two accounts",
			series, instant(r.Start), instant(r.End))
	}
	return again, nil
}

// closedPart returns the page up to the bucket of its first candle that is open.
// In a range of closed places that can only be one that opens off the grid.
func closedPart(interval market.Interval, page Page) Page {
	open := slices.IndexFunc(page.Candles, func(c market.Candle) bool {
		return interval.Next(c.OpenTime).After(page.Asking)
	})
	if open < 0 {
		return page
	}
	page.Asked.End = interval.Floor(page.Candles[open].OpenTime)
	for open > 0 && !page.Candles[open-1].OpenTime.Before(page.Asked.End) {
		open--
	}
	page.Candles = page.Candles[:open]
	return page
}

// write stores a page and tells the log of candles that have changed since they
// were stored.
func (b *Backfiller) write(
	ctx context.Context, series market.Series, page Page, retries *int,
) (WriteResult, error) {
	log := b.log.With("series", series.String(), "start", page.Asked.Start, "end", page.Asked.End)
	result, err := retry(ctx, b.pauses, log, "storing candles", retries, func() (WriteResult, error) {
		return b.store.WritePage(ctx, series, page)
	})
	if err != nil {
		return result, fmt.Errorf("storing candles from %s to %s: %w", instant(page.Asked.Start), instant(page.Asked.End), err)
	}
	if result.Corrected > 0 {
		log.WarnContext(ctx, "closed candles have changed", "candles", result.Corrected, "open_times", result.CorrectedOpenTimes)
	}
	return result, nil
}

// refresh brings roll-ups up to date, also where ctx is done already.
func (b *Backfiller) refresh(ctx context.Context, series market.Series, r market.TimeRange, retries *int) error {
	if r.Empty() {
		return nil
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), refreshAfterStop)
		defer cancel()
	}
	_, err := retry(ctx, b.pauses, b.log.With("series", series.String()), "refreshing roll-ups", retries, func() (struct{}, error) {
		return struct{}{}, b.store.RefreshRollUps(ctx, series, r)
	})
	if err != nil {
		return fmt.Errorf("refreshing the roll-ups of candles that are stored: %w", err)
	}
	return nil
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
