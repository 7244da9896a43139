package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// repairedAtFirst is how far back before its newest candle a series is repaired at
// the start, and before now one of which nothing is stored: a process that was
// killed may have left holes behind the candles it stored last. A longer past is
// the backfill's.
const repairedAtFirst = 7 * 24 * time.Hour

// checkedAtFirst is how far back a series is compared with the exchange at the
// start: a process that was killed has checked all but its newest candles.
const checkedAtFirst = 24 * time.Hour

// mender makes stored candles complete and true to the exchange.
type mender struct {
	database *timescale.Database
	exchange func() (*binance.Client, error)
	stored   map[market.Series]history.StoredSeries // before the service began
	clock    live.Clock
	log      *slog.Logger
}

// Repair implements live.Repairer. A zero since is a week before the newest candle
// that was stored before the service began, or the oldest where that is later;
// where nothing was stored, a week ago. Places for which the exchange had no candle
// are an Unavailable error until it has said so often enough to be believed.
func (m mender) Repair(ctx context.Context, series market.Series, since time.Time, mended func([]live.Mended)) error {
	if since.IsZero() {
		since = m.repairedSince(series)
	}
	backfiller, err := m.backfiller()
	if err != nil {
		return err
	}
	plan, err := backfiller.Plan(ctx, history.BackfillRequest{Series: series, Wanted: market.TimeRange{Start: since}})
	if err != nil {
		return fmt.Errorf("plan the repair of %s: %w", series, err)
	}
	// A page may span candles that are stored, and correct them.
	before := map[time.Time]market.Candle{}
	for _, page := range plan.Pages {
		err := m.read(ctx, series, page, func(candles []market.Candle) {
			for _, c := range candles {
				before[c.OpenTime] = c
			}
		})
		if err != nil {
			return err
		}
	}
	report, err := backfiller.Run(ctx, plan, func(history.BackfillProgress) {})
	if report.StayPending > 0 {
		err = errors.Join(err, market.Errorf(market.Unavailable,
			"the exchange has no candle of %s at %d places: it is asked again until it has said so several times, ten minutes apart",
			series, report.StayPending))
	}
	for _, page := range plan.Pages {
		err = errors.Join(err, m.read(ctx, series, page, func(candles []market.Candle) {
			var changed []live.Mended
			for _, c := range candles {
				if old, stored := before[c.OpenTime]; !stored || old != c {
					changed = append(changed, live.Mended{Candle: c, Corrected: stored})
				}
			}
			mended(changed)
		}))
	}
	return err
}

func (m mender) repairedSince(series market.Series) time.Time {
	known, stored := m.stored[series]
	if !stored {
		return m.clock.Now().Add(-repairedAtFirst)
	}
	if since := known.Last.Add(-repairedAtFirst); since.After(known.First) {
		return since
	}
	return known.First
}

// Check implements live.Checker.
func (m mender) Check(ctx context.Context, series market.Series, since time.Time, mended func([]live.Mended)) error {
	if !since.IsZero() {
		return m.check(ctx, series, market.TimeRange{Start: since}, mended)
	}
	since = m.clock.Now().Add(-checkedAtFirst)
	if known, stored := m.stored[series]; stored {
		back := known.Last.Add(-checkedAtFirst)
		if known.Last.Before(since) { // what lies between is the repair's
			err := m.check(ctx, series, market.TimeRange{Start: back, End: series.Interval.Next(known.Last)}, mended)
			if err != nil {
				return err
			}
		} else {
			since = back
		}
	}
	return m.check(ctx, series, market.TimeRange{Start: since}, mended)
}

func (m mender) check(ctx context.Context, series market.Series, opens market.TimeRange, mended func([]live.Mended)) error {
	backfiller, err := m.backfiller()
	if err != nil {
		return err
	}
	var found, stored []history.Difference // of the page that is being compared, and of those before
	report, err := backfiller.Reconcile(ctx, m.database, history.ReconcileRequest{Series: series, Wanted: opens, Mend: true},
		func(d history.Difference) {
			if d.Kind != history.UnknownToExchange {
				found = append(found, d)
			}
		},
		func(history.ReconcileReport) { stored, found = append(stored, found...), nil })
	if report.Unknown > 0 {
		m.log.WarnContext(ctx, "candles are stored that the exchange does not know", slog.String("series", series.String()),
			slog.Int64("candles", report.Unknown), slog.Time("start", report.Compared.Start), slog.Time("end", report.Compared.End))
	}
	if len(stored) == 0 {
		return err
	}
	touched := market.TimeRange{Start: stored[0].OpenTime, End: stored[len(stored)-1].OpenTime.Add(time.Microsecond)}
	return errors.Join(err, m.read(ctx, series, touched, func(candles []market.Candle) {
		var changed []live.Mended
		for _, c := range candles {
			for len(stored) > 0 && stored[0].OpenTime.Before(c.OpenTime) {
				stored = stored[1:]
			}
			if len(stored) > 0 && stored[0].OpenTime.Equal(c.OpenTime) {
				changed = append(changed, live.Mended{Candle: c, Corrected: stored[0].Kind == history.Different})
			}
		}
		mended(changed)
	}))
}

func (m mender) backfiller() (*history.Backfiller, error) {
	exchange, err := m.exchange()
	if err != nil {
		return nil, err
	}
	return history.NewBackfiller(exchange, m.database, m.log), nil
}

// read hands on the stored candles that open in a range, a page at a time.
func (m mender) read(ctx context.Context, series market.Series, opens market.TimeRange, do func([]market.Candle)) error {
	for {
		candles, err := m.database.StoredCandles(ctx, series, opens, history.PageLimit)
		if err != nil {
			return fmt.Errorf("read stored candles of %s: %w", series, err)
		}
		do(candles)
		if len(candles) < history.PageLimit {
			return nil
		}
		opens.Start = candles[len(candles)-1].OpenTime.Add(time.Microsecond)
	}
}
