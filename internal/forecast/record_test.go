package forecast

import (
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// sumsOf are sums of some days, four forecasts each, half of them with a probability
// below a tenth.
func sumsOf(days int) []RecordSums {
	var sums []RecordSums
	for k := range days {
		for tenth := range 2 {
			sums = append(sums, RecordSums{
				Day: time.Date(2024, time.January, 1+k, 0, 0, 0, 0, time.UTC), Tenth: tenth, ModelID: 1, Rows: 2,
				Squares: 1 + float64(k%3), SquaresStay: 2.5, Hits: 1, Brier: 0.5, Analytic: SumOfSome{2, 0.5}, PinballLoss: 8,
				Stays: SumOfSome{2, 12}, EWMA: SumOfSome{2, 10}, HAR: SumOfSome{2, 9}, Places: [5]int{0, 0, 2, 0, 0},
				AboveOpen: 0.1 + 0.2*float64(tenth), Rose: 1,
			})
		}
	}
	return sums
}

func recordOf(sums []RecordSums) Record {
	return NewRecord(market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}, market.TimeRange{}, sums)
}

func TestASkillHasAnIntervalFromTwentyDaysOn(t *testing.T) {
	if i := recordOf(sumsOf(FewestDaysOfInterval - 1)).Overall.PointSkillInterval; i.Valid {
		t.Errorf("of too few days it is %+v", i)
	}
	record := recordOf(sumsOf(FewestDaysOfInterval))
	overall := record.Overall
	i := overall.PointSkillInterval
	if !i.Valid || !(i.Value.Low < overall.PointSkill && overall.PointSkill < i.Value.High) {
		t.Errorf("the skill %v lies in %+v", overall.PointSkill, i)
	}
	// However the sums are split, a day is one block.
	merged := sumsOf(FewestDaysOfInterval)
	for k := 0; k < len(merged); k += 2 {
		merged[k].add(&merged[k+1])
		merged[k+1] = RecordSums{Day: merged[k].Day, ModelID: 2, Pending: 3}
	}
	again := recordOf(merged)
	if again.Overall.PointSkillInterval != i {
		t.Errorf("split otherwise it lies in %+v, want %+v", again.Overall.PointSkillInterval, i)
	}
	if again.Pending != 3*FewestDaysOfInterval || len(again.Models) != 1 {
		t.Errorf("%d are pending; models %+v", again.Pending, again.Models)
	}
}

// What not every forecast has cannot be held against what every one has.
func TestMeasuresOfSomeForecastsAreLeftOut(t *testing.T) {
	sums := sumsOf(2)
	sums[0].Analytic.Rows, sums[3].EWMA.Rows = 1, 0
	record := recordOf(sums)
	if o := record.Overall; o.BrierAnalytic.Valid || len(o.Baselines) != 2 || o.Baselines[0].PinballLoss != 6 || o.Baselines[1] != (BaselineLoss{"HAR", 4.5}) {
		t.Errorf("overall is %+v", o)
	}
	if d := record.Days[0]; d.BrierAnalytic.Valid || len(d.Baselines) != 3 {
		t.Errorf("the first day is %+v", d.RecordScores)
	}
	if d := record.Days[1]; d.BrierAnalytic != market.Some(0.25) || len(d.Baselines) != 2 {
		t.Errorf("the second day is %+v", d.RecordScores)
	}
	if r := record.Reliability; len(r) != 2 || r[0].Rows != 4 || r[0].Low != 0 || r[1].High != 0.2 || r[1].Observed != 0.5 {
		t.Errorf("reliability is %+v", r)
	}
}
