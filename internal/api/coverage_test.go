package api

import (
	"net/http"
	"testing"
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
