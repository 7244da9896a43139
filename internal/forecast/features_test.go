package forecast

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// sameRow compares to the last bit; NaN equals NaN.
func sameRow(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

// rowAt is what is known at the open of a candle.
func rowAt(own, other []market.Candle, instant time.Time) ([]float64, bool) {
	track, companion := newTrack(market.Minute15, own), newTrack(market.Minute15, other)
	known := track.closedBy(instant)
	if !track.ready(known, instant) {
		return nil, false
	}
	row := make([]float64, len(openingNames))
	openingFeatures(row, track, known, companion, instant)
	return row, true
}

func TestNothingAfterTheOpenChangesItsFeatures(t *testing.T) {
	own := synthetic(1, market.Minute15, 900)
	other := synthetic(2, market.Minute15, 900)
	rapid.Check(t, func(t *rapid.T) {
		position := rapid.IntRange(window, len(own)-1).Draw(t, "position")
		instant := own[position].OpenTime
		before, ok := rowAt(own, other, instant)
		if !ok {
			t.Fatalf("no row at %s", instant)
		}
		scramble := func(candles []market.Candle, name string) []market.Candle {
			changed := slices.Clone(candles)
			factor := rapid.Float64Range(0.01, 100).Draw(t, name)
			for k := range changed[position:] {
				c := &changed[position+k]
				c.Open, c.High, c.Low, c.Close = c.Open*factor, c.High*factor*2, c.Low*factor/2, c.Close/factor
				c.Volume *= factor
				c.TakerBuyVolume = market.Optional[float64]{}
			}
			// Some of the future may be missing, too.
			return changed[:rapid.IntRange(position, len(changed)).Draw(t, name+" length")]
		}
		after, ok := rowAt(scramble(own, "own"), scramble(other, "other"), instant)
		if !ok || !sameRow(before, after) {
			t.Fatalf("the future changed the features at %s:\n%v\n%v", instant, before, after)
		}
	})
}

func TestEveryFeatureDependsOnThePast(t *testing.T) {
	own, other := synthetic(1, market.Minute15, 700), synthetic(2, market.Minute15, 700)
	instant := own[690].OpenTime
	before, _ := rowAt(own, other, instant)
	changed, changedOther := slices.Clone(own), slices.Clone(other)
	for k := range 690 {
		changed[k].Close *= 1 + 0.01*math.Sin(float64(k))
		changed[k].High = max(changed[k].High, changed[k].Close) * 1.01
		changed[k].Low = min(changed[k].Low, changed[k].Close)
		changed[k].Volume *= 2 + math.Sin(float64(k))
		changedOther[k].Close *= 1 + 0.01*math.Cos(float64(k))
	}
	after, _ := rowAt(changed, changedOther, instant)
	for j, name := range openingNames {
		clock := name == "hour_sine" || name == "hour_cosine" || name == "weekday"
		if (before[j] == after[j]) != clock {
			t.Errorf("%s was %v, is %v", name, before[j], after[j])
		}
		if math.IsNaN(before[j]) || math.IsInf(before[j], 0) {
			t.Errorf("%s is %v", name, before[j])
		}
	}
}

// halfway is a candle after half its time.
var halfway = progress{elapsed: 0.5, open: 40000, high: 40060, low: 39980, last: 40010, volume: 60, taker: 0.6}

func insideOf(p progress, width, rest, usual float64) []float64 {
	row := make([]float64, len(insideNames))
	insideFeatures(row, p, width, rest, usual)
	return row
}

func TestEveryFeatureDependsOnTheInsideOfTheCandle(t *testing.T) {
	for name, change := range map[string]func(p *progress, width, rest, usual *float64){
		"width":              func(_ *progress, width, _, _ *float64) { *width *= 2 },
		"elapsed":            func(p *progress, _, _, _ *float64) { p.elapsed = 0.6 },
		"rest_width":         func(_ *progress, _, rest, _ *float64) { *rest *= 2 },
		"return_so_far":      func(p *progress, _, _, _ *float64) { p.open = 39990 },
		"range_so_far":       func(p *progress, _, _, _ *float64) { p.high = 40070 },
		"place_so_far":       func(p *progress, _, _, _ *float64) { p.last = 40020 },
		"volume_so_far":      func(p *progress, _, _, _ *float64) { p.volume = 70 },
		"taker_share_so_far": func(p *progress, _, _, _ *float64) { p.taker = 0.5 },
	} {
		j := slices.Index(insideNames, name)
		if j < 0 {
			t.Errorf("there is no %s", name)
			continue
		}
		p, width, rest, usual := halfway, 0.002, 0.0015, 100.0
		before := insideOf(p, width, rest, usual)
		change(&p, &width, &rest, &usual)
		if after := insideOf(p, width, rest, usual); after[j] == before[j] || math.IsNaN(before[j]) || math.IsInf(before[j], 0) {
			t.Errorf("%s was %v, is %v", name, before[j], after[j])
		}
	}
	if n := len(insideNames); n != 8 {
		t.Errorf("%d features are not all tried", n)
	}
}

// In the first instants of a candle, and in the last ones, what is expected is next to
// nothing.
func TestTheInsideOfACandleHasFiniteFeatures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(1e-8, 1e8).Draw(t, "low")
		high := low * (1 + rapid.Float64Range(0, 10).Draw(t, "range"))
		within := func(name string) float64 {
			return min(high, low+rapid.Float64Range(0, 1).Draw(t, name)*(high-low))
		}
		p := progress{
			elapsed: float64(rapid.Int64Range(0, int64(15*time.Minute)-1).Draw(t, "passed")) / float64(15*time.Minute),
			open:    within("open"), high: high, low: low, last: within("last"),
			volume: rapid.Float64Range(0, 1e9).Draw(t, "volume"), taker: rapid.Float64Range(0, 1).Draw(t, "taker"),
		}
		width := rapid.Float64Range(quietest, 1).Draw(t, "width")
		for j, value := range insideOf(p, width, usualRest.width(p, width), rapid.Float64Range(0, 1e9).Draw(t, "usual volume")) {
			if math.Abs(value) > mostWidths || math.IsNaN(value) {
				t.Fatalf("%s is %v", insideNames[j], value)
			}
		}
	})
}

