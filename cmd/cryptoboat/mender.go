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

// repairedAtFirst bounds how far back a series is repaired of which nothing is
// stored: a longer past is the backfill's.
const repairedAtFirst = 7 * 24 * time.Hour

// checkedAtFirst is how far back a series is compared with the exchange at the
// start: a process that was killed has checked all but its newest candles.
const checkedAtFirst = 24 * time.Hour

// mender makes stored candles complete and true to the exchange.
type mender struct {
	database *timescale.Database
	exchange func() (*binance.Client, error)
	newest   map[market.Series]time.Time // open time of the newest candle before the service began
	clock    live.Clock
	log      *slog.Logger
}

// Repair implements live.Repairer. Where nothing was stored, a zero since is a
// week ago.
func (m mender) Repair(ctx context.Context, series market.Series, since time.Time, mended func([]live.Mended)) error {
	if since.IsZero() {
		newest, stored := m.newest[series]
		if since = newest; !stored {
			since = m.clock.Now().Add(-repairedAtFirst)
		}
	}
	backfiller, err := m.backfiller()
	if err != nil {
		return err
	}
	plan, err := backfiller.Plan(ctx, history.BackfillRequest{Series: series, Wanted: market.TimeRange{Start: since}})
	if err != nil {
		return fmt.Errorf("plan the repair of %s: %w", series, err)
	}
	var gaps []history.Gap
	if len(plan.Pages) > 0 {
		if gaps, err = m.database.Gaps(ctx, series, plan.Wanted); err != nil {
			return fmt.Errorf("plan the repair of %s: %w", series, err)
		}
	}
	_, err = backfiller.Run(ctx, plan, func(history.BackfillProgress) {})
	for _, gap := range gaps {
		err = errors.Join(err, m.readBack(ctx, series, gap.TimeRange, func(candles []market.Candle) {
			filled := make([]live.Mended, len(candles))
			for k, c := range candles {
				filled[k].Candle = c
			}
			mended(filled)
		}))
	}
	return err
}

// Check implements live.Checker.
func (m mender) Check(ctx context.Context, series market.Series, since time.Time, mended func([]live.Mended)) error {
	if !since.IsZero() {
		return m.check(ctx, series, market.TimeRange{Start: since}, mended)
	}
	since = m.clock.Now().Add(-checkedAtFirst)
	if newest, stored := m.newest[series]; stored {
		back := newest.Add(-checkedAtFirst)
		if newest.Before(since) { // what lies between is the repair's
			err := m.check(ctx, series, market.TimeRange{Start: back, End: series.Interval.Next(newest)}, mended)
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
	return errors.Join(err, m.readBack(ctx, series, touched, func(candles []market.Candle) {
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

// readBack hands on the stored candles that open in a range, a page at a time.
func (m mender) readBack(ctx context.Context, series market.Series, opens market.TimeRange, do func([]market.Candle)) error {
	for {
		candles, err := m.database.StoredCandles(ctx, series, opens, history.PageLimit)
		if err != nil {
			return fmt.Errorf("read the mended candles of %s: %w", series, err)
		}
		do(candles)
		if len(candles) < history.PageLimit {
			return nil
		}
		opens.Start = candles[len(candles)-1].OpenTime.Add(time.Microsecond)
	}
}
