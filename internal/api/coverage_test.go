package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
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
	window := market.TimeRange{Start: day1.AddDate(0, 0, -1), End: day1.AddDate(0, 0, 1)}
	gapAt := func(hour, missing int, cause history.GapCause) history.Gap {
		start := day1.Add(time.Duration(hour) * time.Hour)
		return history.Gap{TimeRange: market.TimeRange{Start: start, End: start.Add(time.Hour).In(elsewhere)}, Missing: missing, Cause: cause}
	}
	confirmed := gapAt(3, 4, history.ConfirmedEmpty)
	confirmed.Asked, confirmed.LastAsked = 3, market.Some(day1.AddDate(1, 0, 0).In(elsewhere))
	f.coverage = map[market.Symbol][]history.Coverage{"BTCUSDT": {
		{StoredSeries: f.stored[1], Rows: 96, Window: window, Gaps: []history.Gap{
			gapAt(-24, 20, history.NotListed), gapAt(1, 4, history.Pending), confirmed, gapAt(5, 2, history.OffGrid), gapAt(6, 3, history.Pending),
		}},
		{StoredSeries: history.StoredSeries{Series: btc1h, First: day1, Last: day1}, Rows: 1, Window: window},
	}}
	a := serveFake(t, f).get(t, "/v1/symbols/btcusdt/coverage")
	list := decode[coverageList](t, a, http.StatusOK)
	if list.Symbol != "BTCUSDT" || len(list.Series) != 2 {
		t.Fatalf("got %+v", list)
	}
	first, second := list.Series[0], list.Series[1]
	if first.Interval != "15m" || first.Rows != 96 || first.ExpectedRows != 96+4+4+3 || first.Window != timeRangeOf(window) ||
		first.Missing != (missingPlaces{NotListed: 20, ConfirmedEmpty: 4, OffGrid: 2, Pending: 7}) {
		t.Errorf("got %+v", first)
	}
	if len(first.Gaps) != 5 {
		t.Fatalf("gaps are %+v", first.Gaps)
	}
	if g := first.Gaps[1]; g.Missing != 4 || !g.Start.Equal(day1.Add(time.Hour)) || g.End.Location() != time.UTC ||
		g.Cause != "pending" || g.Asked != 0 || g.LastAsked != nil {
		t.Errorf("a gap that was not asked for: %+v", g)
	}
	if g := first.Gaps[2]; g.Cause != "confirmed_empty" || g.Asked != 3 || g.LastAsked == nil || !g.LastAsked.Equal(day1.AddDate(1, 0, 0)) {
		t.Errorf("a gap that was asked for: %+v", g)
	}
	if !strings.Contains(a.body, `"last_asked":"2025-03-01T00:00:00Z"`) || !strings.Contains(a.body, `"last_asked":null`) {
		t.Errorf("when it was asked is not written as UTC or null: %s", a.body)
	}
	if second.ExpectedRows != 1 || second.Gaps == nil || len(second.Gaps) != 0 {
		t.Errorf("got %+v", second)
	}
}

func TestCoverageWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(day1.AddDate(1, 0, 0)))
		now := time.Now().UTC()
		f := newService(3)
		f.coverage = map[market.Symbol][]history.Coverage{"BTCUSDT": {{StoredSeries: f.stored[1], Rows: 3}}}
		s := serveFake(t, f)
		for query, want := range map[string]market.TimeRange{
			"":                            {Start: history.FirstListing, End: now},
			"?start=2024-03-01T00:00:00Z": {Start: day1, End: now},
			"?end=1709251200000":          {Start: history.FirstListing, End: day1},
			"?start=2024-03-01T00:00:00Z&end=2024-03-02T00:00:00%2B00:00": {Start: day1, End: day1.AddDate(0, 0, 1)},
			"?end=2099-01-01T00:00:00Z":                                   {Start: history.FirstListing, End: now},
			"?start=2009-01-01T00:00:00Z":                                 {Start: time.Date(2009, time.January, 1, 0, 0, 0, 0, time.UTC), End: now},
		} {
			decode[coverageList](t, s.get(t, "/v1/symbols/BTCUSDT/coverage"+query), http.StatusOK)
			if f.window != want {
				t.Errorf("%q: looked at %v, want %v", query, f.window, want)
			}
		}
		for query, location := range map[string]string{
			"?start=2024-03-01T00:00:00Z&end=2024-03-01T00:00:00Z": "query.start",
			"?start=2024-03-02T00:00:00Z&end=2024-03-01T00:00:00Z": "query.start",
			"?start=2098-01-01T00:00:00Z":                          "query.start",
			"?end=2017-01-01T00:00:00Z":                            "query.start",
			"?end=yesterday":                                       "query.end",
			"?from=2024-03-01T00:00:00Z":                           "query",
		} {
			got := decode[problem](t, s.get(t, "/v1/symbols/BTCUSDT/coverage"+query), http.StatusUnprocessableEntity)
			if len(got.Errors) != 1 || got.Errors[0].Location != location {
				t.Errorf("%q: %+v", query, got)
			}
		}
	})
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
				<-time.After(time.Until(day1)) // nothing was listed in 2000
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
