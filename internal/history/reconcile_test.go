package history

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func reconcile(
	ctx context.Context, exchange *fakeExchange, store *fakeStore, request ReconcileRequest,
) ([]Difference, ReconcileReport, error) {
	var differences []Difference
	b := NewBackfiller(exchange, store, quiet())
	var last ReconcileReport
	report, err := b.Reconcile(ctx, store, request,
		func(d Difference) { differences = append(differences, d) },
		func(progress ReconcileReport) {
			if progress.Pages == last.Pages+1 { // otherwise it is not the report's
				last = progress
			}
		})
	if last.Pages != report.Pages {
		return nil, report, fmt.Errorf("the last progress is %+v, the report %+v", last, report)
	}
	return differences, report, err
}

// disagreement is a market of three pages and a store that lacks some of it,
// knows more of it, and knows some of it otherwise.
func disagreement() (*fakeExchange, *fakeStore, []Difference) {
	exchange := marketOf(2500, func(k int) bool { return k == 5 || k == 1005 || k >= 1990 && k < 2010 })
	store := newFakeStore(bitcoin.Interval)
	for _, c := range exchange.truth {
		store.candles[c.OpenTime] = c
	}
	change := func(k int, change func(c *market.Candle)) {
		c := store.candles[bitcoinPlace(k)]
		change(&c)
		store.candles[c.OpenTime] = c
	}
	change(2, func(c *market.Candle) { c.Close, c.Volume = 9, 2 })
	change(3, func(c *market.Candle) { c.QuoteVolume = market.Optional[float64]{} })
	change(4, func(c *market.Candle) { c.Trades = market.Some(int64(7)) }) // which the exchange does not publish
	delete(store.candles, bitcoinPlace(6))
	delete(store.candles, bitcoinPlace(999))
	delete(store.candles, bitcoinPlace(2499))
	alone := candleOpening(bitcoinPlace(1005).Add(time.Minute), bitcoin.Interval, 10)
	store.candles[alone.OpenTime] = alone

	return exchange, store, []Difference{
		{bitcoinPlace(2), Different, []FieldDifference{{"close", market.Some(9.0), 10}, {"volume", market.Some(2.0), 1}}},
		{bitcoinPlace(3), Different, []FieldDifference{{"quote volume", market.Optional[float64]{}, 10}}},
		{bitcoinPlace(6), MissingHere, nil},
		{bitcoinPlace(999), MissingHere, nil},
		{alone.OpenTime, UnknownToExchange, nil},
		{bitcoinPlace(2499), MissingHere, nil},
	}
}

func TestReconcileReportsDifferences(t *testing.T) {
	for _, most := range []int{PageLimit, 700, 1} {
		synctest.Test(t, func(t *testing.T) {
			exchange, store, want := disagreement()
			exchange.most = most
			exchange.fail = func(k int) error {
				if k == 1 {
					return errAway
				}
				return nil
			}
			differences, report, err := reconcile(t.Context(), exchange, store, ReconcileRequest{Series: bitcoin})
			if err != nil || !reflect.DeepEqual(differences, want) {
				t.Errorf("%v, want %v, error %v", differences, want, err)
			}
			report.Duration = 0
			if want := (ReconcileReport{
				Pages: 3, Compared: bitcoinPlaces(0, 2500), Equal: 2500 - 22 - 5, Missing: 3, Unknown: 1, Different: 2, Retries: 1,
			}); report != want {
				t.Errorf("report %+v, want %+v", report, want)
			}
			if len(store.pages) > 0 || len(store.fresh) > 0 || store.mostRead > PageLimit {
				t.Errorf("%d pages stored, refreshed %v, read %d at once", len(store.pages), store.fresh, store.mostRead)
			}
		})
	}
}

func TestReconcileMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store, differences := disagreement()
		_, report, err := reconcile(t.Context(), exchange, store, ReconcileRequest{Series: bitcoin, Mend: true})
		// The fake store, unlike the real one, takes the absent number of trades too.
		if err != nil || report.New != 3 || report.Corrected != 3 || report.Missing != 3 || report.Different != 2 {
			t.Errorf("report %+v, error %v", report, err)
		}
		if !slices.Equal(store.fresh, []market.TimeRange{bitcoinPlaces(0, 2500)}) || len(store.stale) > 0 {
			t.Errorf("refreshed %v, %d stale", store.fresh, len(store.stale))
		}
		left, report, err := reconcile(t.Context(), exchange, store, ReconcileRequest{Series: bitcoin, Mend: true})
		if err != nil || !reflect.DeepEqual(left, differences[4:5]) || report.Unknown != 1 || report.New+report.Corrected > 0 {
			t.Errorf("once mended: %v, report %+v, error %v", left, report, err)
		}
	})
}

func TestReconcileComparesClosedCandlesOfTheRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(20, nil), newFakeStore(bitcoin.Interval)
		exchange.base = bitcoinPlace(15).Add(time.Minute)
		differences, report, err := reconcile(t.Context(), exchange, store,
			ReconcileRequest{Series: bitcoin, Wanted: market.TimeRange{Start: bitcoinPlace(12)}, Mend: true})
		if err != nil || len(differences) != 3 || report.Compared != bitcoinPlaces(12, 15) || len(store.candles) != 3 {
			t.Errorf("%v, report %+v, error %v", differences, report, err)
		}
		_, _, err = reconcile(t.Context(), exchange, newFakeStore(ether.Interval), ReconcileRequest{Series: ether})
		if market.ErrorCode(err) != market.NotFound {
			t.Errorf("unknown symbol: error %v", err)
		}
	})
}

func TestReconcileSaysHowFarItCame(t *testing.T) {
	for _, test := range []struct {
		fails int // the request that does
		want  ReconcileReport
	}{
		{0, ReconcileReport{Unfinished: 3}},
		{2, ReconcileReport{Pages: 2, Unfinished: 1, Compared: bitcoinPlaces(0, 2000), Missing: 2000}},
	} {
		synctest.Test(t, func(t *testing.T) {
			exchange := marketOf(2500, nil)
			exchange.fail = func(k int) error {
				if k == test.fails {
					return errBarred
				}
				return nil
			}
			_, report, err := reconcile(t.Context(), exchange, newFakeStore(bitcoin.Interval), ReconcileRequest{Series: bitcoin})
			if report.Duration = 0; report != test.want || !errors.Is(err, errBarred) {
				t.Errorf("report %+v, want %+v, error %v", report, test.want, err)
			}
		})
	}
}

func TestReconcileReadsMoreCandlesThanPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange, store := marketOf(PageLimit, nil), newFakeStore(bitcoin.Interval)
		for k := range PageLimit {
			for m := range 3 {
				c := candleOpening(bitcoinPlace(k).Add(time.Duration(m)*time.Minute), bitcoin.Interval, 10)
				store.candles[c.OpenTime] = c
			}
		}
		_, report, err := reconcile(t.Context(), exchange, store, ReconcileRequest{Series: bitcoin})
		if err != nil || report.Equal != PageLimit || report.Unknown != 2*PageLimit {
			t.Errorf("report %+v, error %v", report, err)
		}
	})
}
