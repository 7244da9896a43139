package forecast

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// walkForward forecasts every sample whose candle opens in the range, a calendar
// month at a time, by a model trained on nothing but candles that had closed before
// that month, and measures each month. month is called after each, also after one
// of which no candle can be forecast.
func walkForward(
	ctx context.Context, s *samples, r market.TimeRange, costs Costs, month func(Metrics),
) (Metrics, error) {
	var whole tally
	var wholeTrading trading
	for start := r.Start; start.Before(r.End); start = market.Month1.Next(market.Month1.Floor(start)) {
		end := market.Month1.Next(market.Month1.Floor(start))
		if end.After(r.End) {
			end = r.End
		}
		fold := s.since(start).before(end)
		part, partTrading := new(tally), new(trading)
		if fold.len() > 0 {
			m, err := fit(ctx, s.before(start), nil)
			if err == nil {
				part, partTrading, err = m.measure(ctx, fold, costs)
			}
			if err != nil {
				return Metrics{}, fmt.Errorf("the month from %s: %w", start.Format(time.DateOnly), err)
			}
		}
		if month != nil {
			month(part.metrics(market.TimeRange{Start: start, End: end}, partTrading))
		}
		whole.add(part)
		wholeTrading.add(partTrading)
	}
	if whole[0].rows == 0 {
		return Metrics{}, market.Errorf(market.Unavailable, "no candle between %s and %s can be forecast",
			r.Start.Format(time.DateOnly), r.End.Format(time.DateOnly))
	}
	return whole.metrics(r, &wholeTrading), nil
}

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
			trades.trade(costs.decide(math.Expm1(o.point)).Action, math.Expm1(actual), costs)
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
