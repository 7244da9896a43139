package live

import (
	"fmt"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// wallClock is the machine's.
type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

type nobody struct{}

func (nobody) Publish(Update) {}

func benchmarked(b *testing.B, hub publisher, count int) *Service {
	b.Helper()
	store := newFakeStore(sampled, time.Now)
	config := Config{
		SampleEvery: sampled, Clock: wallClock{}, Dialer: &fakeExchange{}, Ticks: store, Candles: store,
		Repairer: store, Checker: store,
	}
	for k := range count {
		config.Series = append(config.Series, market.Series{
			Symbol: market.Symbol(fmt.Sprintf("COIN%dUSDT", k)), Interval: market.Month1,
		})
	}
	return newService(config, hub)
}

// What an event costs from when it was decoded until it is handed on.
func BenchmarkHear(b *testing.B) {
	for name, hub := range map[string]publisher{"nobody": nobody{}, "hub": NewHub(func(*Update) []byte { return nil })} {
		b.Run(name, func(b *testing.B) {
			s := benchmarked(b, hub, 1)
			f := s.followers[0]
			f.taken.add(f.before(market.Month1.Floor(midnight)))
			event := stateAt(f.series, midnight)
			b.ReportAllocs()
			for b.Loop() {
				event.EventTime = event.EventTime.Add(time.Millisecond)
				s.hear(b.Context(), f, &event, s.config.Clock.Now())
			}
			if f.duplicates > 0 {
				b.Errorf("%d events were dropped", f.duplicates)
			}
		})
	}
}

// What a place of the sampling grid costs with 500 series, every 5 seconds.
func BenchmarkSample500Series(b *testing.B) {
	s := benchmarked(b, nobody{}, 500)
	now := time.Now()
	for _, f := range s.followers {
		f.linked(1)
		f.newest, f.heard = stateAt(f.series, now), now.Add(time.Hour)
	}
	sampler := newSampler(s)
	b.ReportAllocs()
	for b.Loop() {
		sampler.next = time.Now().UTC().Truncate(sampled)
		sampler.sampleDue(b.Context())
		s.ticks.ticks = s.ticks.ticks[:0]
	}
}
