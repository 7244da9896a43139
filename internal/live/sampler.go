package live

import (
	"context"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// sampler takes the state of every series at each place of the sampling grid,
// or takes note of why there is none, so that every place from the first one of
// its run to the last is accounted for once.
type sampler struct {
	service *Service
	clock   Clock
	every   time.Duration
	next    time.Time // the first place that is not accounted for
}

func newSampler(service *Service) *sampler {
	s := &sampler{service: service, clock: service.config.Clock, every: service.config.SampleEvery}
	s.next = ceil(s.clock.Now(), s.every)
	service.ticks.begin(s.next)
	return s
}

func (s *sampler) run(ctx context.Context) {
	for sleep(ctx, s.clock, s.next.Sub(s.clock.Now())) {
		s.sampleDue(ctx)
	}
	s.sampleDue(ctx)
}

// sampleDue samples the newest place that is due. Those before it have passed
// without anybody looking, as the process was held up or the machine asleep.
func (s *sampler) sampleDue(ctx context.Context) {
	now := s.clock.Now()
	if now.Before(s.next) {
		return
	}
	place := now.UTC().Truncate(s.every)
	passed := market.TimeRange{Start: s.next, End: place}
	s.next = place.Add(s.every)

	var samples []sample
	if s.service.forecasts != nil {
		samples = make([]sample, 0, len(s.service.followers))
	}
	for _, f := range s.service.followers {
		symbol := f.series.Symbol
		if !passed.Empty() {
			s.service.ticks.miss(symbol, passed, NotRunning)
		}
		state, missing := f.sample(now)
		if missing != "" {
			s.service.ticks.miss(symbol, market.TimeRange{Start: place, End: s.next}, missing)
			continue
		}
		s.service.ticks.add(market.Tick{
			Series: state.Series, SampledAt: place, Candle: state.Candle,
			FirstTradeID: state.FirstTradeID, LastTradeID: state.LastTradeID,
			ExchangeTime: state.EventTime, ReceivedAt: state.ReceivedAt,
		})
		if s.service.forecasts != nil {
			samples = append(samples, sample{place, now.UTC(), state})
		}
	}
	if len(samples) > 0 {
		s.service.forecasts.take(ctx, samples)
	}
}

// ceil returns the first place of the sampling grid that is not before t.
func ceil(t time.Time, every time.Duration) time.Time {
	place := t.UTC().Truncate(every)
	if place.Before(t) {
		place = place.Add(every)
	}
	return place
}
