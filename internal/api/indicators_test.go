package api

import (
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// newWandering is a service whose closes go up and down.
func newWandering(candles int) *fakeService {
	f := newService(candles)
	random := rand.New(rand.NewPCG(3, 5))
	price := 60_000.0
	for k := range f.candles[btc15m] {
		price *= math.Exp(0.002 * random.NormFloat64())
		f.candles[btc15m][k].Close = price
	}
	return f
}

// The values of a candle are the same wherever an answer starts, with holes before
// it, too.
func TestIndicatorsDoNotDependOnTheStart(t *testing.T) {
	f := newWandering(2000)
	f.candles[btc15m] = slices.Delete(f.candles[btc15m], 600, 1300)
	s := serveFake(t, f)
	const base = "/v1/symbols/BTCUSDT/indicators?limit=3000"
	whole := decode[indicatorsPage](t, s.get(t, base), http.StatusOK).Indicators
	if len(whole) != 1300 {
		t.Fatalf("%d points, want one for each of 1300 candles", len(whole))
	}
	for _, first := range []int{0, 40, 599, 600, 1000, 1299} {
		part := decode[indicatorsPage](t, s.get(t, base+"&start="+whole[first].OpenTime.Format(time.RFC3339)), http.StatusOK).Indicators
		if len(part) != len(whole)-first {
			t.Fatalf("%d points from %d on, want %d", len(part), first, len(whole)-first)
		}
		for k, p := range part {
			want := whole[first+k]
			if !p.OpenTime.Equal(want.OpenTime) || p.Close != want.Close {
				t.Fatalf("point %d from %d on is of %v, want %v", k, first, p.OpenTime, want.OpenTime)
			}
			for name, pair := range map[string][2]*float64{
				"sma": {p.SMA, want.SMA}, "ema": {p.EMA, want.EMA}, "bollinger_lower": {p.BollingerLower, want.BollingerLower},
				"bollinger_middle": {p.BollingerMiddle, want.BollingerMiddle}, "bollinger_upper": {p.BollingerUpper, want.BollingerUpper},
				"rsi": {p.RSI, want.RSI}, "macd": {p.MACD, want.MACD}, "macd_signal": {p.MACDSignal, want.MACDSignal}, "macd_histogram": {p.MACDHistogram, want.MACDHistogram},
			} {
				if (pair[0] == nil) != (pair[1] == nil) || pair[0] != nil && math.Abs(*pair[0]-*pair[1]) > 1e-14*want.Close {
					t.Fatalf("%s of candle %d, asked for from %d on, differs from that asked for from the beginning on", name, first+k, first)
				}
			}
		}
	}
}

func TestIndicatorsAreNullBeforeThereAreEnoughCandles(t *testing.T) {
	body := serveFake(t, newWandering(50)).get(t, "/v1/symbols/BTCUSDT/indicators?limit=50")
	points := decode[indicatorsPage](t, body, http.StatusOK).Indicators
	if points[48].SMA != nil || points[49].SMA == nil || points[18].EMA != nil || points[19].EMA == nil ||
		points[13].RSI != nil || points[14].RSI == nil || points[32].MACDSignal != nil || points[33].MACDSignal == nil {
		t.Errorf("values begin elsewhere: %+v", points)
	}
}

func TestIndicatorsPages(t *testing.T) {
	s := serveFake(t, newWandering(100))
	a := s.get(t, "/v1/symbols/btcusdt/indicators?limit=60&start=2024-03-01T00:00:00Z")
	first := decode[indicatorsPage](t, a, http.StatusOK)
	if first.NextCursor == nil || linkOf(a, "next") == "" || len(first.Indicators) != 60 {
		t.Fatalf("%d points, cursor %v, Link %q", len(first.Indicators), first.NextCursor, a.header.Get("Link"))
	}
	rest := decode[indicatorsPage](t, s.get(t, "/v1/symbols/BTCUSDT/indicators?limit=60&cursor="+*first.NextCursor), http.StatusOK)
	if rest.NextCursor != nil || len(rest.Indicators) != 40 || rest.Indicators[0].SMA == nil {
		t.Errorf("the next page has %d points, cursor %v", len(rest.Indicators), rest.NextCursor)
	}
	a = s.get(t, "/v1/symbols/BTCUSDT/indicators?limit=60")
	if newest := decode[indicatorsPage](t, a, http.StatusOK); newest.NextCursor != nil || linkOf(a, "prev") == "" || len(newest.Indicators) != 60 {
		t.Errorf("without start: %d points, Link %q", len(newest.Indicators), a.header.Get("Link"))
	}
	if none := s.get(t, "/v1/symbols/BTCUSDT/indicators?start=2030-01-01T00:00:00Z"); none.status != http.StatusOK || !strings.Contains(none.body, `"indicators":[]`) {
		t.Errorf("without candles: %d %s", none.status, none.body)
	}
}

func TestIndicatorsOfWhatIsNotThere(t *testing.T) {
	s := serveFake(t, newWandering(10))
	for target, status := range map[string]int{
		"/v1/symbols/DOGEUSDT/indicators":                                                    http.StatusNotFound,
		"/v1/symbols/BTCUSDT/indicators?interval=7m":                                         http.StatusUnprocessableEntity,
		"/v1/symbols/BTCUSDT/indicators?limit=3001":                                          http.StatusUnprocessableEntity,
		"/v1/symbols/BTCUSDT/indicators?sma=7":                                               http.StatusUnprocessableEntity,
		"/v1/symbols/BTCUSDT/indicators?start=2024-03-02T00:00:00Z&end=2024-03-01T00:00:00Z": http.StatusUnprocessableEntity,
	} {
		if a := s.get(t, target); a.status != status {
			t.Errorf("%s: status %d, want %d: %s", target, a.status, status, a.body)
		}
	}
}
