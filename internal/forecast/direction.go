package forecast

import (
	"math"

	"github.com/cryptoboat/cryptoboat/internal/forest"
)

// direction gives the probability that a candle closes above its open: the normal
// distribution's, given the width of what is left, and a forest on what that gets
// wrong. A forest on the outcome itself is worse than the normal distribution in
// the last minutes.
type direction struct {
	// Deviation is the standard deviation that stands for an expected absolute
	// return of 1: √(π/2) for a normal distribution, less where tails are heavy.
	Deviation float64
	forest    *forest.Forest // on outcome − analytic
	// inside tells whether the forest has seen the inside of candles. Where it has
	// not, what it knows of the open fades as the candle passes.
	Inside bool
}

var normalDeviation = math.Sqrt(math.Pi / 2)

// normal is the standard normal distribution function.
func normal(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// analytic is the probability of a close above the open by the normal distribution.
func (d *direction) analytic(p progress, restWidth float64) float64 {
	return normal(p.sinceOpen() / (d.Deviation * restWidth))
}

// fitDeviation chooses the deviation of the least Brier score.
func fitDeviation(s *samples, restWidths []float64) float64 {
	best, least := normalDeviation, math.Inf(1)
	const first, last, step = 80, 160, 5 // hundredths
	for hundredths := first; hundredths <= last; hundredths += step {
		d := direction{Deviation: float64(hundredths) / 100}
		loss, rows := 0.0, 0
		for k := range s.rows {
			if p := s.rows[k].progress; !p.atOpen() {
				miss := s.rose(k) - d.analytic(p, restWidths[k])
				loss += miss * miss
				rows++
			}
		}
		if rows < fewestInside {
			return normalDeviation
		}
		if loss < least {
			best, least = d.Deviation, loss
		}
	}
	return best
}

// largestLean clips the returns that say how clearly a candle rose, in units of the
// width: beyond, they say more of the width than of the direction.
const largestLean = 1.5

// lessons fills target with what the forest is to learn: by how much the analytic
// probability was wrong. At the open, where next to nothing is to be known and an
// outcome is nearly all chance, half of that comes from the size of the return, which
// tells a little more than its sign: it took 0.0001 off the Brier score of 2024 and
// 2025, a twentieth of all that there is to gain.
func (d *direction) lessons(target []float64, s *samples, restWidths []float64) {
	var onReturn slope
	lean := func(k int) float64 { return clamp(s.rest(k)/restWidths[k], -largestLean, largestLean) }
	for k := range s.rows {
		target[k] = s.rose(k) - d.analytic(s.rows[k].progress, restWidths[k])
		if s.rows[k].atOpen() {
			onReturn.add(lean(k), target[k])
		}
	}
	if onReturn.squares == 0 {
		return
	}
	scale := onReturn.products / onReturn.squares
	for k := range s.rows {
		if s.rows[k].atOpen() {
			target[k] = (target[k] + scale*lean(k)) / 2
		}
	}
}

// probability corrects the analytic probability by the forest's residual for a row.
// What is all but certain cannot be corrected by much: the bound leaves a probability
// between its square and that of certainty, where a forest's mean over leaves of less
// certain instants would lead beyond 0 or 1.
func (d *direction) probability(analytic float64, p progress, row []float64, scratch *forest.Distribution) (float64, error) {
	if err := d.forest.Predict(row, scratch); err != nil {
		return 0, err
	}
	// The later, the more of what the forest adds is noise; what it knows of the open
	// alone is of no use at the close.
	residual := scratch.Mean() * (1 - p.elapsed/2)
	if !d.Inside {
		residual = scratch.Mean() * (1 - p.elapsed)
	}
	bound := analytic * (1 - analytic)
	return analytic + clamp(residual, -bound, bound), nil
}

// risesGiven returns the probability of a close above the newest price that agrees
// with that of a close above the open: the distribution's, whose mass above and below
// the open is scaled to it. aboveOpen and aboveLast are the distribution's own.
func risesGiven(probability, aboveOpen, aboveLast float64) float64 {
	switch {
	case aboveLast < aboveOpen: // the newest price is above the open
		return probability * (aboveLast / aboveOpen)
	case aboveLast > aboveOpen:
		return probability + (1-probability)*((aboveLast-aboveOpen)/(1-aboveOpen))
	default:
		return probability
	}
}
