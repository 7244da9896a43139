package indicators

import (
	"math"
	"testing"
)

var absent = math.NaN()

// compare fails unless the values agree to six decimals and are absent in the
// same places.
func compare(t *testing.T, name string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d values, want %d", name, len(got), len(want))
	}
	for i := range want {
		if math.IsNaN(got[i]) != math.IsNaN(want[i]) || math.Abs(got[i]-want[i]) > 5e-7 {
			t.Errorf("%s[%d] = %v, want %v", name, i, got[i], want[i])
		}
	}
}

// The values wanted below were worked out by hand.

func TestMovingAverages(t *testing.T) {
	values := []float64{2, 4, 6, 12, 8}
	for name, test := range map[string]struct{ got, want []float64 }{
		"SMA":                {sma(values, 3), []float64{absent, absent, 4, 22.0 / 3, 26.0 / 3}},
		"SMA of one":         {sma(values, 1), values},
		"SMA of too few":     {sma(values, 6), []float64{absent, absent, absent, absent, absent}},
		"EMA":                {ema(values, 3), []float64{absent, absent, 4, 8, 8}},
		"EMA of one":         {ema(values, 1), values},
		"EMA of just enough": {ema(values[:3], 3), []float64{absent, absent, 4}},
		"EMA of too few":     {ema(values, 6), []float64{absent, absent, absent, absent, absent}},
		"EMA of none":        {ema(nil, 3), nil},
	} {
		compare(t, name, test.got, test.want)
	}
}

func TestBollingerBands(t *testing.T) {
	// The textbook population: mean 5, standard deviation 2.
	lower, middle, upper := bollinger([]float64{2, 4, 4, 4, 5, 5, 7, 9, 5}, 8, 2)
	first := []float64{absent, absent, absent, absent, absent, absent, absent}
	// Then mean 43/8 and variance (4²·3 + 5²·3 + 7² + 9²)/8 − (43/8)² = 2.734375.
	compare(t, "lower", lower, append(first[:7:7], 1, 5.375-2*math.Sqrt(2.734375)))
	compare(t, "middle", middle, append(first[:7:7], 5, 5.375))
	compare(t, "upper", upper, append(first[:7:7], 9, 5.375+2*math.Sqrt(2.734375)))
}

func TestRelativeStrengthIndex(t *testing.T) {
	// Gains of 3.34 and losses of 1.40 in 14 changes; then a loss of 0.28.
	known := []float64{44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28, 46.00}
	want := unknown(14)
	compare(t, "RSI", rsi(known, 14), append(want, 70.464135, 66.249619))
	for name, test := range map[string]struct{ values, want []float64 }{
		"only up":   {[]float64{1, 2, 3, 4}, []float64{absent, absent, 100, 100}},
		"only down": {[]float64{4, 3, 2, 1}, []float64{absent, absent, 0, 0}},
		"no move":   {[]float64{3, 3, 3, 3}, []float64{absent, absent, 50, 50}},
		"too few":   {[]float64{3, 4}, []float64{absent, absent}},
	} {
		compare(t, name, rsi(test.values, 2), test.want)
	}
}

func TestMACD(t *testing.T) {
	line, signal := macd([]float64{1, 2, 4, 8, 16}, 2, 3, 2)
	compare(t, "line", line, []float64{absent, absent, 0.833333, 1.222222, 2.212963})
	compare(t, "signal", signal, []float64{absent, absent, absent, 1.027778, 1.817901})
	line, signal = macd([]float64{1, 2}, 2, 3, 2)
	compare(t, "line of too few", line, []float64{absent, absent})
	compare(t, "signal of too few", signal, []float64{absent, absent})
}
