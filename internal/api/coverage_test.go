package api

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestCoverage(t *testing.T) {
	f := newService(3)
	elsewhere := time.FixedZone("", 2*3600)
	hole := history.Hole{TimeRange: market.TimeRange{Start: day1.Add(time.Hour), End: day1.Add(2 * time.Hour).In(elsewhere)}, Missing: 4}
	f.coverage = map[market.Symbol][]history.Coverage{"BTCUSDT": {
		{StoredSeries: f.stored[1], Rows: 96, Holes: []history.Hole{hole, hole}},
		{StoredSeries: history.StoredSeries{Series: btc1h, First: day1, Last: day1}, Rows: 1},
	}}
	a := serveFake(t, f).get(t, "/v1/symbols/btcusdt/coverage")
	list := decode[coverageList](t, a, http.StatusOK)
	if list.Symbol != "BTCUSDT" || len(list.Series) != 2 {
		t.Fatalf("got %+v", list)
	}
	first, second := list.Series[0], list.Series[1]
	if first.Interval != "15m" || first.Rows != 96 || first.ExpectedRows != 104 || len(first.Holes) != 2 ||
		first.Holes[0].Missing != 4 || !first.Holes[0].Start.Equal(day1.Add(time.Hour)) || first.Holes[0].End.Location() != time.UTC {
		t.Errorf("got %+v", first)
	}
	if second.ExpectedRows != 1 || second.Holes == nil || len(second.Holes) != 0 {
		t.Errorf("got %+v", second)
	}
}

// Many coverages at once leave connections for others, and none waits longer
// for its turn than an operation may take.
func TestCoverageReadsAreBounded(t *testing.T) {
	for _, test := range []struct {
		name                  string
		reading               time.Duration // what the first reads take
		answered, unavailable int64
	}{
		{"quick", 0, 40, 0},
		{"stuck", operationTimeout, coverageSlots, 40 - coverageSlots},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newService(3)
				f.coverage = map[market.Symbol][]history.Coverage{"BTCUSDT": {{StoredSeries: f.stored[1], Rows: 3}}}
				f.coverageHeld = make(chan struct{})
				s := serveFake(t, f)
				var calls sync.WaitGroup
				var answered, unavailable atomic.Int64
				for range 40 {
					calls.Go(func() {
						recorder := httptest.NewRecorder()
						s.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/v1/symbols/BTCUSDT/coverage", nil))
						switch recorder.Code {
						case http.StatusOK:
							answered.Add(1)
						case http.StatusServiceUnavailable:
							unavailable.Add(1)
						}
					})
				}
				synctest.Wait()
				if got := f.coverageReads.Load(); got != coverageSlots {
					t.Errorf("%d coverages are read at once, want %d", got, coverageSlots)
				}
				<-time.After(test.reading)
				synctest.Wait()
				if got := unavailable.Load(); got != test.unavailable {
					t.Errorf("after %s %d calls are given up, want %d", test.reading, got, test.unavailable)
				}
				close(f.coverageHeld)
				calls.Wait()
				if got := answered.Load(); got != test.answered {
					t.Errorf("%d calls are answered, want %d", got, test.answered)
				}
			})
		})
	}
}
