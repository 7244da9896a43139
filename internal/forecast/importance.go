package forecast

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// importanceSamples is how many samples the importance is measured on at the most:
// enough to tell what matters from what does not, within seconds.
const importanceSamples = 2000

// importance measures what each feature is worth on samples that the model has not
// seen, the most important first; the same every time.
func (m *model) importance(ctx context.Context, unseen *samples) ([]Importance, error) {
	s := unseen.lessons()
	random := rand.New(rand.NewPCG(1, 0))
	if s.len() > importanceSamples {
		chosen := random.Perm(s.len())[:importanceSamples]
		slices.Sort(chosen)
		some := &samples{candles: s.candles}
		for _, k := range chosen {
			some.rows = append(some.rows, s.rows[k])
		}
		s = some
	}
	rows := make([][]float64, s.len())
	var v vision
	opening := make([]float64, len(openingNames))
	for k := range rows {
		if err := m.see(&v, s.look(opening, k), s.rows[k].progress); err != nil {
			return nil, err
		}
		rows[k] = slices.Clone(v.row)
	}
	unshuffled := make([]int, s.len())
	for k := range unshuffled {
		unshuffled[k] = k
	}
	usual, err := m.lossShuffled(ctx, s, rows, 0, unshuffled)
	if err != nil {
		return nil, err
	}
	important := make([]Importance, len(featureNames))
	workers := runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			for j := w; j < len(featureNames) && failures[w] == nil; j += workers {
				shuffled := rand.New(rand.NewPCG(1, uint64(1+j))).Perm(s.len())
				var loss float64
				loss, failures[w] = m.lossShuffled(ctx, s, rows, j, shuffled)
				important[j] = Importance{Feature: featureNames[j], PinballLoss: loss - usual}
			}
		})
	}
	working.Wait()
	slices.SortStableFunc(important, func(a, b Importance) int { return cmp.Compare(b.PinballLoss, a.PinballLoss) })
	return important, errors.Join(failures...)
}

// lossShuffled is the pinball loss on samples with the features rows, in basis
// points, where each has the value of another for one feature. What is known as of
// the open decides the widths too, and with them what is seen of the inside.
func (m *model) lossShuffled(ctx context.Context, s *samples, rows [][]float64, feature int, others []int) (float64, error) {
	var v vision
	var tally widthTally
	o := outlook{quantiles: make([]float64, len(quantileLevels))}
	opening := make([]float64, len(openingNames))
	for k := range s.rows {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		value, p, l := rows[others[k]][feature], s.rows[k].progress, s.look(opening, k)
		inside := feature >= len(openingNames)
		if !inside {
			opening[feature] = value
		}
		if err := m.see(&v, l, p); err != nil {
			return 0, err
		}
		if inside {
			v.row[feature] = value
			if err := m.forest.Predict(v.row, &v.returns); err != nil {
				return 0, err
			}
		}
		m.levels.at(o.quantiles, p.elapsed)
		for q, level := range o.quantiles {
			o.quantiles[q] = v.returns.Quantile(level) * v.rest
		}
		tally.measure(&o, s.rest(k))
	}
	return tally.metrics(float64(s.len())).PinballLoss, nil
}
