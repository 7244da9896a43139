package forecast

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestWidthMetricsByHand(t *testing.T) {
	quantiles := []float64{-0.04, -0.03, -0.02, -0.01, 0, 0.01, 0.02, 0.03, 0.04}
	var w widthTally
	w.measure(&outlook{quantiles: quantiles}, 0.025)
	got := w.metrics(1)
	loss := (0.025*0.065 + 0.05*0.055 + 0.1*0.045 + 0.25*0.035 + 0.5*0.025 + 0.75*0.015 + 0.9*0.005 +
		0.05*0.005 + 0.025*0.015) / 9 * 1e4
	want := WidthMetrics{
		PinballLoss: loss, Coverage90: 1, Coverage95: 1,
		Width80: 1e4 * (math.Exp(0.02) - math.Exp(-0.02)), Width90: 1e4 * (math.Exp(0.03) - math.Exp(-0.03)),
	}
	if math.Abs(got.PinballLoss-want.PinballLoss) > 1e-9 || math.Abs(got.Width80-want.Width80) > 1e-9 ||
		math.Abs(got.Width90-want.Width90) > 1e-9 || got.Coverage50 != 0 || got.Coverage80 != 0 || got.Coverage90 != 1 || got.Coverage95 != 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// A close at the end of a band is within it.
	w.measure(&outlook{quantiles: quantiles}, 0.01)
	if got := w.metrics(2); got.Coverage50 != 0.5 || got.Coverage80 != 0.5 {
		t.Errorf("got %+v", got)
	}
}

func TestScoresByHand(t *testing.T) {
	quantiles := make([]float64, len(quantileLevels))
	var a, b tally
	measure := func(t *tally, stage int, point, aboveOpen, analytic, actual, rose float64, day int64) {
		t[stage].measure(&outlook{point: point, aboveOpen: aboveOpen, analytic: analytic, quantiles: quantiles}, actual, rose, day)
	}
	measure(&a, 0, 0.01, 0.75, 0.5, 0.02, 1, 1) // hit, squared error 1 of 4
	measure(&a, 0, 0.00, 0.25, 0.5, 0.01, 1, 1) // miss, 1 of 1
	measure(&a, 3, 0.02, 1.00, 0.9, 0.02, 1, 1)
	measure(&b, 0, 0.01, 0.50, 0.5, -0.03, 0, 2) // hit: not above a half is below; 16 of 9
	a.add(&b)
	fold := market.TimeRange{Start: start, End: start.AddDate(0, 0, 2)}
	got := a.metrics(fold, new(trading))
	if got.Fold != fold || got.Rows != 3 || math.Abs(got.PointSkill-(1-18./14)) > 1e-12 || math.Abs(got.HitRate-2./3) > 1e-12 ||
		math.Abs(got.Brier-(0.0625+0.5625+0.25)/3) > 1e-12 || math.Abs(got.BrierAnalytic-0.25) > 1e-12 || len(got.Baselines) != 3 {
		t.Errorf("at the open %+v", got.Scores)
	}
	if len(a[0].days) != 2 {
		t.Errorf("%d days", len(a[0].days))
	}
	for q, scores := range got.Quarters {
		if want := map[int]int{2: 1}[q]; scores.Rows != want {
			t.Errorf("quarter %d has %d rows, want %d", q, scores.Rows, want)
		}
	}
	if third := got.Quarters[2]; third.PointSkill != 1 || third.HitRate != 1 || third.Brier != 0 || math.Abs(third.BrierAnalytic-0.01) > 1e-12 {
		t.Errorf("the third quarter %+v", third)
	}
}

// years makes forecasts of two years, a candle an hour, with volatility that clusters,
// of which a share of what happens is foreseen.
func years(seed uint64, foreseen float64) (scores Scores, skill float64) {
	random := rand.New(rand.NewPCG(seed, 7))
	var t stageTally
	var squares, stays float64
	level := 0.0
	quantiles := make([]float64, len(quantileLevels))
	for k := range 2 * 365 * 24 {
		level = 0.99*level + 0.1*random.NormFloat64()
		sigma := 0.002 * math.Exp(level)
		known, unknown := sigma*math.Sqrt(foreseen)*random.NormFloat64(), sigma*math.Sqrt(1-foreseen)*random.NormFloat64()
		point := known
		if foreseen == 0 {
			point = 0.03 * sigma * random.NormFloat64() // as sure of itself as one that knows something
		}
		t.measure(&outlook{point: point, quantiles: quantiles}, known+unknown, 0, int64(k/24))
		squares += (known + unknown - point) * (known + unknown - point)
		stays += (known + unknown) * (known + unknown)
	}
	return t.scores(), 1 - squares/stays
}

