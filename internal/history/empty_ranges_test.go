package history

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestEmptyAfter(t *testing.T) {
	const apart = occasionsApart
	noon := time.Date(2024, time.May, 1, 12, 0, 0, 0, time.UTC)
	empty := func(from, to, asked int, at time.Time) EmptyRange {
		return EmptyRange{bitcoinPlaces(from, to), asked, at}
	}
	at := func(open time.Time) market.Candle { return candleOpening(open, bitcoin.Interval, 1) }
	for _, test := range []struct {
		name    string
		known   []EmptyRange
		asked   market.TimeRange
		candles []market.Candle
		want    []EmptyRange
	}{
		{name: "nothing is empty", asked: bitcoinPlaces(0, 2), candles: []market.Candle{at(bitcoinPlace(0)), at(bitcoinPlace(1))}},
		{name: "a first occasion", asked: bitcoinPlaces(0, 2), want: []EmptyRange{empty(0, 2, 1, noon)}},
		{
			name: "another occasion", known: []EmptyRange{empty(0, 2, 2, noon.Add(-apart))}, asked: bitcoinPlaces(0, 2),
			want: []EmptyRange{empty(0, 2, 3, noon)},
		},
		{
			name: "too soon for another", known: []EmptyRange{empty(0, 2, 2, noon.Add(1-apart))}, asked: bitcoinPlaces(0, 2),
			want: []EmptyRange{empty(0, 2, 2, noon.Add(1-apart))},
		},
		{
			name: "an older answer that comes late", known: []EmptyRange{empty(0, 2, 2, noon.Add(apart))}, asked: bitcoinPlaces(0, 2),
			want: []EmptyRange{empty(0, 2, 2, noon.Add(apart))},
		},
		{
			name: "a candle comes in", known: []EmptyRange{empty(0, 3, 2, noon.Add(-apart))}, asked: bitcoinPlaces(0, 3),
			candles: []market.Candle{at(bitcoinPlace(1))},
			want:    []EmptyRange{empty(0, 1, 3, noon), empty(2, 3, 3, noon)},
		},
		{
			name: "off the grid", known: []EmptyRange{empty(1, 2, 3, noon)}, asked: bitcoinPlaces(0, 3),
			candles: []market.Candle{at(bitcoinPlace(1).Add(time.Minute))},
			want:    []EmptyRange{empty(0, 1, 1, noon), empty(2, 3, 1, noon)},
		},
		{
			name: "outside of what was asked", known: []EmptyRange{empty(0, 9, 1, noon.Add(-apart))}, asked: bitcoinPlaces(3, 5),
			want: []EmptyRange{empty(0, 3, 1, noon.Add(-apart)), empty(3, 5, 2, noon), empty(5, 9, 1, noon.Add(-apart))},
		},
		{
			name: "neighbours of equal history", asked: bitcoinPlaces(1, 3),
			known: []EmptyRange{empty(0, 1, 1, noon), empty(1, 2, 1, noon.Add(-1)), empty(3, 5, 1, noon), empty(5, 6, 2, noon)},
			want:  []EmptyRange{empty(0, 1, 1, noon), empty(1, 2, 1, noon.Add(-1)), empty(2, 5, 1, noon), empty(5, 6, 2, noon)},
		},
	} {
		page := Page{Asked: test.asked, Candles: test.candles, Asking: noon}
		if got := EmptyAfter(bitcoin.Interval, test.known, page); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestEmptyAfterKnowsEveryPlace compares the ranges with places that are kept
// one by one.
func TestEmptyAfterKnowsEveryPlace(t *testing.T) {
	type occasions struct {
		asked int
		last  time.Time
	}
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.SampledFrom(market.Intervals()).Draw(t, "interval")
		place := func(k int) time.Time { return placeAfter(interval, interval.Floor(FirstListing), k) }
		const count = 40
		asking := time.Date(2024, time.May, 1, 12, 0, 0, 0, time.UTC)
		var known []EmptyRange
		want := map[int]occasions{}
		for range rapid.IntRange(1, 12).Draw(t, "pages") {
			// Time may also go backwards: pages are written in any order.
			asking = asking.Add(time.Duration(rapid.IntRange(-10, 20).Draw(t, "minutes later")) * time.Minute)
			from := rapid.IntRange(0, count).Draw(t, "from")
			to := rapid.IntRange(from, count).Draw(t, "to")
			page := Page{Asked: market.TimeRange{Start: place(from), End: place(to)}, Asking: asking}
			for k := from; k < to; k++ {
				if rapid.IntRange(0, 3).Draw(t, "candle") == 0 {
					offGrid := time.Duration(rapid.IntRange(0, 1).Draw(t, "off the grid")) * time.Second
					page.Candles = append(page.Candles, candleOpening(place(k).Add(offGrid), interval, 1))
					delete(want, k)
					continue
				}
				before, ok := want[k]
				if !ok || asking.Sub(before.last) >= occasionsApart {
					want[k] = occasions{before.asked + 1, asking}
				}
			}
			concerned := func(e EmptyRange) bool { return e.Start.Before(page.Asked.End) && page.Asked.Start.Before(e.End) }
			others := slices.DeleteFunc(slices.Clone(known), concerned)
			known = slices.DeleteFunc(known, func(e EmptyRange) bool { return !concerned(e) })
			after := EmptyAfter(interval, known, page)
			for k := 1; k < len(after); k++ {
				a, b := after[k-1], after[k]
				if b.Start.Before(a.End) {
					t.Fatalf("%v and %v overlap", a, b)
				}
				if b.Start.Equal(a.End) && a.Asked == b.Asked && a.LastAsked.Equal(b.LastAsked) {
					t.Fatalf("%v and %v are one range", a, b)
				}
			}
			known = append(others, after...)
			slices.SortFunc(known, func(a, b EmptyRange) int { return a.Start.Compare(b.Start) })

			got := map[int]occasions{}
			for _, e := range known {
				for k := range count {
					if e.Contains(place(k)) {
						got[k] = occasions{e.Asked, e.LastAsked}
					}
				}
			}
			for k := range count {
				if got[k] != want[k] {
					t.Fatalf("place %d: %v, want %v", k, got[k], want[k])
				}
			}
		}
	})
}
