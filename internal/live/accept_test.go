package live

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestAccept(t *testing.T) {
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }
	state := func(s float64) Kline { return stateAt(bitcoin, at(s)) }
	shrunk := stateAt(bitcoin, at(9))
	shrunk.Candle.Trades = market.Some(int64(2))
	lessVolume := stateAt(bitcoin, at(9))
	lessVolume.Candle.Volume = 2
	uncounted := stateAt(bitcoin, at(9))
	uncounted.Candle.Trades = market.Optional[int64]{}

	// traded is a state with a last trade, that is dated so many seconds after noon.
	traded := func(lastTrade int64, second float64) Kline {
		k := stateAt(bitcoin, noon)
		k.Candle.Trades, k.LastTradeID, k.EventTime = market.Optional[int64]{}, market.Some(lastTrade), at(second)
		return k
	}
	ahead := stateAt(bitcoin, at(5))
	ahead.EventTime = at(5 + 4*60) // by a machine whose clock is fast
	sameTrades := stateAt(bitcoin, at(5))
	sameTrades.EventTime = at(5.5)
	fewerByID := stateAt(bitcoin, at(9))
	fewerByID.LastTradeID = market.Some(int64(100))
	moreByID := stateAt(bitcoin, at(7))
	moreByID.LastTradeID = market.Some(int64(101))

	const newer, closes, unclosed = "newer ", "closes ", "unclosed "
	for _, test := range []struct {
		name   string
		before []Kline
		event  Kline
		want   string
	}{
		{"the first, of which the candle before is unknown", nil, state(5), newer + unclosed},
		{"a later state", []Kline{state(5)}, state(7), newer},
		{"the same again", []Kline{state(5)}, state(5), ""},
		{"an earlier state", []Kline{state(7)}, state(5), ""},
		{"later by the clock, but of fewer trades", []Kline{state(7)}, shrunk, ""},
		{"later by the clock, but of less volume", []Kline{state(7)}, lessVolume, ""},
		{"of more trades, after a clock that was ahead", []Kline{ahead}, state(6), newer},
		{"of as many trades, after a clock that was ahead", []Kline{ahead}, state(5), ""},
		{"of as many trades, later", []Kline{state(5)}, sameTrades, newer},
		{"of a later trade, after a clock that was ahead", []Kline{traded(100, 245)}, traded(101, 6), newer},
		{"of the same trade, later", []Kline{traded(100, 5)}, traded(100, 6), newer},
		{"of the same trade, earlier", []Kline{traded(100, 6)}, traded(100, 5), ""},
		{"later by the clock, but of an earlier trade", []Kline{traded(101, 5)}, traded(100, 6), ""},
		{"of more trades, but of an earlier one", []Kline{moreByID}, fewerByID, ""},
		{"trades that are not published", []Kline{state(7)}, uncounted, newer},
		{"the end", []Kline{state(59)}, closeOf(bitcoin, noon, at(60)), newer + closes},
		{"the end, said at the time of the last state", []Kline{state(59)}, closeOf(bitcoin, noon, at(59)), newer + closes},
		{"the end again", []Kline{state(59), closeOf(bitcoin, noon, at(60))}, closeOf(bitcoin, noon, at(60.1)), ""},
		{"a state after the end", []Kline{closeOf(bitcoin, noon, at(60))}, state(59.5), ""},
		{"the next candle", []Kline{state(59), closeOf(bitcoin, noon, at(60))}, state(60), newer},
		{"the next candle without the end", []Kline{state(59)}, state(60), newer + unclosed},
		{"a candle after one that was left out", []Kline{state(59), closeOf(bitcoin, noon, at(60))}, state(120), newer + unclosed},
		{"the end after the next candle", []Kline{state(59), state(60)}, closeOf(bitcoin, noon, at(61)), closes},
		{"that again", []Kline{state(59), state(60), closeOf(bitcoin, noon, at(61))}, closeOf(bitcoin, noon, at(61)), ""},
		{"a state of the candle before", []Kline{state(59), state(60)}, state(59.5), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &follower{series: bitcoin}
			for _, k := range test.before {
				f.accept(&k, k.EventTime)
			}
			dropped, before := f.duplicates, f.newest
			got := f.accept(&test.event, test.event.EventTime)
			described := ""
			if got.newer {
				described += newer
			}
			if got.closes {
				described += closes
			}
			if !got.unclosed.Empty() {
				described += unclosed
			}
			if described != test.want {
				t.Errorf("it is %q, want %q", described, test.want)
			}
			if counted := f.duplicates > dropped; counted != (test.want == "") {
				t.Errorf("counted as duplicate: %t", counted)
			}
			if kept := f.newest == test.event && before != test.event; kept != got.newer {
				t.Errorf("kept as the newest: %t", kept)
			}
		})
	}
}

func TestAnEndIsAcceptedOnceEvenAfterManyOthers(t *testing.T) {
	f := &follower{series: bitcoin}
	end := func(minute int) Kline {
		open := midnight.Add(time.Duration(minute) * time.Minute)
		return closeOf(bitcoin, open, open.Add(time.Minute))
	}
	for minute := range 30 {
		event := end(minute)
		if !f.accept(&event, event.EventTime).closes {
			t.Fatalf("the end of minute %d was not accepted", minute)
		}
	}
	for minute := range 30 {
		event := end(minute)
		if f.accept(&event, event.EventTime).closes {
			t.Errorf("the end of minute %d was accepted again", minute)
		}
	}
}

// Whatever is repeated, swapped or lost on the way, prices go forward and a
// candle closes once.
func TestAcceptedPricesGoForwardAndCandlesCloseOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
		seconds := rapid.SliceOfN(rapid.IntRange(0, 40*60), 1, 300).Draw(t, "seconds")
		ends := rapid.SliceOfN(rapid.Bool(), len(seconds), len(seconds)).Draw(t, "ends")
		if rapid.Bool().Draw(t, "in order") {
			slices.Sort(seconds)
		}
		f := &follower{series: bitcoin}
		taken := map[time.Time]bool{}
		var last Kline
		for k, second := range seconds {
			at := noon.Add(time.Duration(second) * time.Second)
			event := stateAt(bitcoin, at)
			if ends[k] {
				event = closeOf(bitcoin, event.Candle.OpenTime.Add(-time.Minute), at)
			}
			got := f.accept(&event, at)
			open := event.Candle.OpenTime
			if got.closes {
				if taken[open] {
					t.Fatalf("%s closed twice", open)
				}
				taken[open] = true
			}
			if event.Closed && !taken[open] && len(taken) < len(f.taken.times) {
				t.Fatalf("that %s has closed was dropped", open)
			}
			if got.newer {
				switch was := last.Candle.OpenTime; {
				case open.Before(was), open.Equal(was) && (last.Closed || !event.Closed && !at.After(last.EventTime)):
					t.Fatalf("%+v came after %+v", event, last)
				}
				last = event
			}
		}
	})
}
