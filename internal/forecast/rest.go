package forecast

import (
	"math"
	"slices"
)

// usualExponent says how the width of a return narrows as the candle passes, where
// nothing finer than the candles is stored to learn it from. Independent returns
// would make it ½; but the volatility within a candle varies too, so that the
// shorter the rest, the heavier the tails and the narrower the middle of its
// distribution. Chosen on 15m candles of 2021 to 2023; later ones, and 1h candles,
// bear it out.
const usualExponent = 0.55

// rest is how the width of what is left of a candle's return follows from the
// candle's width and from what has happened in it: a log-linear regression, fitted
// like the HAR model's. At the open it is the candle's width.
type rest struct {
	Coefficients []float64 // of restRegressors
	// Latest is the share of a candle's time up to which the regression has seen enough
	// of it, in (0, 1]. Beyond, what is left shrinks by the usual exponent: two instants
	// of 5m candles know nothing of a candle's last seconds.
	Latest float64
}

// fewestInside is how many samples within candles it takes to learn from them.
const fewestInside = 2000

var usualRest = rest{Coefficients: []float64{usualExponent, 0, 0, 0}, Latest: 1}

// restRegressors fills x with what the rest's width depends on: all of it is 0 at
// the open.
func restRegressors(x []float64, p progress, width float64) {
	left := math.Log(1 - p.elapsed)
	surprise := clamp(rangeSurprise(p, width), -2, 2)
	copy(x, []float64{left, p.elapsed, surprise * math.Sqrt(p.elapsed), surprise * p.elapsed})
}

// fitRest fits the regression to the samples within candles, given the width of
// every row's candle.
func fitRest(s *samples, widths []float64) (rest, error) {
	d := design{width: len(usualRest.Coefficients)}
	x := make([]float64, d.width)
	var shares []float64
	for k := range s.rows {
		if p := s.rows[k].progress; !p.atOpen() {
			restRegressors(x, p, widths[k])
			d.x = append(d.x, x...)
			d.y = append(d.y, math.Abs(s.rest(k)))
			d.factor = append(d.factor, widths[k])
			shares = append(shares, p.elapsed)
		}
	}
	if len(d.y) < fewestInside {
		return usualRest, nil
	}
	coefficients, err := d.poisson(usualRest.Coefficients)
	slices.Sort(shares)
	return rest{Coefficients: coefficients, Latest: shares[len(shares)-fewestInside]}, err
}

// width is the expected absolute log return of what is left of a candle.
func (r rest) width(p progress, width float64) float64 {
	if p.atOpen() {
		return width
	}
	known := p
	known.elapsed = min(p.elapsed, r.Latest)
	var x [4]float64
	restRegressors(x[:], known, width)
	eta := usualExponent * math.Log((1-p.elapsed)/(1-known.elapsed))
	for k, coefficient := range r.Coefficients {
		eta += coefficient * x[k]
	}
	// Instants before the close next to nothing is left, but never nothing.
	return clamp(width*math.Exp(eta), quietest/100, 1)
}
