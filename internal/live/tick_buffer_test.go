package live

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var midnight = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

func TestTicksBeyondTheMemoryAreAccountedFor(t *testing.T) {
	r := newRig(nil, bitcoin)
	w := newTickWriter(r.Service)
	b := r.ticks
	b.limit = 10
	b.begin(midnight)
	r.store.ticksAway = errAway
	for k := range 30 {
		place := midnight.Add(time.Duration(k) * sampled)
		if k == 3 || k == 4 {
			b.miss(bitcoin.Symbol, market.TimeRange{Start: place, End: place.Add(sampled)}, Silent)
		} else {
			b.add(market.Tick{Series: bitcoin, SampledAt: place})
		}
		if k%5 == 0 && w.flush(t.Context(), false) == nil {
			t.Fatal("stored in a database that is away")
		}
	}
	r.store.ticksAway = nil
	if err := w.flush(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	want := []string{"database_away 00:00:00 3", "silent 00:00:15 2", "database_away 00:00:25 15"}
	if got := r.store.reasons(bitcoin.Symbol); !slices.Equal(got, want) {
		t.Errorf("gaps are %v, want %v", got, want)
	}
	ticks := r.store.ticks[bitcoin.Symbol]
	if len(ticks) != 10 || !ticks[0].SampledAt.Equal(midnight.Add(20*sampled)) {
		t.Errorf("%d ticks were kept from %v on", len(ticks), ticks[0].SampledAt)
	}
	status := r.Status().Symbols[0]
	reasons := map[GapReason]int64{DatabaseAway: 18, Silent: 2}
	if status.Samples != 10 || status.Held != 0 || status.Missing != 20 || !maps.Equal(status.MissingByReason, reasons) {
		t.Errorf("status is %#v", status)
	}
	if held, dropped := b.waiting(); held != 0 || dropped != 18 {
		t.Errorf("%d held, %d dropped", held, dropped)
	}
	for _, disorder := range r.store.disorder {
		t.Error(disorder)
	}
}

func TestTheMemoryForGapsIsBounded(t *testing.T) {
	r := newRig(nil, bitcoin)
	w := newTickWriter(r.Service)
	r.ticks.begin(midnight)
	reasons := []GapReason{Silent, Disconnected}
	const places = 5 * mostGaps
	for k := range places {
		start := midnight.Add(time.Duration(k) * sampled)
		r.ticks.miss(bitcoin.Symbol, market.TimeRange{Start: start, End: start.Add(sampled)}, reasons[k%2])
	}
	if n := len(r.ticks.accounts[bitcoin.Symbol].gaps); n > mostGaps {
		t.Errorf("%d gaps are held", n)
	}
	if err := w.flush(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	missing := 0
	for _, gap := range r.store.gaps[bitcoin.Symbol] {
		missing += gap.Missing
	}
	if missing != places || len(r.store.disorder) > 0 {
		t.Errorf("%d places, want %d; %v", missing, places, r.store.disorder)
	}
}

// The database may have the first one, with its reason.
func TestTheGapThatIsBeingStoredIsNotMadeOneWithTheNext(t *testing.T) {
	b := newTickBuffer([]market.Series{bitcoin}, sampled)
	b.begin(midnight)
	place := func(k int) time.Time { return midnight.Add(time.Duration(k) * sampled) }
	miss := func(k int) {
		b.miss(bitcoin.Symbol, market.TimeRange{Start: place(k), End: place(k + 1)}, []GapReason{Silent, Disconnected}[k%2])
	}
	for k := range mostGaps {
		miss(k)
	}
	_, storing := b.next(false, batchSize)
	miss(mostGaps)
	if n := len(b.accounts[bitcoin.Symbol].gaps); n != mostGaps {
		t.Fatalf("%d gaps are held", n)
	}
	b.wroteGap(*storing)
	_, next := b.next(false, batchSize)
	if !storing.Start.Equal(place(0)) || storing.Missing != 1 || next == nil || !next.Start.Equal(place(1)) || next.Missing != 2 {
		t.Errorf("stored is %+v, then %+v", storing, next)
	}
}

// Whatever is sampled or missed, whenever the database is away, and wherever
// the process is killed: a place is accounted for once, and what is stored has
// no hole, which the store sees to.
func TestEveryPlaceIsAccountedForOnce(t *testing.T) {
	symbols := []market.Series{bitcoin, ether, solana}
	reasons := []GapReason{Silent, Disconnected, NotRunning}
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(nil, symbols...)
		w := newTickWriter(r.Service)
		b := r.ticks
		b.limit = rapid.IntRange(1, 60).Draw(t, "ticks held at most")
		first := midnight
		if rapid.Bool().Draw(t, "ran before") {
			r.store.accounted[bitcoin.Symbol] = midnight.Add(-time.Hour)
			first = midnight.Add(-time.Hour)
		}
		b.begin(midnight)
		places := rapid.IntRange(1, 150).Draw(t, "places")
		flush := rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "", "stored", "away", "stored in part"}), places, places).Draw(t, "flushes")
		bad := rapid.SliceOfN(rapid.IntRange(0, 9), places, places).Draw(t, "refused")
		r.store.refuse = func(tick market.Tick) error {
			if tick.Symbol == ether.Symbol && bad[tick.SampledAt.Sub(midnight)/sampled] == 0 {
				return market.Errorf(market.Invalid, "low is above high")
			}
			return nil
		}
		missing := make([][]int, len(symbols)) // for each symbol and place the reason, or none where above
		for k := range symbols {
			missing[k] = rapid.SliceOfN(rapid.IntRange(0, 8), places, places).Draw(t, "missing")
		}
		for k := range places {
			place := midnight.Add(time.Duration(k) * sampled)
			for n, series := range symbols {
				if m := missing[n][k]; m < len(reasons) {
					b.miss(series.Symbol, market.TimeRange{Start: place, End: place.Add(sampled)}, reasons[m])
				} else {
					b.add(market.Tick{Series: series, SampledAt: place})
				}
			}
			r.store.ticksAway, r.store.until = nil, 0
			switch flush[k] {
			case "":
				continue
			case "away":
				r.store.ticksAway = errAway
			case "stored in part":
				r.store.until = rapid.IntRange(1, 8).Draw(t, "calls until the database goes away")
			}
			_ = w.flush(t.Context(), false) // what fails is stored later
			if len(b.ticks) > b.limit {
				t.Fatalf("%d ticks are held", len(b.ticks))
			}
		}
		r.store.ticksAway, r.store.until = nil, 0
		if err := w.flush(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		for _, disorder := range r.store.disorder {
			t.Error(disorder)
		}
		end := midnight.Add(time.Duration(places) * sampled)
		status := r.Status()
		for n, series := range symbols {
			if until := r.store.accounted[series.Symbol]; !until.Equal(end) {
				t.Errorf("%s is accounted for until %s, want %s", series, until, end)
			}
			begin := midnight
			if n == 0 {
				begin = first
			}
			r.checkPlaces(t, series.Symbol, begin, end)
			s := status.Symbols[n]
			if int(s.Samples) != len(r.store.ticks[series.Symbol]) || s.Held != 0 || int(s.Samples+s.Missing) != places {
				t.Errorf("status is %#v", s)
			}
		}
	})
}

