package history

import (
	"context"
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// BackfillRequest says what a backfill is to make complete.
type BackfillRequest struct {
	Series market.Series
	// Wanted holds the open times of the candles that are wanted. A zero Start
	// means FirstListing, a zero End up to now.
	Wanted market.TimeRange
	// Recheck asks for ranges again that are confirmed to be empty.
	Recheck bool
}

// BackfillPlan says what Run is to ask for. It stays good as time goes by and as
// candles come in.
type BackfillPlan struct {
	Series  market.Series
	Wanted  market.TimeRange   // on the grid, from the listing to the open candle at most
	Pages   []market.TimeRange // as PlanPages returns them
	Candles int64              // places that are missing and will be asked for
}

// Plan looks up what is missing of what a request wants. The listing is asked of
// the exchange where the store does not know it, and stored. The error is
// NotFound where the exchange does not know the symbol, Invalid where the wanted
// range ends before it begins.
func (b *Backfiller) Plan(ctx context.Context, request BackfillRequest) (BackfillPlan, error) {
	plan, err := b.plan(ctx, request)
	if err != nil {
		return BackfillPlan{}, fmt.Errorf("planning the backfill of %s: %w", request.Series, err)
	}
	return plan, nil
}

func (b *Backfiller) plan(ctx context.Context, request BackfillRequest) (BackfillPlan, error) {
	window, now, err := b.window(ctx, request.Series, request.Wanted)
	if err != nil {
		return BackfillPlan{}, err
	}
	plan := BackfillPlan{Series: request.Series, Wanted: window}
	if window.Empty() {
		return plan, nil
	}
	var retries int
	gaps, err := b.gaps(ctx, request.Series, window, &retries)
	if err != nil {
		return BackfillPlan{}, err
	}
	interval := request.Series.Interval
	plan.Pages = PlanPages(interval, window, gaps, now, request.Recheck)
	for _, missing := range toAsk(interval, window, gaps, now, request.Recheck) {
		plan.Candles += places(interval, missing)
	}
	return plan, nil
}

// window returns the places that open in the wanted range and at which there can
// be a closed candle, and the exchange's time.
func (b *Backfiller) window(
	ctx context.Context, series market.Series, wanted market.TimeRange,
) (market.TimeRange, time.Time, error) {
	if !wanted.Start.IsZero() && !wanted.End.IsZero() && wanted.Empty() {
		return market.TimeRange{}, time.Time{}, market.Errorf(market.Invalid,
			"the range from %s to %s is empty: its end must lie after its start",
			wanted.Start.Format(time.RFC3339), wanted.End.Format(time.RFC3339))
	}
	listed, err := b.listed(ctx, series.Symbol)
	if err != nil {
		return market.TimeRange{}, time.Time{}, err
	}
	now, err := b.now(ctx)
	if err != nil {
		return market.TimeRange{}, time.Time{}, err
	}
	// Of a day or a month in which trading began there is a candle too, which
	// opens before the listing.
	interval := series.Interval
	window := market.TimeRange{Start: interval.Floor(later(FirstListing, listed)), End: interval.Floor(now)}
	if wanted.Start.After(window.Start) {
		window.Start = ceil(interval, wanted.Start)
	}
	if !wanted.End.IsZero() && wanted.End.Before(window.End) {
		window.End = ceil(interval, wanted.End)
	}
	window.End = later(window.End, window.Start) // nothing of what is wanted is closed, or listed
	return window, now, nil
}

// listed returns when a symbol was listed. It is asked for once: a listing does
// not change.
func (b *Backfiller) listed(ctx context.Context, symbol market.Symbol) (time.Time, error) {
	log := b.log.With("symbol", symbol)
	var retries int
	known, err := retry(ctx, b.pauses, log, "looking up the listing", &retries, func() (market.Optional[time.Time], error) {
		return b.store.Listed(ctx, symbol)
	})
	if err != nil || known.Valid {
		return known.Value, err
	}
	listed, err := retry(ctx, b.pauses, log, "asking for the listing", &retries, func() (time.Time, error) {
		return b.exchange.Listed(ctx, symbol)
	})
	if err != nil {
		return time.Time{}, err
	}
	return retry(ctx, b.pauses, log, "storing the listing", &retries, func() (time.Time, error) {
		return listed, b.store.SetListed(ctx, symbol, listed)
	})
}

func (b *Backfiller) gaps(ctx context.Context, series market.Series, window market.TimeRange, retries *int) ([]Gap, error) {
	return retry(ctx, b.pauses, b.log.With("series", series.String()), "looking for gaps", retries, func() ([]Gap, error) {
		return b.store.Gaps(ctx, series, window)
	})
}

func (b *Backfiller) now(ctx context.Context) (time.Time, error) {
	var retries int
	return retry(ctx, b.pauses, b.log, "asking for the exchange's time", &retries, func() (time.Time, error) {
		return b.exchange.Now(ctx)
	})
}

// PlanPages returns the ranges to ask for so that every gap is asked for that an
// exchange may mend: the pending ones and, with recheck, those that are
// confirmed to be empty. Gaps come oldest first, and so do the pages: on the
// grid, disjoint, each of at most PageLimit places, of which the first and the
// last are missing. Only places that open in wanted, and before the candle that
// is open at now, are in them.
//
// A page may span candles that are stored, or ranges that need not be asked for,
// where that saves another page. No plan has fewer pages: each begins at a
// missing place and reaches as far as a page can, so the beginnings lie PageLimit
// places apart or more, and no page of any plan could hold two of them.
func PlanPages(
	interval market.Interval, wanted market.TimeRange, gaps []Gap, now time.Time, recheck bool,
) []market.TimeRange {
	var pages []market.TimeRange
	var limit time.Time // how far the newest page may reach
	for _, missing := range toAsk(interval, wanted, gaps, now, recheck) {
		for !missing.Empty() {
			if !missing.Start.Before(limit) {
				pages = append(pages, market.TimeRange{Start: missing.Start})
				limit = placeAfter(interval, missing.Start, PageLimit)
			}
			page := &pages[len(pages)-1]
			page.End = earlier(missing.End, limit)
			missing.Start = page.End
		}
	}
	return pages
}

// toAsk returns the parts of gaps that PlanPages covers.
func toAsk(
	interval market.Interval, wanted market.TimeRange, gaps []Gap, now time.Time, recheck bool,
) []market.TimeRange {
	window := market.TimeRange{
		Start: ceil(interval, wanted.Start),
		End:   earlier(ceil(interval, wanted.End), interval.Floor(now)),
	}
	var ranges []market.TimeRange
	for _, gap := range gaps {
		if gap.Cause != Pending && !(recheck && gap.Cause == ConfirmedEmpty) {
			continue
		}
		if part := overlap(gap.TimeRange, window); !part.Empty() {
			ranges = append(ranges, part)
		}
	}
	return ranges
}
