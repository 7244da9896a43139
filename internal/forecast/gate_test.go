package forecast

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// scored are scores with a pinball loss, beside the baselines'.
func scored(own, har, ewmaLoss float64) Scores {
	return Scores{
		Rows: 2880, PointSkill: 0.001, PointSkillLow: -0.001, PointSkillHigh: 0.003,
		WidthMetrics: WidthMetrics{PinballLoss: own},
		Baselines: []BaselineMetrics{
			{priceStays, WidthMetrics{PinballLoss: 9}}, {ewma, WidthMetrics{PinballLoss: ewmaLoss}}, {harName, WidthMetrics{PinballLoss: har}},
		},
	}
}

func TestVerdict(t *testing.T) {
	// A month that beats everything, at the open and within the candle.
	month := func(change func(*Metrics)) Metrics {
		m := Metrics{Scores: scored(5.4, 5.45, 5.6), Quarters: []Scores{
			scored(5, 5.1, 5.2), scored(4, 4.1, 4.2), scored(3, 3.1, 3.2), scored(2, 2.1, 2.2),
		}}
		if change != nil {
			change(&m)
		}
		return m
	}
	beside := func(own, its float64) *rival {
		return &rival{id: 7, own: Metrics{Scores: scored(own, 9, 9)}, its: Metrics{Scores: scored(its, 9, 9)}}
	}
	inside := func(own, its float64) *rival {
		r := beside(5, 5)
		r.own.Quarters, r.its.Quarters = []Scores{{}, scored(own, 9, 9)}, []Scores{{}, scored(its, 9, 9)}
		return r
	}
	unreadable := &rival{id: 7, unreadable: errors.New("it has other features")}
	for name, test := range map[string]struct {
		metrics  Metrics
		rival    *rival
		promoted bool
		says     string
	}{
		"better than the baselines":     {month(nil), nil, true, "5.400 bp at the open and 3.500 within the candle, against 5.450 and 3.600 of HAR and 5.600 and 3.700 of EWMA"},
		"as good as HAR":                {month(func(m *Metrics) { m.PinballLoss = 5.45 }), nil, true, "of HAR"},
		"worse than HAR at the open":    {month(func(m *Metrics) { m.PinballLoss = 5.48 }), nil, false, "against 5.450 and 3.600 of HAR"},
		"a first one by a hair worse":   {month(func(m *Metrics) { m.PinballLoss = 5.46 }), nil, true, "of HAR"},
		"a later one by a hair worse":   {month(func(m *Metrics) { m.PinballLoss = 5.46 }), beside(5, 5.1), false, "of HAR"},
		"worse than EWMA":               {month(func(m *Metrics) { m.Baselines[1].PinballLoss = 5.37 }), nil, false, "of EWMA"},
		"worse than HAR within":         {month(func(m *Metrics) { m.Quarters[3].PinballLoss = 2.48 }), nil, false, "of HAR"},
		"worse in a quarter only":       {month(func(m *Metrics) { m.Quarters[3].PinballLoss = 2.3 }), nil, true, "of HAR"},
		"not a number":                  {month(func(m *Metrics) { m.PinballLoss = math.NaN() }), nil, false, "NaN"},
		"nothing finer is stored":       {month(func(m *Metrics) { m.Quarters = make([]Scores, 4) }), nil, true, "5.400 bp at the open, against 5.450 of HAR and 5.600 of EWMA"},
		"a point that is surely worse":  {month(func(m *Metrics) { m.PointSkill, m.PointSkillHigh = -0.0051, -0.0001 }), nil, false, "0.51 % above"},
		"a point that may be worse":     {month(func(m *Metrics) { m.PointSkill = -0.004 }), nil, true, "pinball loss"},
		"a point that is a little so":   {month(func(m *Metrics) { m.PointSkill, m.PointSkillHigh = -0.001, -0.0001 }), nil, true, "pinball loss"},
		"a point that is so within":     {month(func(m *Metrics) { m.Quarters[2].PointSkill, m.Quarters[2].PointSkillHigh = -0.006, -0.001 }), nil, false, "price stays"},
		"better than the incumbent":     {month(nil), beside(5, 5.1), true, "5.000 bp at the open, against 5.100 of model 7 on the 2880 candles"},
		"about as good":                 {month(nil), beside(5.02, 5), true, "model 7"},
		"worse than the incumbent":      {month(nil), beside(5.03, 5), false, "5.030 bp at the open, against 5.000 of model 7"},
		"worse than it within":          {month(nil), inside(3.02, 3), false, "3.020 within the candle, against 5.000 and 3.000 of model 7"},
		"about as good within":          {month(nil), inside(3.01, 3), true, "model 7"},
		"worse, and nothing to replace": {month(func(m *Metrics) { m.PinballLoss = 6 }), unreadable, false, "of HAR"},
		"an incumbent that is not read": {month(nil), unreadable, true, "model 7 cannot forecast: it has other features"},
		"nothing to compare on":         {month(nil), &rival{id: 7}, true, "new to model 7"},
		"the first, unmeasured":         {Metrics{}, nil, true, "too little history"},
		"a later one, unmeasured":       {Metrics{}, &rival{id: 7}, false, "model 7 can forecast"},
		"unmeasured, but alone":         {Metrics{}, unreadable, true, "model 7 cannot forecast: it has other features"},
	} {
		got := verdict(test.metrics, test.rival)
		if got.Promoted != test.promoted || !strings.Contains(got.Reason, test.says) {
			t.Errorf("%s: promoted %t, %s; want %t and %q", name, got.Promoted, got.Reason, test.promoted, test.says)
		}
	}
}
