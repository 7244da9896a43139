package forecast

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forest"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// walkForward forecasts every sample that opens in the range, a calendar month
// at a time, by a model trained on nothing but candles that had closed before
// that month, and measures each month. month is called after each, also after one
// of which no candle can be forecast.
func walkForward(ctx context.Context, s *samples, r market.TimeRange, month func(Metrics)) (Metrics, error) {
	var whole tally
	for start := r.Start; start.Before(r.End); start = market.Month1.Next(market.Month1.Floor(start)) {
		end := market.Month1.Next(market.Month1.Floor(start))
		if end.After(r.End) {
			end = r.End
		}
		fold := s.since(start).before(end)
		var part tally
		if fold.len() > 0 {
			m, err := fit(ctx, s.before(start), nil)
			if err == nil {
				part, err = m.measure(fold)
			}
			if err != nil {
				return Metrics{}, fmt.Errorf("the month from %s: %w", start.Format(time.DateOnly), err)
			}
		}
		if month != nil {
			month(part.metrics(market.TimeRange{Start: start, End: end}))
		}
		whole.add(part)
	}
	if whole.rows == 0 {
		return Metrics{}, market.Errorf(market.Unavailable, "no candle between %s and %s can be forecast",
			r.Start.Format(time.DateOnly), r.End.Format(time.DateOnly))
	}
	return whole.metrics(r), nil
}

// measure forecasts samples that the model has not seen.
func (m *model) measure(s *samples) (tally, error) {
	var t tally
	var scratch forest.Distribution
	row := make([]float64, len(s.columns))
	for k, open := range s.opens {
		s.row(row, k)
		o, err := m.predict(row, s.interval, open, &scratch)
		if err != nil {
			return tally{}, err
		}
		t.rows++
		actual := s.returns[k]
		t.squares += (actual - o.point()) * (actual - o.point())
		t.squaresIfStays += actual * actual
		rose := 0.0
		if actual > 0 {
			rose = 1
		}
		if (o.rises > 0.5) == (actual > 0) {
			t.hits++
		}
		t.brier += (o.rises - rose) * (o.rises - rose)
		t.widths[0].add(o, actual)
		for b, name := range baselineNames {
			t.widths[b+1].add(m.baseline(name, row, s.interval, open), actual)
		}
	}
	return t, nil
}

// tally sums what metrics are means of. Its first width is the forest's, the
// others are the baselines' in the order of their names.
type tally struct {
	rows           int
	hits           int
	squares        float64
	squaresIfStays float64
	brier          float64
	widths         [4]widthTally
}

func (t *tally) add(u tally) {
	t.rows += u.rows
	t.hits += u.hits
	t.squares += u.squares
	t.squaresIfStays += u.squaresIfStays
	t.brier += u.brier
	for k := range t.widths {
		t.widths[k].merge(u.widths[k])
	}
}

func (t *tally) metrics(fold market.TimeRange) Metrics {
	if t.rows == 0 {
		return Metrics{Fold: fold}
	}
	n := float64(t.rows)
	skill := 0.0
	if t.squaresIfStays > 0 {
		skill = 1 - t.squares/t.squaresIfStays
	}
	metrics := Metrics{
		Fold: fold, Rows: t.rows,
		PointSkill:   skill,
		HitRate:      float64(t.hits) / n,
		Brier:        t.brier / n,
		WidthMetrics: t.widths[0].metrics(n),
	}
	for b, name := range baselineNames {
		metrics.Baselines = append(metrics.Baselines, BaselineMetrics{Name: name, WidthMetrics: t.widths[b+1].metrics(n)})
	}
	return metrics
}

// widthTally sums what the quality of a predicted distribution is measured by.
type widthTally struct {
	pinball float64
	inside  [2]int // by bandLevels
	widths  [2]float64
}

func (t *widthTally) add(o outlook, actual float64) {
	loss := 0.0
	for k, p := range quantileLevels {
		loss += pinballLoss(p, o.quantiles[k], actual)
	}
	t.pinball += loss / float64(len(quantileLevels))
	for k, level := range bandLevels {
		low, high := o.band(level)
		if low <= actual && actual <= high {
			t.inside[k]++
		}
		t.widths[k] += math.Exp(high) - math.Exp(low)
	}
}

func (t *widthTally) merge(u widthTally) {
	t.pinball += u.pinball
	for k := range t.inside {
		t.inside[k] += u.inside[k]
		t.widths[k] += u.widths[k]
	}
}

func (t *widthTally) metrics(n float64) WidthMetrics {
	return WidthMetrics{
		PinballLoss: t.pinball / n * basisPoints,
		Coverage80:  float64(t.inside[0]) / n,
		Coverage90:  float64(t.inside[1]) / n,
		Width80:     t.widths[0] / n * basisPoints,
		Width90:     t.widths[1] / n * basisPoints,
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