func TestFeaturesDoNotKnowThePriceLevel(t *testing.T) {
	own, other := synthetic(1, market.Minute15, 700), synthetic(2, market.Minute15, 700)
	scaled := slices.Clone(own)
	for k := range scaled {
		c := &scaled[k]
		c.Open, c.High, c.Low, c.Close = c.Open/1024, c.High/1024, c.Low/1024, c.Close/1024
	}
	instant := own[695].OpenTime
	a, _ := rowAt(own, other, instant)
	b, _ := rowAt(scaled, other, instant)
	for j, name := range openingNames {
		if math.Abs(a[j]-b[j]) > 1e-9 {
			t.Errorf("%s is %v at one price and %v at a thousandth of it", name, a[j], b[j])
		}
	}
	cheap := halfway
	cheap.open, cheap.high, cheap.low, cheap.last = cheap.open/1024, cheap.high/1024, cheap.low/1024, cheap.last/1024
	a, b = insideOf(halfway, 0.002, 0.0015, 100), insideOf(cheap, 0.002, 0.0015, 100)
	for j, name := range insideNames {
		if math.Abs(a[j]-b[j]) > 1e-9 {
			t.Errorf("%s is %v at one price and %v at a thousandth of it", name, a[j], b[j])
		}
	}
}

func TestARowIsTheSameWhateverCameBeforeTheWindow(t *testing.T) {
	own, other := synthetic(1, market.Minute15, 3*window), synthetic(2, market.Minute15, 3*window)
	instant := own[len(own)-1].OpenTime
	long, _ := rowAt(own, other, instant)
	short, ok := rowAt(own[len(own)-window-2:], other[len(other)-window-2:], instant)
	if !ok || !sameRow(long, short) {
		t.Errorf("with all history:\n%v\nwith a window of it:\n%v", long, short)
	}
}

func TestGapsAndMissingParts(t *testing.T) {
	own, other := synthetic(1, market.Minute15, 2*window), synthetic(2, market.Minute15, 2*window)
	last := len(own) - 1
	instant := own[last].OpenTime

	if _, ok := rowAt(own[:last-1], other, instant); ok {
		t.Error("a row without the candle just before")
	}
	incomplete := slices.Clone(own)
	incomplete[last-1].Source = market.Minute5 // one part of three
	if _, ok := rowAt(incomplete, other, instant); ok {
		t.Error("a row behind a candle that lacks parts")
	}
	if _, ok := rowAt(own[len(own)-window:], other, instant); ok {
		t.Error("a row from less than the window")
	}
	gap := slices.Delete(slices.Clone(own), last-20, last-4)
	row, ok := rowAt(gap, other, instant)
	if !ok {
		t.Fatal("no row behind a gap of four hours")
	}
	jump := slices.Index(openingNames, "return_4")
	if want := math.Log(own[last-4].Close/own[last-4].Open) / ewmaVolatility(newTrack(market.Minute15, gap).returns[len(gap)-1-window:len(gap)-1]); math.Abs(row[jump]-want) > 1e-12 {
		t.Errorf("the first return behind a gap is %v, want that of the candle alone, %v", row[jump], want)
	}
	alone, ok := rowAt(own, nil, instant)
	if !ok || !math.IsNaN(alone[slices.Index(openingNames, "companion_return_1")]) {
		t.Error("without a companion its features must be missing, not the row")
	}
}
