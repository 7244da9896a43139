package forecast

import (
	"fmt"
	"slices"
	"strings"
)

// What a model has to show on the newest month to be promoted. A month of points is
// mostly noise, so they are held against a model only where they are worse than "the
// price stays" beyond it. Two models are compared on the few candles that neither
// has seen, and one may have learnt less of the weeks before: that is noise too.
const (
	leastPointSkill = -0.001 // where the whole confidence interval is below 0
	rivalTolerance  = 0.005  // as a share of the incumbent's pinball loss
	fewestToCompare = 96     // candles: a day of 15m
	// firstTolerance is by how much a model may be worse than the baselines where no
	// other could forecast: a month's losses differ by as much by chance, and without
	// it nobody would get a forecast to hold against them.
	firstTolerance = 0.005
)

// rival is how the incumbent and the candidate did on the candles of the newest
// month that the incumbent has not learnt from.
type rival struct {
	id         int64
	unreadable error   // why this release cannot read it, if so
	own, its   Metrics // the candidate's and the incumbent's; without rows where there are too few such candles
}

// verdict says whether a model with those metrics of the newest month is good enough
// to make the forecasts: no worse than the baselines and than the incumbent, which is
// nil where there is none. One that could not be measured is so only where no other
// could forecast.
func verdict(m Metrics, incumbent *rival) Verdict {
	if m.Rows == 0 {
		return unmeasured(incumbent)
	}
	tolerance, least := 0.0, leastPointSkill
	if incumbent == nil || incumbent.unreadable != nil {
		tolerance, least = firstTolerance, -firstTolerance
	}
	var c comparison
	c.compare(lossesOf(m, ownLoss), tolerance, other{harName, lossesOf(m, lossOf(harName))}, other{ewma, lossesOf(m, lossOf(ewma))})
	for _, s := range append([]Scores{m.Scores}, m.Quarters...) {
		if s.PointSkill < least && s.PointSkillHigh < 0 {
			c.worse = append(c.worse, fmt.Sprintf("a point whose squared error is %.2f %% above that of %q, and surely above it", -s.PointSkill*100, priceStays))
		}
	}
	var beside string
	switch {
	case incumbent == nil:
	case incumbent.unreadable != nil:
		beside = fmt.Sprintf("; model %d cannot forecast: %v", incumbent.id, incumbent.unreadable)
	case incumbent.own.Rows == 0:
		beside = fmt.Sprintf("; too few of the candles are new to model %d to compare the two", incumbent.id)
	default:
		whose := fmt.Sprintf("model %d on the %d candles new to it too", incumbent.id, incumbent.own.Rows)
		c.compare(lossesOf(incumbent.own, ownLoss), rivalTolerance, other{whose, lossesOf(incumbent.its, ownLoss)})
	}
	if len(c.worse) > 0 {
		return Verdict{Reason: "worse: " + strings.Join(c.worse, "; ")}
	}
	return Verdict{Promoted: true, Reason: strings.Join(c.fine, "; ") + beside}
}

func unmeasured(incumbent *rival) Verdict {
	const why = "there is too little history to measure it on a month that it has not seen"
	switch {
	case incumbent == nil:
		return Verdict{true, why + ", but there is no other model"}
	case incumbent.unreadable != nil:
		return Verdict{true, fmt.Sprintf("%s, but model %d cannot forecast: %v", why, incumbent.id, incumbent.unreadable)}
	default:
		return Verdict{false, fmt.Sprintf("%s, and model %d can forecast", why, incumbent.id)}
	}
}

// comparison gathers what a model is worse in, and what it is not.
type comparison struct{ worse, fine []string }

// other is who the pinball losses of a model are compared with.
type other struct {
	name string
	losses
}

// compare notes pinball losses beside those of others, which they may exceed by a
// share.
func (c *comparison) compare(ours losses, tolerance float64, others ...other) {
	var worse, fine []string
	for _, o := range others {
		text := o.text("", "") + " of " + o.name
		if ours.open <= o.open*(1+tolerance) && ours.inside <= o.inside*(1+tolerance) {
			fine = append(fine, text)
		} else { // also what is not a number
			worse = append(worse, text)
		}
	}
	note := func(notes *[]string, texts []string) {
		if len(texts) > 0 {
			*notes = append(*notes, fmt.Sprintf("pinball loss %s, against %s", ours.text(" bp at the open", " within the candle"), strings.Join(texts, " and ")))
		}
	}
	note(&c.worse, worse)
	note(&c.fine, fine)
}

// losses are pinball losses of the forecasts at the open and of those within the
// candle, in basis points; the latter is 0 where there are none.
type losses struct{ open, inside float64 }

// lossesOf takes losses from metrics by what takes one from a stage's scores.
func lossesOf(m Metrics, of func(Scores) float64) losses {
	sum, rows := 0.0, 0
	for _, quarter := range m.Quarters {
		if quarter.Rows > 0 {
			sum += float64(quarter.Rows) * of(quarter)
			rows += quarter.Rows
		}
	}
	return losses{open: of(m.Scores), inside: sum / float64(max(1, rows))}
}

func (l losses) text(afterOpen, afterInside string) string {
	text := fmt.Sprintf("%.3f%s", l.open, afterOpen)
	if l.inside > 0 {
		text += fmt.Sprintf(" and %.3f%s", l.inside, afterInside)
	}
	return text
}

func ownLoss(s Scores) float64 { return s.PinballLoss }

// lossOf returns what takes a baseline's loss from scores.
func lossOf(name string) func(Scores) float64 {
	return func(s Scores) float64 {
		k := slices.IndexFunc(s.Baselines, func(b BaselineMetrics) bool { return b.Name == name })
		return s.Baselines[k].PinballLoss
	}
}
