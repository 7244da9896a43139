package simulator

import (
	"math"
	"time"
)

// A bar's trades are simulated in equal steps of at least a second, at most
// maxSteps, so that the state of a day's candle costs no more than that of a
// quarter of an hour.
const (
	minStep  = int64(time.Second / time.Millisecond)
	maxSteps = 900
)

// grain is what prices and volumes are whole multiples of, in units.
type grain struct{ price, volume int64 }

// openBar returns a bar as it stood some milliseconds after its first one, of
// length that it lasts. The price begins at the open, walks at random within the
// bar's range by way of its high and its low, in either order, and ends at the
// close; the volumes grow in proportion to each other. The same bar always takes
// the same way.
func openBar(b *bar, g grain, seed uint64, elapsed, length int64) bar {
	size := max(minStep, (length+maxSteps-1)/maxSteps)
	steps := length / size
	now := min(elapsed/size, steps-1)
	const stations = 4 // open, high, low, close
	if steps < stations || now == steps-1 {
		return *b // exactly: shares of amounts are rounded
	}

	random := stream(seed, b.openTime)
	apart := max(1, steps/6) // so that it walks and does not leap
	first := apart + int64(uniform(&random)*float64(steps-3*apart))
	second := first + apart + int64(uniform(&random)*float64(steps-2*apart-first))
	// A candle that rises has mostly been at its low first.
	lowFirst := uniform(&random) < 0.7
	if b.close < b.open {
		lowFirst = !lowFirst
	}
	way := [...]struct{ step, price int64 }{{first, b.high}, {second, b.low}, {steps - 1, b.close}}
	if lowFirst {
		way[0].price, way[1].price = b.low, b.high
	}
	curve := float64(1.6*uniform(&random)) - 0.8

	state := *b
	state.high, state.low, state.close = b.open, b.open, b.open
	price := float64(b.open)
	low, high, tick := float64(b.low), float64(b.high), float64(g.price)
	noise := (high - low) / math.Sqrt(float64(steps)) * 2
	next := 0
	for step := int64(1); step <= now; step++ {
		left := way[next].step - step + 1
		if left == 1 {
			state.close = way[next].price
			price = float64(state.close)
			next++
		} else {
			price += (float64(way[next].price)-price)/float64(left) + float64(noise*(uniform(&random)-0.5))
			price = min(max(price, low), high)
			state.close = min(max(int64(price/tick+0.5)*g.price, b.low), b.high)
		}
		state.high, state.low = max(state.high, state.close), min(state.low, state.close)
	}

	// From the first trade on something is traded, and at the last step all is.
	share := float64(now+1) / float64(steps)
	share += float64(float64(curve*share) * (1 - share))
	state.volume = portion(b.volume, g.volume, share)
	state.takerBuyVolume = portion(b.takerBuyVolume, g.volume, share)
	state.quoteVolume = portion(b.quoteVolume, 1, share)
	state.takerBuyQuoteVolume = portion(b.takerBuyQuoteVolume, 1, share)
	state.trades = portion(b.trades, 1, share)
	return state
}

// portion returns a share of an amount, rounded up to whole grains. It grows with
// both, so that no part outgrows its whole.
func portion(amount, grain int64, share float64) int64 {
	return min(amount, int64(math.Ceil(float64(amount/grain)*share))*grain)
}
