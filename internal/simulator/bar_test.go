package simulator

import (
	"math/big"
	"math/bits"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestSumsAreTheNearestDecimals compares with exact arithmetic, over the bits
// that sums have.
func TestSumsAreTheNearestDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(0, 62).Draw(t, "bits")
		var s sum
		exact := new(big.Int)
		for _, units := range rapid.SliceOfN(rapid.Int64Range(0, 1<<width), 1, 20).Draw(t, "units") {
			s.add(units)
			exact.Add(exact, big.NewInt(units))
		}
		want, _ := new(big.Rat).SetFrac(exact, big.NewInt(unit)).Float64()
		if got := s.whole(); got != want {
			t.Fatalf("%s units are %v, want %v", exact, got, want)
		}
	})
}

func TestUnitsPrintAsTheExchangeDoes(t *testing.T) {
	for units, want := range map[int64]string{
		0:                        "0.00000000",
		1:                        "0.00000001",
		426_148_000_000:          "4261.48000000",
		117_588_274_000:          "1175.88274000",
		1_954_298_842_354_520:    "19542988.42354520",
		12_345_678_901_234_567:   "123456789.01234567",
		9_007_199_254_740_993_00: "9007199254.74099350", // between two values of a float64, the even one
	} {
		if got := strconv.FormatFloat(whole(units), 'f', 8, 64); got != want {
			t.Errorf("%d units are %s, want %s", units, got, want)
		}
	}
}

// TestSumsJustAboveHalfwayRoundUp adds a unit to what lies halfway between two
// values of a float64, which goes to the even one.
func TestSumsJustAboveHalfwayRoundUp(t *testing.T) {
	const even, odd = 1 << 54, 1<<54 + 4 // neighbours
	var s sum
	s.high, s.low = bits.Mul64(even+2, unit)
	if got := s.whole(); got != even {
		t.Errorf("halfway is %v, want %v", got, float64(even))
	}
	s.add(1)
	if got := s.whole(); got != odd {
		t.Errorf("just above halfway is %v, want %v", got, float64(odd))
	}
}
