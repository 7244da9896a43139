package forecast

import "github.com/cryptoboat/cryptoboat/internal/market"

// Action is what a forecast would have one do until the candle closes.
type Action string

// The actions.
const (
	Buy  Action = "buy"
	Sell Action = "sell"
	Hold Action = "hold"
)

// Decision follows from a forecast and what trading costs. It is information, not
// financial advice.
type Decision struct {
	Action Action
	// ExpectedGain is what the better of buying and selling now, and undoing it at
	// the close, is expected to earn after costs, as a share of the price. It is
	// positive where the action is not Hold.
	ExpectedGain float64
	Costs        Costs // that it reckons with
}

// Costs is what it costs to trade, as shares of the price.
type Costs struct {
	Fee    float64 `json:"fee"`    // of one trade, paid at its beginning and at its end, in [0, 0.1]
	Spread float64 `json:"spread"` // between the best bid and the best ask, crossed once there and back, in [0, 0.1]
}

// UsualCosts are those of a small account: Binance's regular fee, and a spread
// that is wide for its largest pairs.
var UsualCosts = Costs{Fee: 0.001, Spread: 0.0001}

// Validate returns an Invalid error that names the cost out of bounds.
func (c Costs) Validate() error {
	for _, cost := range []struct {
		name  string
		value float64
	}{{"fee", c.Fee}, {"spread", c.Spread}} {
		if !(cost.value >= 0 && cost.value <= 0.1) {
			return market.Errorf(market.Invalid, "the %s is %v: give a share of the price from 0 to 0.1, such as 0.001 for a tenth of a per cent",
				cost.name, cost.value)
		}
	}
	return nil
}

// there and back: what a trade and its reversal cost.
func (c Costs) roundTrip() float64 { return 2*c.Fee + c.Spread }

// decide weighs an expected return against the costs.
func (c Costs) decide(expected float64) Decision {
	action, gain := Buy, expected
	if expected < 0 {
		action, gain = Sell, -expected
	}
	gain -= c.roundTrip()
	if !(gain > 0) {
		action = Hold
	}
	return Decision{Action: action, ExpectedGain: gain, Costs: c}
}
