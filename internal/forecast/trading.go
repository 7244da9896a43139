package forecast

// trading plays decisions through, each for one candle.
type trading struct {
	actions map[Action]int
	steps   []float64 // factor of the wealth by each candle
	holding []float64 // the same by holding the coin
}

func (t *trading) trade(action Action, actual float64, costs Costs) {
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
	t.holding = append(t.holding, 1+actual)
}

func (t *trading) add(u *trading) {
	for action, count := range u.actions {
		if t.actions == nil {
			t.actions = map[Action]int{}
		}
		t.actions[action] += count
	}
	t.steps = append(t.steps, u.steps...)
	t.holding = append(t.holding, u.holding...)
}

func (t *trading) metrics() Trading {
	m := Trading{Buys: t.actions[Buy], Sells: t.actions[Sell], Holds: t.actions[Hold]}
	m.Earned, m.Drawdown = play(t.steps)
	m.EarnedByHolding, m.HoldingsDrawdown = play(t.holding)
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
