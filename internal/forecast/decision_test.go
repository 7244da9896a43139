package forecast

import (
	"math"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestDecisionsByHand(t *testing.T) {
	costs := Costs{Fee: 0.001, Spread: 0.0005} // 0.0025 there and back
	for _, test := range []struct {
		expected float64
		costs    Costs
		action   Action
		gain     float64
	}{
		{0.004, costs, Buy, 0.0015},
		{-0.004, costs, Sell, 0.0015},
		{0.002, costs, Hold, -0.0005},
		{-0.002, costs, Hold, -0.0005},
		{0, costs, Hold, -0.0025},
		{0.0025, costs, Hold, 0}, // to gain nothing is no reason to trade
		{0, Costs{}, Hold, 0},
		{1e-9, Costs{}, Buy, 1e-9},
	} {
		got := test.costs.decide(test.expected)
		if got.Action != test.action || math.Abs(got.ExpectedGain-test.gain) > 1e-15 || got.Costs != test.costs {
			t.Errorf("expecting %v at %+v: %+v, want to %s for %v", test.expected, test.costs, got, test.action, test.gain)
		}
	}
}

func TestCostsThatMakeNoSense(t *testing.T) {
	for _, costs := range []Costs{{}, UsualCosts, {Fee: 0.1, Spread: 0.1}} {
		if err := costs.Validate(); err != nil {
			t.Errorf("%+v: %v", costs, err)
		}
	}
	for _, costs := range []Costs{
		{Fee: -0.001}, {Spread: -0.001}, {Fee: 0.11}, {Spread: 0.11}, {Fee: math.NaN()}, {Spread: math.Inf(1)},
	} {
		if err := costs.Validate(); market.ErrorCode(err) != market.Invalid {
			t.Errorf("%+v: %v", costs, err)
		}
	}
}

func TestForecastsDecideByTheCostsGiven(t *testing.T) {
	stores := trainedStores(t)
	c := stores.candles[btc][13000]
	for _, costs := range []Costs{{}, UsualCosts} {
		f := NewForecaster(stores, stores)
		f.ReckonWith(costs)
		got, err := f.Forecast(t.Context(), btc, c.OpenTime)
		if err != nil {
			t.Fatal(err)
		}
		want := costs.decide(got.Point/got.Last - 1)
		if got.Decision.Action != want.Action || math.Abs(got.Decision.ExpectedGain-want.ExpectedGain) > 1e-12 {
			t.Errorf("at %+v it decides %+v, want %+v", costs, got.Decision, want)
		}
	}
}
