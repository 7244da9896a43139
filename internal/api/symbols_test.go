package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestSymbols(t *testing.T) {
	f := newService(3)
	f.stored = slices.Insert(f.stored, 0, history.StoredSeries{
		Series: market.Series{Symbol: "BTCUSDT", Interval: market.Minute5}, First: day1, Last: day1.AddDate(0, 1, 0),
	})
	list := decode[symbolList](t, serveFake(t, f).get(t, "/v1/symbols"), http.StatusOK)
	if len(list.Symbols) != 2 || list.Symbols[0].Symbol != "BTCUSDT" || list.Symbols[1].Symbol != "ETHUSDT" {
		t.Fatalf("symbols are %+v", list.Symbols)
	}
	btc, eth := list.Symbols[0], list.Symbols[1]
	if len(btc.Stored) != 2 || btc.Stored[0].Interval != "5m" || btc.Stored[1].Interval != "15m" ||
		!btc.Stored[1].First.Equal(day1) || !btc.Stored[1].Last.Equal(day1.Add(30*time.Minute)) {
		t.Errorf("stored of BTCUSDT: %+v", btc.Stored)
	}
	if want := []intervalName{"5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"}; !slices.Equal(btc.Intervals, want) {
		t.Errorf("intervals of BTCUSDT: %v, want %v", btc.Intervals, want)
	}
	if want := []intervalName{"1d", "3d", "1w", "1M"}; !slices.Equal(eth.Intervals, want) {
		t.Errorf("intervals of ETHUSDT: %v, want %v", eth.Intervals, want)
	}

	empty := serveFake(t, &fakeService{}).get(t, "/v1/symbols")
	if empty.body != `{"origin":null,"symbols":[]}`+"\n" {
		t.Errorf("with nothing stored: %s", empty.body)
	}
}

func TestSymbolsSayWhereTheyComeFrom(t *testing.T) {
	for stored, want := range map[history.Origin]string{
		history.Real: `{"origin":"real",`, history.Simulated: `{"origin":"simulated",`, "": `{"origin":null,`,
	} {
		f := newService(3)
		f.origin = stored
		if a := serveFake(t, f).get(t, "/v1/symbols"); !strings.HasPrefix(a.body, want) {
			t.Errorf("origin %q: %s", stored, a.body)
		}
	}
}
