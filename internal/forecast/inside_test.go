package forecast

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestIntervalsThatTellOfTheInside(t *testing.T) {
	for interval, want := range map[market.Interval][]market.Interval{
		market.Minute1:  nil,
		market.Minute3:  {market.Minute1},
		market.Minute5:  {market.Minute1},
		market.Minute15: {market.Minute5, market.Minute1},
		market.Hour1:    {market.Minute15, market.Minute5, market.Minute1},
		market.Hour4:    {market.Hour1, market.Minute15, market.Minute5},
		market.Day1:     {market.Hour4, market.Hour1},
		market.Week1:    {market.Day1, market.Hour4},
	} {
		if got := insideIntervals(interval); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", interval, got, want)
		}
	}
}

func TestOneInstantOfEachQuarterIsDrawn(t *testing.T) {
	for parts, want := range map[int]struct{ quarters, last int }{
		3: {2, 2}, 4: {3, 3}, 5: {4, 4}, 6: {4, 5}, 12: {4, 11}, 15: {4, 14}, 31: {4, 30}, 60: {4, 59},
	} {
		times := map[int]int{}
		const candles = 2000
		for k := range candles {
			open := start.Add(time.Duration(k) * 15 * time.Minute)
			ends := drawn(open, parts)
			if !slices.Equal(ends, drawn(open, parts)) {
				t.Fatalf("%d parts: another draw the second time", parts)
			}
			seen := map[int]bool{}
			for _, end := range ends {
				times[end]++
				seen[progress{elapsed: float64(end) / float64(parts)}.quarter()] = true
			}
			if len(ends) != want.quarters || len(seen) != want.quarters || !slices.IsSorted(ends) {
				t.Fatalf("%d parts: drawn are %v", parts, ends)
			}
		}
		// Every instant but the open has its chance, about as good as the others of its
		// quarter.
		for end := 1; end <= want.last; end++ {
			quarter := progress{elapsed: float64(end) / float64(parts)}.quarter()
			rivals := 0
			for other := 1; other < parts; other++ {
				if (progress{elapsed: float64(other) / float64(parts)}).quarter() == quarter {
					rivals++
				}
			}
			if share := float64(times[end]) / candles * float64(rivals); share < 0.7 || share > 1.3 {
				t.Errorf("%d parts: the one after %d is drawn %d times, %.2f of its share", parts, end, times[end], share)
			}
		}
		if times[0] != 0 || times[parts] != 0 {
			t.Errorf("%d parts: the open or the close is drawn", parts)
		}
	}
}

func TestTheInsideOfACandleByHand(t *testing.T) {
	parts := []market.Candle{
		{Open: 100, High: 103, Low: 99, Close: 101, Volume: 2, TakerBuyVolume: market.Some(1.5)},
		{Open: 101, High: 102, Low: 97, Close: 98, Volume: 6, TakerBuyVolume: market.Some(0.5)},
		{Open: 98, High: 200, Low: 50, Close: 150, Volume: 100, TakerBuyVolume: market.Some(50.0)},
	}
	candles := func() []market.Candle {
		own := slices.Clone(parts)
		for k := range own {
			own[k].OpenTime = start.Add(time.Duration(k) * 5 * time.Minute)
			own[k].Source, own[k].Parts = market.Minute5, 1
		}
		return own
	}
	look := func(finer []market.Candle) []progress {
		track := newTrack(market.Minute15, rolledUp(candles(), market.Minute15))
		track.lookInside(market.Minute5, finer)
		return track.inside[0]
	}
	want := []progress{
		{elapsed: 1. / 3, open: 100, high: 103, low: 99, last: 101, volume: 2, taker: 0.75},
		{elapsed: 2. / 3, open: 100, high: 103, low: 97, last: 98, volume: 8, taker: 0.25},
	}
	if got := look(candles()); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	silent := candles()
	silent[1].TakerBuyVolume = market.Optional[float64]{}
	if got := look(silent); len(got) != 2 || got[0].taker != 0.75 || !math.IsNaN(got[1].taker) {
		t.Errorf("with an unknown part, what takers bought is %+v", got)
	}
	for name, finer := range map[string][]market.Candle{
		"one missing":       candles()[:2],
		"the first missing": candles()[1:],
		"one lacks a part":  func() []market.Candle { c := candles(); c[1].Source = market.Minute1; return c }(),
		"of another candle": func() []market.Candle { c := candles(); c[0].OpenTime = start.Add(-5 * time.Minute); return c }(),
		"of none that is known": func() []market.Candle {
			c := candles()
			for k := range c {
				c[k].OpenTime = c[k].OpenTime.AddDate(0, 0, 1)
			}
			return c
		}(),
	} {
		if got := look(finer); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOfWhatTradedAtTheOpenItselfOnlyPricesAreKnown(t *testing.T) {
	c := market.Candle{OpenTime: start, Open: 100, High: 104, Low: 99, Close: 102, Volume: 8, TakerBuyVolume: market.Some(2.0)}
	got := progressOf(market.Minute15, c, start)
	if !math.IsNaN(got.taker) {
		t.Errorf("takers bought %v", got.taker)
	}
	got.taker = 0
	if want := (progress{open: 100, high: 102, low: 102, last: 102}); got != want {
		t.Errorf("at the open %+v, want %+v", got, want)
	}
	want := progress{elapsed: 0.2, open: 100, high: 104, low: 99, last: 102, volume: 8, taker: 0.25}
	if got := progressOf(market.Minute15, c, start.Add(3*time.Minute)); got != want {
		t.Errorf("three minutes later %+v, want %+v", got, want)
	}
}

// The finest candles that are complete tell most.
func TestFinerCandlesTakeTheCoarsersPlaceWhereTheyAreComplete(t *testing.T) {
	stores := newFineMemory(800)
	minute := market.Series{Symbol: btc.Symbol, Interval: market.Minute1}
	minutes := stores.candles[minute]
	gap := position(minutes, start.Add(700*15*time.Minute+7*time.Minute))
	stores.candles[minute] = slices.Delete(minutes, gap, gap+1)
	s, err := NewForecaster(stores, nil).samples(t.Context(), btc, all)
	if err != nil {
		t.Fatal(err)
	}
	instants := map[int]int{} // by candle
	for k := range s.rows {
		instants[int(s.open(k).Sub(start)/(15*time.Minute))]++
	}
	if len(instants) != 800-window {
		t.Errorf("%d candles", len(instants))
	}
	for candle, n := range instants {
		if want := 5; candle != 700 && n != want {
			t.Errorf("candle %d is looked into at %d instants, want %d", candle, n, want)
		}
	}
	if instants[700] != 3 {
		t.Errorf("the candle with a minute missing is looked into at %d instants, want 3, by the candles of 5m", instants[700])
	}
}
