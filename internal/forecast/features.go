package forecast

import (
	"math"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// window is how many closed candles every feature may look at: a week of 15m.
const window = 672

// ewmaDecay is RiskMetrics' for daily data. Beyond the window, where averages
// are cut off, weights are below 1e-17.
const ewmaDecay = 0.94

// quietest keeps logarithms finite when no price moved: a hundredth of a basis
// point.
const quietest = 1e-6

// openingNames names the columns that openingFeatures fills, in order.
var openingNames = []string{
	"return_1", "return_2", "return_3", "return_4", "return_5", "return_6", "return_7", "return_8",
	"return_sum_16", "return_sum_96",
	"volatility_1", "volatility_4", "volatility_16", "volatility_96", "volatility_672", "volatility_ewma",
	"range_1", "range_4", "range_96",
	"volume_1", "volume_4", "taker_share_1", "taker_share_4",
	"relative_strength_14", "average_distance_12", "average_distance_48", "place_1", "place_2",
	"companion_return_1", "companion_return_2", "companion_return_4",
	"companion_volatility_4", "companion_volatility_96", "companion_place_1", "companion_lead_1",
	"hour_sine", "hour_cosine", "weekday",
}

// insideNames names the columns that insideFeatures fills, in order.
var insideNames = []string{
	"width", "elapsed", "rest_width", "return_so_far", "range_so_far", "place_so_far", "volume_so_far", "taker_share_so_far",
}

// featureNames names the columns of a forest. A model that was trained on other
// names is refused.
var featureNames = slices.Concat(openingNames, insideNames)

// openingFeatures fills row with what is known of the candle that opens at the
// instant when just the first known candles of own have closed; it looks at the
// last window of them, at the companion's candles that have closed by the instant,
// and at the clock. With insideFeatures it is the one place where features are
// computed, for training and for live use alike. All of them are free of the
// price's scale: returns are in units of the current volatility, volatilities are
// logarithms of a return's size.
func openingFeatures(row []float64, own *track, known int, companion *track, instant time.Time) {
	returns := own.returns[known-window : known]
	ewma := ewmaVolatility(returns)
	next := 0
	put := func(value float64) { row[next] = value; next++ }

	for lag := 1; lag <= 8; lag++ {
		put(returns[window-lag] / ewma)
	}
	put(sum(tail(returns, 16)) / (ewma * math.Sqrt(16)))
	put(sum(tail(returns, 96)) / (ewma * math.Sqrt(96)))

	put(math.Log(math.Abs(returns[window-1]) + quietest))
	for _, length := range []int{4, 16, 96, window} {
		put(logVolatility(tail(returns, length)))
	}
	put(math.Log(ewma))

	ranges := own.ranges[known-window : known]
	for _, length := range []int{1, 4, 96} {
		put(math.Log(sum(tail(ranges, length))/float64(length) + quietest))
	}

	volumes := own.volumes[known-window : known]
	usual := own.usualVolume(known)
	put(math.Log((volumes[window-1] + usual*0.01 + quietest) / (usual + quietest)))
	put(math.Log((sum(tail(volumes, 4))/4 + usual*0.01 + quietest) / (usual + quietest)))

	takers := own.takers[known-window : known]
	put(takers[window-1])
	put(sum(tail(takers, 4)) / 4)

	put(relativeStrength(tail(returns, 14)))
	closes := own.close[known-window : known]
	put(averageDistance(closes, 12) / ewma)
	put(averageDistance(closes, 48) / ewma)

	put(own.places[known-1])
	put(own.places[known-2])

	// Where the companion's newest candle is not there, its columns are missing.
	n := companion.closedBy(instant)
	if companion.ready(n, instant) {
		others := companion.returns[n-window : n]
		scale := ewmaVolatility(others)
		put(others[window-1] / scale)
		put(others[window-2] / scale)
		put(sum(tail(others, 4)) / (2 * scale))
		put(logVolatility(tail(others, 4)))
		put(logVolatility(tail(others, 96)))
		put(companion.places[n-1])
		put(others[window-1]/scale - returns[window-1]/ewma)
	} else {
		for range 7 {
			put(math.NaN())
		}
	}

	hour := 2 * math.Pi * float64(instant.Sub(market.Day1.Floor(instant))) / float64(24*time.Hour)
	put(math.Sin(hour))
	put(math.Cos(hour))
	put(float64(instant.Weekday()))
}

const (
	// largestSurprise bounds logarithms of what happened over what was expected: in
	// the first instants of a candle a single trade makes them wild.
	largestSurprise = 3
	// mostWidths bounds the return so far in units of what is left, which approaches
	// nothing.
	mostWidths = 50
)

// insideFeatures fills row with what is known of a candle at an instant within it,
// given the width of its return as of the open, that of the return which is left,
// and the usual volume of a candle.
func insideFeatures(row []float64, p progress, width, rest, usualVolume float64) {
	volume := 0.0
	if !p.atOpen() {
		expected := usualVolume*p.elapsed + quietest
		volume = clamp(math.Log((p.volume+expected*0.01)/expected), -largestSurprise, largestSurprise)
	}
	copy(row, []float64{
		math.Log(width), p.elapsed, math.Log(rest), clamp(p.sinceOpen()/rest, -mostWidths, mostWidths), rangeSurprise(p, width),
		place(p.last, p.low, p.high), volume, p.taker,
	})
}

// rangeSurprise is the logarithm of the range so far over what the width makes
// expect, 0 at the open.
func rangeSurprise(p progress, width float64) float64 {
	if p.atOpen() {
		return 0
	}
	expected := width * math.Sqrt(p.elapsed)
	return clamp(math.Log((math.Log(p.high/p.low)+expected*0.1)/expected), -largestSurprise, largestSurprise)
}

// ewmaVolatility is RiskMetrics' exponentially weighted volatility of returns
// (J.P. Morgan 1996), cut off at the window.
func ewmaVolatility(returns []float64) float64 {
	variance, weight, weights := 0.0, 1.0, 0.0
	for k := len(returns) - 1; k >= 0; k-- {
		variance += weight * returns[k] * returns[k]
		weights += weight
		weight *= ewmaDecay
	}
	return math.Sqrt(variance/weights) + quietest
}

// logVolatility is the logarithm of the realised volatility per candle.
func logVolatility(returns []float64) float64 {
	squares := 0.0
	for _, r := range returns {
		squares += r * r
	}
	return math.Log(math.Sqrt(squares/float64(len(returns))) + quietest)
}

// relativeStrength is Wilder's RSI with plain averages, in [0, 1]; half where
// nothing moved.
func relativeStrength(returns []float64) float64 {
	gains, losses := 0.0, 0.0
	for _, r := range returns {
		gains += max(r, 0)
		losses += max(-r, 0)
	}
	if gains+losses == 0 {
		return 0.5
	}
	return gains / (gains + losses)
}

// averageDistance is the logarithm of the newest close over an exponential
// average of closes with that span, which is cut off at eight spans.
func averageDistance(closes []float64, span int) float64 {
	decay := 1 - 2/float64(span+1)
	average, weight, weights := 0.0, 1.0, 0.0
	for k := len(closes) - 1; k >= max(0, len(closes)-8*span); k-- {
		average += weight * closes[k]
		weights += weight
		weight *= decay
	}
	return math.Log(closes[len(closes)-1] / (average / weights))
}

func tail(values []float64, length int) []float64 { return values[len(values)-length:] }

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}
