package forecast

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// tally sums what Metrics are means of, by stage.
type tally [stages]stageTally

func (t *tally) add(u *tally) {
	for k := range t {
		t[k].add(&u[k])
	}
}

func (t *tally) metrics(fold market.TimeRange, trades *trading) Metrics {
	m := Metrics{Fold: fold, Scores: t[0].scores(), Quarters: make([]Scores, quarters), Trading: trades.metrics()}
	for q := range m.Quarters {
		m.Quarters[q] = t[1+q].scores()
	}
	return m
}

// stageTally sums what Scores are means of. Its first width is the forest's, the
// others are the baselines' in the order of their names.
type stageTally struct {
	rows     int
	hits     int
	days     []daySquares
	brier    float64
	analytic float64
	widths   [4]widthTally
}

// daySquares sums squared errors over a day.
type daySquares struct {
	day                   int64 // since the epoch
	squares, squaresStays float64
}

// measure adds a forecast of the rest of a candle that opened on a day.
func (t *stageTally) measure(o *outlook, actual, rose float64, day int64) {
	t.rows++
	if n := len(t.days); n == 0 || t.days[n-1].day != day {
		t.days = append(t.days, daySquares{day: day})
	}
	squares := &t.days[len(t.days)-1]
	squares.squares += (actual - o.point) * (actual - o.point)
	squares.squaresStays += actual * actual
	if (o.aboveOpen > 0.5) == (rose > 0) {
		t.hits++
	}
	t.brier += (o.aboveOpen - rose) * (o.aboveOpen - rose)
	t.analytic += (o.analytic - rose) * (o.analytic - rose)
	t.widths[0].measure(o, actual)
}

func (t *stageTally) add(u *stageTally) {
	t.rows += u.rows
	t.hits += u.hits
	t.days = append(t.days, u.days...)
	t.brier += u.brier
	t.analytic += u.analytic
	for k := range t.widths {
		t.widths[k].add(&u.widths[k])
	}
}

func (t *stageTally) scores() Scores {
	if t.rows == 0 {
		return Scores{}
	}
	n := float64(t.rows)
	s := Scores{
		Rows:          t.rows,
		PointSkill:    skillOf(slices.Values(t.days)),
		HitRate:       float64(t.hits) / n,
		Brier:         t.brier / n,
		BrierAnalytic: t.analytic / n,
		WidthMetrics:  t.widths[0].metrics(n),
	}
	s.PointSkillLow, s.PointSkillHigh = skillInterval(t.days)
	for b, name := range baselineNames {
		s.Baselines = append(s.Baselines, BaselineMetrics{Name: name, WidthMetrics: t.widths[b+1].metrics(n)})
	}
	return s
}

// skillOf is 1 − MSE/MSE₀ over some days.
func skillOf(days func(yield func(daySquares) bool)) float64 {
	squares, stays := 0.0, 0.0
	for d := range days {
		squares += d.squares
		stays += d.squaresStays
	}
	if stays == 0 {
		return 0
	}
	return 1 - squares/stays
}

// skillInterval holds the skill with a confidence of 95 %: the quantiles of the
// skills of days drawn anew with replacement (Carlstein, The Use of Subseries
// Values…, 1986: blocks that do not overlap, here a day each). Draws of few days are
// too much alike to tell what others may bring: below FewestDaysOfInterval any skill
// is possible, and as none is better than perfect, the interval is [−1, 1], or reaches
// down to the skill.
func skillInterval(days []daySquares) (low, high float64) {
	if len(days) < FewestDaysOfInterval {
		return min(-1, skillOf(slices.Values(days))), 1
	}
	const draws = 1000
	random := rand.New(rand.NewPCG(1, uint64(len(days))))
	skills := make([]float64, draws)
	for k := range skills {
		skills[k] = skillOf(func(yield func(daySquares) bool) {
			for range days {
				if !yield(days[random.IntN(len(days))]) {
					return
				}
			}
		})
	}
	slices.Sort(skills)
	return sortedQuantile(skills, 0.025), sortedQuantile(skills, 0.975)
}

// widthTally sums what the quality of a predicted distribution is measured by.
type widthTally struct {
	pinball float64
	inside  [4]int     // by measuredLevels
	widths  [4]float64 // likewise
}

func (t *widthTally) measure(o *outlook, actual float64) {
	loss := 0.0
	for k, p := range quantileLevels {
		loss += pinballLoss(p, o.quantiles[k], actual)
	}
	t.pinball += loss / float64(len(quantileLevels))
	for k, level := range measuredLevels {
		low, high := o.band(level)
		if low <= actual && actual <= high {
			t.inside[k]++
		}
		t.widths[k] += math.Exp(high) - math.Exp(low)
	}
}

func (t *widthTally) add(u *widthTally) {
	t.pinball += u.pinball
	for k := range t.inside {
		t.inside[k] += u.inside[k]
		t.widths[k] += u.widths[k]
	}
}

func (t *widthTally) metrics(n float64) WidthMetrics {
	coverage := func(k int) float64 { return float64(t.inside[k]) / n }
	return WidthMetrics{
		PinballLoss: t.pinball / n * basisPoints,
		Coverage50:  coverage(0), Coverage80: coverage(1), Coverage90: coverage(2), Coverage95: coverage(3),
		Width80: t.widths[1] / n * basisPoints,
		Width90: t.widths[2] / n * basisPoints,
	}
}

const basisPoints = 1e4

// pinballLoss is the loss whose expectation the p-quantile minimises (Koenker
// and Bassett 1978).
func pinballLoss(p, quantile, actual float64) float64 {
	if actual >= quantile {
		return p * (actual - quantile)
	}
	return (1 - p) * (quantile - actual)
}
