package forecast

// trading plays decisions through, each for one candle.
type trading struct {
	actions map[Action]int
	steps   []float64 // factor of the wealth by each candle
	// closes are prices of the coin, for whoever holds it: the newest one at the first
	// candle, then each candle's close. What happens in between, in candles that are
	// missing, belongs to it.
	closes []float64
	costs  *Costs // of the trades, nil before the first
}

// trade plays a decision through for a candle that closes at a price, when it was
// last.
func (t *trading) trade(action Action, last, close float64, costs Costs) {
	actual := close/last - 1
	t.costs = &costs
	if t.actions == nil {
		t.actions = map[Action]int{}
	}
	t.actions[action]++
	factor := 1.0
	switch action {
	case Buy:
		factor = 1 + actual - costs.roundTrip()
	case Sell:
		factor = 1 - actual - costs.roundTrip()
	}
	t.steps = append(t.steps, max(0, factor))
	if len(t.closes) == 0 {
		t.closes = append(t.closes, last)
	}
	t.closes = append(t.closes, close)
}

func (t *trading) add(u *trading) {
	for action, count := range u.actions {
		if t.actions == nil {
			t.actions = map[Action]int{}
		}
		t.actions[action] += count
	}
	if u.costs != nil {
		t.costs = u.costs
	}
	t.steps = append(t.steps, u.steps...)
	t.closes = append(t.closes, u.closes...)
}

func (t *trading) metrics() Trading {
	m := Trading{Buys: t.actions[Buy], Sells: t.actions[Sell], Holds: t.actions[Hold], Costs: t.costs}
	m.Earned, m.Drawdown = play(t.steps)
	holding := make([]float64, max(0, len(t.closes)-1))
	for k := range holding {
		holding[k] = t.closes[k+1] / t.closes[k]
	}
	m.EarnedByHolding, m.HoldingsDrawdown = play(holding)
	return m
}

// play returns what is earned by steps one after the other, and the largest fall
// from a peak.
func play(steps []float64) (earned, drawdown float64) {
	wealth, peak := 1.0, 1.0
	for _, factor := range steps {
		wealth *= factor
		peak = max(peak, wealth)
		drawdown = max(drawdown, 1-wealth/peak)
	}
	return wealth - 1, drawdown
}
