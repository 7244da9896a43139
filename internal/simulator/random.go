package simulator

import (
	"math"
	"math/rand/v2"
)

// A generated market must be the same in every process and on every machine, so
// what it is made of keeps to operations that IEEE 754 defines to the last bit.
// math.Exp is not among them, because it fuses multiplications with additions
// where the processor can. Nor is a plain product that is added to something: the
// compiler may fuse the two, across statements and inlined functions too, but not
// across float64(…).

// seedOf returns the seed that belongs to a name under another seed.
func seedOf(seed uint64, name string) uint64 {
	hash := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(name) {
		hash = (hash ^ uint64(c)) * 1099511628211
	}
	return mix(seed ^ hash)
}

// stream returns the random numbers that belong to a number under a seed.
// Neighbouring numbers have streams that do not resemble each other.
func stream(seed uint64, number int64) rand.PCG {
	var random rand.PCG
	random.Seed(seed, mix(seed+uint64(number)))
	return random
}

// mix is the output function of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// uniform returns a number in [0, 1).
func uniform(random *rand.PCG) float64 { return float64(random.Uint64()>>11) / (1 << 53) }

// taylor are the coefficients of exp's series around zero, the highest power
// first.
var taylor = [...]float64{
	1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040,
	1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1,
}

// exp returns eˣ for |x| < 700 to a few units in the last place: a power of two
// times a series in what is left of x, which is at most half of log 2.
func exp(x float64) float64 {
	// The logarithm of two in two parts, of which the first has so few bits that
	// its multiples are exact.
	const log2, log2Rest = 0.69314718036912381649, 1.90821492927058770002e-10
	x = float64(x) // it may be a product, and this function be inlined
	doublings := math.Floor(float64(x*math.Log2E) + 0.5)
	x = x - float64(doublings*log2) - float64(doublings*log2Rest)
	var y float64
	for k := range taylor {
		y = taylor[k] + float64(y*x)
	}
	const bias, fraction = 1023, 52 // of a float64's exponent
	return y * math.Float64frombits(uint64(int64(doublings)+bias)<<fraction)
}

// quantileBits is how many random bits a draw from quantiles takes.
const quantileBits = 10

// quantiles is a distribution by its equally likely values, in ascending order.
type quantiles [1 << quantileBits]float64

// tabulate returns the quantiles of a distribution, divided by scale of them.
// They are rounded, so that the last bits of math's functions do not matter.
func tabulate(quantile func(probability float64) float64, scale func(*quantiles) float64) *quantiles {
	var q quantiles
	for k := range q {
		q[k] = quantile((float64(k) + 0.5) / float64(len(q)))
	}
	divisor := scale(&q)
	for k := range q {
		const places = 1 << 24
		q[k] = math.Round(q[k]/divisor*places) / places
	}
	return &q
}

// at returns the value that the lowest bits choose.
func (q *quantiles) at(bits uint64) float64 { return q[bits%uint64(len(q))] }

func mean(q *quantiles) float64 {
	var sum float64
	for _, x := range q {
		sum += x
	}
	return sum / float64(len(q))
}

// deviation is the standard deviation of a distribution around zero.
func deviation(q *quantiles) float64 {
	var sum float64
	for _, x := range q {
		sum += float64(x * x)
	}
	return math.Sqrt(sum / float64(len(q)))
}

func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// The distributions of a generated market.
type distributions struct {
	// shock is symmetric with a variance of one and tails heavier than normal:
	// Tukey's h distribution, h = 0.1.
	shock *quantiles
	// wait is the exponential distribution with a mean of one.
	wait *quantiles
	// spread is a log-normal distribution with a mean of one.
	spread *quantiles
}

func newDistributions() distributions {
	return distributions{
		shock: tabulate(func(p float64) float64 {
			z := normalQuantile(p)
			return z * math.Exp(0.05*z*z)
		}, deviation),
		wait:   tabulate(func(p float64) float64 { return -math.Log1p(-p) }, mean),
		spread: tabulate(func(p float64) float64 { return math.Exp(0.8 * normalQuantile(p)) }, mean),
	}
}
