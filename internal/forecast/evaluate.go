package forecast

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
)

// measure forecasts samples that the model has not seen.
func (m *model) measure(ctx context.Context, s *samples, costs Costs) (*tally, *trading, error) {
	outlooks := make([]outlook, s.len())
	if err := m.predictAll(ctx, s, outlooks); err != nil {
		return nil, nil, err
	}
	scores, trades := new(tally), new(trading)
	opening := make([]float64, len(openingNames))
	for k := range s.rows {
		p, o := s.rows[k].progress, &outlooks[k]
		stage, actual := &scores[p.stage()], s.rest(k)
		stage.measure(o, actual, s.rose(k), s.open(k).Unix()/int64(24*60*60))
		l := s.look(opening, k)
		for b, name := range baselineNames {
			of := m.baseline(name, l, p)
			stage.widths[b+1].measure(&of, actual)
		}
		if p.atOpen() {
			trades.trade(costs.decide(math.Expm1(o.point)).Action, p.last, s.candles.close[s.rows[k].candle], costs)
		}
	}
	return scores, trades, nil
}

// predictAll predicts every row, over all cores.
func (m *model) predictAll(ctx context.Context, s *samples, outlooks []outlook) error {
	workers := runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			var v vision
			opening := make([]float64, len(openingNames))
			for k := w; k < s.len() && failures[w] == nil; k += workers {
				if failures[w] = ctx.Err(); failures[w] == nil {
					outlooks[k], failures[w] = m.predict(&v, s.look(opening, k), s.rows[k].progress)
				}
			}
		})
	}
	working.Wait()
	return errors.Join(failures...)
}
