package forecast

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// RecordSums sums what a record tells of some forecasts: those by one model, of one
// stage, of candles that open on one day, with one tenth of probability.
type RecordSums struct {
	Day     time.Time // its beginning, UTC
	Stage   Stage
	ModelID int64
	Tenth   int // of ProbabilityAboveOpen, 0 to 9: the bin of Reliability

	Pending int // not scored yet; the rest are sums over the Rows that are
	Rows    int

	Squares, SquaresStay float64
	Hits                 int
	Brier                float64
	Analytic             SumOfSome // Brier of ProbabilityAnalytic
	Width80, Width90     float64   // as shares of the price
	PinballLoss          float64   // in basis points, as those of the baselines
	Stays, EWMA, HAR     SumOfSome // pinball losses
	Places               [5]int
	AboveOpen            float64 // ProbabilityAboveOpen
	Rose                 int     // closes above the open
}

// SumOfSome is a sum over those rows that have a value.
type SumOfSome struct {
	Rows int
	Sum  float64
}

func (s *SumOfSome) add(t SumOfSome) {
	s.Rows += t.Rows
	s.Sum += t.Sum
}

func (s *RecordSums) add(t *RecordSums) {
	s.Pending += t.Pending
	s.Rows += t.Rows
	s.Squares += t.Squares
	s.SquaresStay += t.SquaresStay
	s.Hits += t.Hits
	s.Brier += t.Brier
	s.Analytic.add(t.Analytic)
	s.Width80 += t.Width80
	s.Width90 += t.Width90
	s.PinballLoss += t.PinballLoss
	s.Stays.add(t.Stays)
	s.EWMA.add(t.EWMA)
	s.HAR.add(t.HAR)
	for k := range s.Places {
		s.Places[k] += t.Places[k]
	}
	s.AboveOpen += t.AboveOpen
	s.Rose += t.Rose
}

// NewRecord makes a record of sums, in any order.
func NewRecord(series market.Series, r market.TimeRange, sums []RecordSums) Record {
	var whole RecordSums
	for k := range sums {
		whole.add(&sums[k])
	}
	return Record{
		Series: series, Range: r, Pending: whole.Pending, Overall: scoresOf(sums),
		Days:        groupsOf(sums, func(s *RecordSums) time.Time { return s.Day }, time.Time.Compare),
		Stages:      groupsOf(sums, func(s *RecordSums) Stage { return s.Stage }, cmp.Compare),
		Models:      groupsOf(sums, func(s *RecordSums) int64 { return s.ModelID }, func(a, b int64) int { return cmp.Compare(b, a) }),
		Calibration: Calibration{Places: whole.Places, Reliability: reliabilityOf(sums)},
	}
}

// groupsOf measures the sums by key, in order. Keys of nothing but pending forecasts
// are left out.
func groupsOf[K comparable](sums []RecordSums, key func(*RecordSums) K, compare func(a, b K) int) []RecordGroup[K] {
	parts := map[K][]RecordSums{}
	for k := range sums {
		if s := &sums[k]; s.Rows > 0 {
			parts[key(s)] = append(parts[key(s)], *s)
		}
	}
	groups := make([]RecordGroup[K], 0, len(parts))
	for _, k := range slices.SortedFunc(maps.Keys(parts), compare) {
		groups = append(groups, RecordGroup[K]{Key: k, RecordScores: scoresOf(parts[k])})
	}
	return groups
}

func reliabilityOf(sums []RecordSums) []ReliabilityBin {
	var tenths [10]RecordSums
	for k := range sums {
		tenths[sums[k].Tenth].add(&sums[k])
	}
	var bins []ReliabilityBin
	for k := range tenths {
		if t := &tenths[k]; t.Rows > 0 {
			n := float64(t.Rows)
			bins = append(bins, ReliabilityBin{
				Low: float64(k) / 10, High: float64(k+1) / 10, Rows: t.Rows, Forecast: t.AboveOpen / n, Observed: float64(t.Rose) / n,
			})
		}
	}
	return bins
}

func scoresOf(sums []RecordSums) RecordScores {
	var t RecordSums
	days := daysOf(sums)
	for k := range sums {
		t.add(&sums[k])
	}
	if t.Rows == 0 {
		return RecordScores{}
	}
	n := float64(t.Rows)
	inside80 := t.Places[2]
	inside90 := t.Places[1] + inside80 + t.Places[3]
	scores := RecordScores{
		Rows: t.Rows, PointSkill: skillOf(slices.Values(days)), HitRate: float64(t.Hits) / n, Brier: t.Brier / n,
		Coverage80: float64(inside80) / n, Coverage90: float64(inside90) / n,
		Width80BP: t.Width80 / n * basisPoints, Width90BP: t.Width90 / n * basisPoints,
		PinballLoss: t.PinballLoss / n,
	}
	if t.Analytic.Rows == t.Rows {
		scores.BrierAnalytic = market.Some(t.Analytic.Sum / n)
	}
	for _, b := range []struct {
		name   string
		losses SumOfSome
	}{{priceStays, t.Stays}, {ewma, t.EWMA}, {harName, t.HAR}} {
		if b.losses.Rows == t.Rows {
			scores.Baselines = append(scores.Baselines, BaselineLoss{Name: b.name, PinballLoss: b.losses.Sum / n})
		}
	}
	if len(days) >= FewestDaysOfInterval {
		low, high := skillInterval(days)
		scores.PointSkillInterval = market.Some(SkillInterval{Low: low, High: high})
	}
	return scores
}

// daysOf sums squares by day, ascending.
func daysOf(sums []RecordSums) []daySquares {
	var days []daySquares
	places := map[int64]int{}
	for k := range sums {
		s := &sums[k]
		if s.Rows == 0 {
			continue
		}
		day := s.Day.Unix() / int64(24*60*60)
		place, known := places[day]
		if !known {
			place = len(days)
			places[day] = place
			days = append(days, daySquares{day: day})
		}
		days[place].squares += s.Squares
		days[place].squaresStays += s.SquaresStay
	}
	slices.SortFunc(days, func(a, b daySquares) int { return cmp.Compare(a.day, b.day) })
	return days
}
