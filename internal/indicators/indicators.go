// Package indicators computes what traders draw over candles: moving averages,
// Bollinger bands, the relative strength index and the MACD, all of closes.
//
// They count candles, not time: a candle that is not stored is passed over, and a
// window reaches back beyond the hole. Before there are enough candles a value is
// absent.
package indicators

import (
	"math"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// The usual lengths, in candles.
const (
	SMALength       = 50
	EMALength       = 20
	BollingerLength = 20
	BollingerWidth  = 2 // standard deviations from the middle to either band
	RSILength       = 14
	MACDFast        = 12
	MACDSlow        = 26
	MACDSignal      = 9
)

// WarmUp is how many candles before the first one of interest make its values
// independent of where the candles begin. An average that decays never forgets
// its first value; of the slowest one here, the RSI's, which keeps 13/14 a
// candle, less than 10⁻²⁴ of that is left then, far below what a float64 holds.
const WarmUp = 750

// Point holds the indicators at the close of one candle. Prices are in the quote
// asset.
type Point struct {
	SMA             market.Optional[float64] // mean of the last SMALength closes
	EMA             market.Optional[float64] // exponential mean of length EMALength
	BollingerLower  market.Optional[float64]
	BollingerMiddle market.Optional[float64]
	BollingerUpper  market.Optional[float64]
	RSI             market.Optional[float64] // in [0, 100]
	MACD            market.Optional[float64] // a difference of prices
	MACDSignal      market.Optional[float64]
	MACDHistogram   market.Optional[float64] // MACD less MACDSignal
}

// Of returns the indicators at the close of each candle. The candles are
// ascending by open time; see WarmUp for how many should stand before those that
// matter.
func Of(candles []market.Candle) []Point {
	closes := make([]float64, len(candles))
	for i, c := range candles {
		closes[i] = c.Close
	}
	simple, exponential := sma(closes, SMALength), ema(closes, EMALength)
	lower, middle, upper := bollinger(closes, BollingerLength, BollingerWidth)
	strength := rsi(closes, RSILength)
	line, signal := macd(closes, MACDFast, MACDSlow, MACDSignal)
	points := make([]Point, len(candles))
	for i := range points {
		points[i] = Point{
			SMA: optional(simple[i]), EMA: optional(exponential[i]),
			BollingerLower: optional(lower[i]), BollingerMiddle: optional(middle[i]), BollingerUpper: optional(upper[i]),
			RSI: optional(strength[i]), MACD: optional(line[i]), MACDSignal: optional(signal[i]),
			MACDHistogram: optional(line[i] - signal[i]),
		}
	}
	return points
}

// optional makes an absent value of what is not a number.
func optional(value float64) market.Optional[float64] {
	if math.IsNaN(value) {
		return market.Optional[float64]{}
	}
	return market.Some(value)
}

// unknown returns as many values that are not a number.
func unknown(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// sma returns the simple moving average: the mean of the last n values, from the
// n-th on. Each window is summed anew, so that rounding does not pile up along the
// way and a value depends on its window alone.
func sma(values []float64, n int) []float64 {
	averages := unknown(len(values))
	for i := n - 1; i < len(values); i++ {
		averages[i] = mean(values[i-n+1 : i+1])
	}
	return averages
}

// ema returns the exponential moving average: the mean of the first n values at
// the n-th, and from there on E + 2/(n+1)·(value − E), as in Appel, Technical
// Analysis: Power Tools for Active Investors (2005).
func ema(values []float64, n int) []float64 {
	averages := unknown(len(values))
	if len(values) < n {
		return averages
	}
	average, weight := mean(values[:n]), 2/float64(n+1)
	averages[n-1] = average
	for i := n; i < len(values); i++ {
		average += weight * (values[i] - average)
		averages[i] = average
	}
	return averages
}

// bollinger returns the simple moving average of n values and the bands width
// standard deviations of the same values below and above it. The deviation is that
// of a population, divided by n, as in Bollinger on Bollinger Bands (2001).
func bollinger(values []float64, n int, width float64) (lower, middle, upper []float64) {
	lower, middle, upper = unknown(len(values)), sma(values, n), unknown(len(values))
	for i := n - 1; i < len(values); i++ {
		squares := 0.0
		for _, v := range values[i-n+1 : i+1] {
			squares += (v - middle[i]) * (v - middle[i])
		}
		deviation := math.Sqrt(squares / float64(n))
		lower[i], upper[i] = middle[i]-width*deviation, middle[i]+width*deviation
	}
	return lower, middle, upper
}

// rsi returns the relative strength index 100·G/(G+L) of the average gain G and
// the average loss L from one value to the next: at first the mean of n changes,
// and from there on (n−1)/n of it and 1/n of the newest, as in Wilder, New Concepts
// in Technical Trading Systems (1978). Where nothing moved it is 50, which says
// neither up nor down.
func rsi(values []float64, n int) []float64 {
	indices := unknown(len(values))
	gain, loss := 0.0, 0.0
	for i := 1; i < len(values); i++ {
		up, down := max(0, values[i]-values[i-1]), max(0, values[i-1]-values[i])
		if i <= n {
			gain, loss = gain+up/float64(n), loss+down/float64(n)
		} else {
			gain += (up - gain) / float64(n)
			loss += (down - loss) / float64(n)
		}
		switch {
		case i < n:
		case gain+loss == 0:
			indices[i] = 50
		default:
			indices[i] = 100 * gain / (gain + loss)
		}
	}
	return indices
}

// macd returns the difference of a fast and a slow exponential moving average, and
// the exponential moving average of the difference, its signal: moving average
// convergence/divergence, as in Appel (2005). fast is below slow.
func macd(values []float64, fast, slow, signal int) (line, signals []float64) {
	line, signals = unknown(len(values)), unknown(len(values))
	if len(values) < slow {
		return line, signals
	}
	quick, slowly := ema(values, fast), ema(values, slow)
	for i := slow - 1; i < len(values); i++ {
		line[i] = quick[i] - slowly[i]
	}
	copy(signals[slow-1:], ema(line[slow-1:], signal))
	return line, signals
}