func TestTheSkillIntervalHoldsAKnownSkill(t *testing.T) {
	const foreseen, seeds = 0.02, 60
	held, positive := 0, 0
	for seed := range uint64(seeds) {
		scores, skill := years(seed, foreseen)
		if math.Abs(scores.PointSkill-skill) > 1e-12 || !(scores.PointSkillLow < skill && skill < scores.PointSkillHigh) {
			t.Fatalf("the skill %v is given as %v [%v, %v]", skill, scores.PointSkill, scores.PointSkillLow, scores.PointSkillHigh)
		}
		if scores.PointSkillLow <= foreseen && foreseen <= scores.PointSkillHigh {
			held++
		}
		if scores.PointSkillLow > 0 {
			positive++
		}
	}
	if held < seeds*85/100 || positive < seeds*90/100 {
		t.Errorf("of %d intervals at 95 %%, %d hold the skill and %d are above 0", seeds, held, positive)
	}
	again, _ := years(3, foreseen)
	first, _ := years(3, foreseen)
	if again.PointSkillLow != first.PointSkillLow || again.PointSkillHigh != first.PointSkillHigh {
		t.Error("the same days give another interval the second time")
	}
}

func TestTheSkillIntervalDoesNotFindSkillInNoise(t *testing.T) {
	const seeds = 60
	claimed := 0
	for seed := range uint64(seeds) {
		if scores, _ := years(seed, 0); scores.PointSkillLow > 0 {
			claimed++
		}
	}
	if claimed > 2 {
		t.Errorf("%d of %d times skill is claimed where there is none", claimed, seeds)
	}
	// A few days say nothing.
	var few stageTally
	random := rand.New(rand.NewPCG(1, 1))
	quantiles := make([]float64, len(quantileLevels))
	for k := range 5 * 24 {
		few.measure(&outlook{point: 0.0003 * random.NormFloat64(), quantiles: quantiles}, 0.002*random.NormFloat64(), 0, int64(k/24))
	}
	if s := few.scores(); s.PointSkillLow != -1 || s.PointSkillHigh != 1 {
		t.Errorf("five days give [%v, %v]", s.PointSkillLow, s.PointSkillHigh)
	}
}

// Days drawn anew from too few are all alike: their interval would hide how little is
// known, that of a single day everything.
func TestTooFewDaysClaimNoSkill(t *testing.T) {
	quantiles := make([]float64, len(quantileLevels))
	for _, test := range []struct {
		days             int64
		point, low, high float64
	}{
		{1, 0.01, -1, 1},
		{FewestDaysOfInterval - 1, 0.01, -1, 1},
		{1, -0.02, -3, 1}, // the skill itself is below −1
		{FewestDaysOfInterval, 0.01, 0.75, 0.75},
	} {
		var tally stageTally
		for day := range test.days {
			tally.measure(&outlook{point: test.point, quantiles: quantiles}, 0.02, 1, day)
		}
		s := tally.scores()
		if math.Abs(s.PointSkillLow-test.low) > 1e-12 || math.Abs(s.PointSkillHigh-test.high) > 1e-12 {
			t.Errorf("%v days with a skill of %v give [%v, %v], want [%v, %v]", test.days, s.PointSkill, s.PointSkillLow, s.PointSkillHigh, test.low, test.high)
		}
	}
}

func TestScoresOfNothing(t *testing.T) {
	var nothing tally
	got := nothing.metrics(market.TimeRange{Start: start, End: start.Add(time.Hour)}, new(trading))
	if got.Rows != 0 || got.PointSkillLow != 0 || len(got.Quarters) != quarters {
		t.Errorf("%+v", got)
	}
	var still stageTally
	for day := range int64(FewestDaysOfInterval) {
		still.measure(&outlook{quantiles: make([]float64, len(quantileLevels))}, 0, 0, day)
	}
	if s := still.scores(); s.PointSkill != 0 || s.PointSkillLow != 0 || s.PointSkillHigh != 0 {
		t.Errorf("where no price moved the skill is %v [%v, %v]", s.PointSkill, s.PointSkillLow, s.PointSkillHigh)
	}
}