// The bound of what is held must not throw away what is being stored.
func TestTicksThatAreBeingStoredAreNotDropped(t *testing.T) {
	b := newTickBuffer([]market.Series{bitcoin}, sampled)
	b.limit = 2
	b.begin(midnight)
	add := func(k int) { b.add(market.Tick{Series: bitcoin, SampledAt: midnight.Add(time.Duration(k) * sampled)}) }
	add(0)
	add(1)
	writing, _ := b.next(false, batchSize)
	add(2)
	add(3)
	if len(writing) != 2 || len(b.ticks) != 4 {
		t.Fatalf("%d ticks are being stored, %d held", len(writing), len(b.ticks))
	}
	b.wrote(true)
	if gap := b.accounts[bitcoin.Symbol].due(1); gap != nil || len(b.ticks) != 2 {
		t.Errorf("%d ticks are held, the gap is %v", len(b.ticks), gap)
	}
	b.next(false, batchSize)
	add(4)
	b.wrote(false)
	if gap := b.accounts[bitcoin.Symbol].due(1); gap == nil || gap.Missing != 1 || len(b.ticks) != 2 {
		t.Errorf("%d ticks are held, the gap is %v", len(b.ticks), gap)
	}
}

func TestAGapThatGrowsWhileItIsBeingStoredIsStoredAgain(t *testing.T) {
	b := newTickBuffer([]market.Series{bitcoin}, sampled)
	b.begin(midnight)
	place := func(k int) time.Time { return midnight.Add(time.Duration(k) * sampled) }
	miss := func(k int) {
		b.miss(bitcoin.Symbol, market.TimeRange{Start: place(k), End: place(k + 1)}, Silent)
	}
	miss(0)
	_, storing := b.next(true, batchSize)
	miss(1)
	b.add(market.Tick{Series: bitcoin, SampledAt: place(2)})
	b.wroteGap(*storing)
	_, again := b.next(false, batchSize)
	if again == nil || !again.Start.Equal(place(0)) || again.Missing != 2 {
		t.Fatalf("stored is %+v, then %+v", storing, again)
	}
	b.wroteGap(*again)
	if ticks, gap := b.next(true, batchSize); len(ticks) != 1 || gap != nil {
		t.Errorf("next are %d ticks and %+v", len(ticks), gap)
	}
}
