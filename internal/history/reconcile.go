package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// StoredCandles reads candles back.
type StoredCandles interface {
	// StoredCandles returns the candles of a series that open in r as they were
	// delivered, none rolled up, oldest first, at most limit of them.
	StoredCandles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error)
}

// ReconcileRequest says what is to be compared.
type ReconcileRequest struct {
	Series market.Series
	Wanted market.TimeRange // as in BackfillRequest
	// Mend stores what the exchange has and the store has not, or has otherwise.
	// What the exchange does not know stays stored.
	Mend bool
}

// ReconcileReport says what a comparison came to, in candles, or has come to so
// far.
type ReconcileReport struct {
	Pages          int              // that are compared
	Unfinished     int              // pages that are not, in whole or in part
	Compared       market.TimeRange // on the grid; empty where nothing was
	Equal          int64
	Missing        int64 // here
	Unknown        int64 // to the exchange
	Different      int64
	New, Corrected int64 // stored in mending, as in WriteResult
	Retries        int   // requests and transactions that were tried again
	Duration       time.Duration
}

// Difference is a candle of which the store and the exchange do not say the
// same.
type Difference struct {
	OpenTime time.Time
	Kind     DifferenceKind
	Fields   []FieldDifference // that differ, none unless the kind is Different
}

// DifferenceKind says in what a candle differs.
type DifferenceKind string

// The kinds of differences.
const (
	MissingHere       DifferenceKind = "missing_here"        // the exchange has it, the store has not
	UnknownToExchange DifferenceKind = "unknown_to_exchange" // the store has it, the exchange has not
	Different         DifferenceKind = "different"           // both have it, with other values
)

// FieldDifference holds both values of a field.
type FieldDifference struct {
	Field    string // as people call it, such as "quote volume"
	Stored   market.Optional[float64]
	Exchange float64
}

// Reconcile compares the stored candles of a range with those of the exchange,
// page by page, and calls report for each difference, oldest first, and progress
// after each page, one call at a time. Candles that are not closed are left out. What the exchange does not publish is not
// compared: that it says nothing does not make what is stored untrue. Errors
// are those of Plan and Run.
func (b *Backfiller) Reconcile(
	ctx context.Context, stored StoredCandles, request ReconcileRequest,
	report func(Difference), progress func(ReconcileReport),
) (ReconcileReport, error) {
	started := time.Now()
	var total ReconcileReport
	window, asking, err := b.window(ctx, request.Series, request.Wanted)
	if err == nil {
		pages := pagesOf(request.Series.Interval, window)
		total.Unfinished = len(pages)
		for _, page := range pages {
			if err = b.reconcile(ctx, stored, request, page, asking, &total, report); err != nil {
				break
			}
			total.Pages++
			total.Unfinished--
			total.Duration = time.Since(started)
			progress(total)
		}
	}
	if request.Mend {
		// All of it: what was written when the connection broke is not known.
		err = errors.Join(err, b.refresh(ctx, request.Series, window, &total.Retries))
	}
	total.Duration = time.Since(started)
	if err != nil {
		return total, fmt.Errorf("reconciling %s: %w", request.Series, err)
	}
	return total, nil
}

// pagesOf cuts a range on the grid into pages.
func pagesOf(interval market.Interval, r market.TimeRange) []market.TimeRange {
	var pages []market.TimeRange
	for !r.Empty() {
		page := market.TimeRange{Start: r.Start, End: earlier(placeAfter(interval, r.Start, PageLimit), r.End)}
		pages = append(pages, page)
		r.Start = page.End
	}
	return pages
}

// reconcile compares one page.
func (b *Backfiller) reconcile(
	ctx context.Context, stored StoredCandles, request ReconcileRequest, page market.TimeRange, asking time.Time,
	total *ReconcileReport, report func(Difference),
) error {
	series := request.Series
	return b.ask(ctx, series, page, asking, &total.Retries, func(answer Page) error {
		log := b.log.With("series", series.String(), "start", answer.Asked.Start, "end", answer.Asked.End)
		here, err := retry(ctx, b.pauses, log, "reading candles", &total.Retries, func() ([]market.Candle, error) {
			return readStored(ctx, stored, series, answer.Asked)
		})
		if err != nil {
			return err
		}
		mendable := total.compare(here, answer.Candles, report)
		if total.Compared.Empty() {
			total.Compared.Start = answer.Asked.Start
		}
		total.Compared.End = answer.Asked.End
		if !mendable || !request.Mend {
			return nil
		}
		result, err := b.write(ctx, series, answer, &total.Retries)
		total.New += result.New
		total.Corrected += result.Corrected
		return err
	})
}

// readStored reads all candles of a page: there may be more of them than places,
// as they may open off the grid.
func readStored(
	ctx context.Context, stored StoredCandles, series market.Series, page market.TimeRange,
) ([]market.Candle, error) {
	var all []market.Candle
	for rest := page; ; {
		candles, err := stored.StoredCandles(ctx, series, rest, PageLimit)
		if err != nil {
			return nil, fmt.Errorf("reading candles from %s to %s: %w", instant(rest.Start), instant(rest.End), err)
		}
		all = append(all, candles...)
		if len(candles) < PageLimit {
			return all, nil
		}
		rest.Start = candles[len(candles)-1].OpenTime.Add(time.Microsecond)
	}
}

// compare reports the differences between two lists, each oldest first, counts
// them, and returns whether storing the exchange's would mend any.
func (r *ReconcileReport) compare(here, there []market.Candle, report func(Difference)) (mendable bool) {
	for len(here) > 0 || len(there) > 0 {
		switch {
		case len(there) == 0 || len(here) > 0 && here[0].OpenTime.Before(there[0].OpenTime):
			r.Unknown++
			report(Difference{OpenTime: here[0].OpenTime, Kind: UnknownToExchange})
			here = here[1:]
		case len(here) == 0 || there[0].OpenTime.Before(here[0].OpenTime):
			r.Missing++
			mendable = true
			report(Difference{OpenTime: there[0].OpenTime, Kind: MissingHere})
			there = there[1:]
		default:
			if fields := differentFields(here[0], there[0]); len(fields) > 0 {
				r.Different++
				mendable = true
				report(Difference{OpenTime: here[0].OpenTime, Kind: Different, Fields: fields})
			} else {
				r.Equal++
			}
			here, there = here[1:], there[1:]
		}
	}
	return mendable
}

func differentFields(stored, exchange market.Candle) []FieldDifference {
	var different []FieldDifference
	theirs := fieldsOf(exchange)
	for k, field := range fieldsOf(stored) {
		if theirs[k].value.Valid && theirs[k].value != field.value {
			different = append(different, FieldDifference{Field: field.name, Stored: field.value, Exchange: theirs[k].value.Value})
		}
	}
	return different
}

type candleField struct {
	name  string
	value market.Optional[float64]
}

func fieldsOf(c market.Candle) [9]candleField {
	return [...]candleField{
		{"open", market.Some(c.Open)}, {"high", market.Some(c.High)}, {"low", market.Some(c.Low)},
		{"close", market.Some(c.Close)}, {"volume", market.Some(c.Volume)},
		{"quote volume", c.QuoteVolume},
		// A float64 holds every count that Validate lets through.
		{"trades", market.Optional[float64]{Value: float64(c.Trades.Value), Valid: c.Trades.Valid}},
		{"taker buy volume", c.TakerBuyVolume}, {"taker buy quote volume", c.TakerBuyQuoteVolume},
	}
}
