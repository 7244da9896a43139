package forecast

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestTheWidthOfTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.Float64Range(quietest, 0.1).Draw(t, "width")
		high := 1 + rapid.Float64Range(0, 0.2).Draw(t, "range")
		p := progress{
			elapsed: rapid.Float64Range(1e-9, math.Nextafter(1, 0)).Draw(t, "elapsed"),
			open:    1, low: 1, high: high, last: high,
		}
		if got := usualRest.width(untraded(1), width); got != width {
			t.Fatalf("at the open %v is left of %v", got, width)
		}
		got := usualRest.width(p, width)
		if want := max(width*math.Pow(1-p.elapsed, usualExponent), quietest/100); math.Abs(got/want-1) > 1e-9 {
			t.Fatalf("%v is left of %v after %v, want %v", got, width, p.elapsed, want)
		}
	})
}

func TestTheRestIsLearntFromTheInsideOfCandles(t *testing.T) {
	const sigma = 0.002
	s, _ := walked(20000, sigma)
	widths := make([]float64, s.len())
	for k := range widths {
		widths[k] = sigma / normalDeviation
	}
	learnt, err := fitRest(s, widths)
	if err != nil {
		t.Fatal(err)
	}
	// What is left of independent returns goes with the root of the time that is left,
	// whatever happened before.
	for _, elapsed := range []float64{0.25, 0.5, 0.75} {
		for _, last := range []float64{99.8, 100, 100.1, 100.3} {
			p := progress{elapsed: elapsed, open: 100, high: max(100, last), low: min(100, last), last: last}
			if got, want := learnt.width(p, widths[0]), widths[0]*math.Sqrt(1-elapsed); math.Abs(got/want-1) > 0.05 {
				t.Errorf("after %v at %v: %v is left, want %v", elapsed, last, got, want)
			}
		}
	}
	// Of too little, nothing is learnt.
	few := s.slice(0, fewestInside) // a quarter of them is at the open
	if got, err := fitRest(few, widths); err != nil || !closeTo(got.Coefficients, usualRest.Coefficients, 0) {
		t.Errorf("of %d rows came %v, %v", few.len(), got, err)
	}
	if got, err := fitRest(s.openings(), widths); err != nil || !closeTo(got.Coefficients, usualRest.Coefficients, 0) {
		t.Errorf("of the opens alone came %v, %v", got, err)
	}
}

// Samples of few distinct instants say nothing of the candle's end: whatever was
// learnt from them, less and less is left, and in the end nothing.
func TestTheRestShrinksBeyondWhatWasLearnt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rest{Latest: rapid.Float64Range(0.3, 0.95).Draw(t, "latest"), Coefficients: []float64{
			rapid.Float64Range(-1, 1).Draw(t, "left"), rapid.Float64Range(-1, 1).Draw(t, "elapsed"),
			rapid.Float64Range(-0.5, 0.5).Draw(t, "root"), rapid.Float64Range(-0.5, 0.5).Draw(t, "surprise"),
		}}
		p := progress{open: 100, low: 100, high: 101, last: 100, elapsed: r.Latest}
		atLatest := r.width(p, 0.001)
		for _, left := range []float64{0.5, 0.1, 0.01, 1e-4} {
			p.elapsed = 1 - (1-r.Latest)*left
			if got, want := r.width(p, 0.001), atLatest*math.Pow(left, usualExponent); math.Abs(got/want-1) > 1e-6 && got > quietest/100 {
				t.Fatalf("with %v of the unknown left: %v, want %v", left, got, want)
			}
		}
	})
}
