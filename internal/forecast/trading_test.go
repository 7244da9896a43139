package forecast

import (
	"math"
	"testing"
)

func TestTradingByHand(t *testing.T) {
	costs := Costs{Fee: 0.005, Spread: 0.01} // 0.02 there and back
	var first, second trading
	first.trade(Buy, 100, 112, costs)   // × 1.10
	first.trade(Sell, 100, 108, costs)  // × 0.90, behind a candle that is missing
	second.trade(Hold, 200, 100, costs) // × 1
	second.trade(Sell, 100, 78, costs)  // × 1.20
	first.add(&second)
	got := first.metrics()
	holding := 0.78 // whoever holds lives through what is missing
	want := Trading{
		Buys: 1, Sells: 2, Holds: 1,
		Earned: 1.1*0.9*1.2 - 1, Drawdown: 0.1,
		EarnedByHolding: holding - 1, HoldingsDrawdown: 1 - 78.0/200,
	}
	if got.Buys != want.Buys || got.Sells != want.Sells || got.Holds != want.Holds ||
		math.Abs(got.Earned-want.Earned) > 1e-12 || math.Abs(got.Drawdown-want.Drawdown) > 1e-12 ||
		math.Abs(got.EarnedByHolding-want.EarnedByHolding) > 1e-12 || math.Abs(got.HoldingsDrawdown-want.HoldingsDrawdown) > 1e-12 {
		t.Errorf("got %+v, want %+v", got, want)
	}

	if got.Costs == nil || *got.Costs != costs {
		t.Errorf("it came out so after costs of %v", got.Costs)
	}

	var none, ruin trading
	none.add(&trading{})
	if got := none.metrics(); got != (Trading{}) {
		t.Errorf("of nothing came %+v", got)
	}
	// One who owes coins whose price triples has lost all, but not more.
	ruin.trade(Sell, 1, 3, costs)
	ruin.trade(Buy, 2, 3, costs)
	if got := ruin.metrics(); got.Earned != -1 || got.Drawdown != 1 {
		t.Errorf("after ruin %+v", got)
	}
}
