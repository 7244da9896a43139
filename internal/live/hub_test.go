package live

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func encodeID(u *Update) []byte { return strconv.AppendUint(nil, u.ID, 10) }

func priceOf(symbol market.Symbol, price float64) Update {
	return Update{Symbol: symbol, Price: &Kline{Candle: market.Candle{Close: price}}}
}

func closedCandle(symbol market.Symbol, price float64) Update {
	return Update{Symbol: symbol, Candle: &Kline{Candle: market.Candle{Close: price}, Closed: true}}
}

func forecastUpdate(symbol market.Symbol, point float64) Update {
	return Update{Symbol: symbol, Forecast: &forecast.Forecast{Prediction: forecast.Prediction{Point: point}}}
}

// brief writes updates as "B price 3", in their order.
func brief(updates []*Update) []string {
	var lines []string
	for _, u := range updates {
		switch {
		case u.Price != nil:
			lines = append(lines, fmt.Sprintf("%s price %v", u.Symbol, u.Price.Candle.Close))
		case u.Candle != nil:
			lines = append(lines, fmt.Sprintf("%s candle %v", u.Symbol, u.Candle.Candle.Close))
		default:
			lines = append(lines, fmt.Sprintf("%s forecast %v", u.Symbol, u.Forecast.Point))
		}
	}
	return lines
}

// expectTake takes and compares, and checks that each update is whole and in
// its place.
func expectTake(t *testing.T, s *Subscription, missed int, want ...string) []*Update {
	t.Helper()
	updates, left := s.Take()
	if got := brief(updates); !slices.Equal(got, want) || left != missed {
		t.Errorf("took %q and missed %d, want %q and %d", got, left, want, missed)
	}
	last := uint64(0)
	for _, u := range updates {
		if u.ID <= last || u.At.IsZero() || string(u.Frame) != strconv.FormatUint(u.ID, 10) {
			t.Errorf("update %d after %d, at %s, with the frame %q", u.ID, last, u.At, u.Frame)
		}
		last = u.ID
	}
	return slices.Clone(updates)
}

func TestHubHandsOnTheNewestAndEveryCandle(t *testing.T) {
	h := NewHub(encodeID)
	if h.Newest("B") != nil {
		t.Error("there is a price before any was published")
	}
	h.Publish(closedCandle("B", 1))
	h.Publish(priceOf("B", 2))
	all, one := h.Subscribe(0), h.Subscribe(0, "E", "E")
	defer all.Close()
	defer one.Close()
	expectTake(t, all, 0, "B price 2")
	expectTake(t, one, 0)

	for k := range 3 {
		h.Publish(priceOf("B", float64(10+k)))
		h.Publish(priceOf("E", float64(20+k)))
		h.Publish(forecastUpdate("E", float64(30+k)))
		h.Publish(closedCandle("E", float64(40+k)))
	}
	expectTake(t, all, 0, "E candle 40", "E candle 41", "B price 12", "E price 22", "E forecast 32", "E candle 42")
	expectTake(t, all, 0)
	expectTake(t, one, 0, "E candle 40", "E candle 41", "E price 22", "E forecast 32", "E candle 42")
	if got := h.Newest("E"); got == nil || got.Price.Candle.Close != 22 {
		t.Errorf("the newest price is %+v", got)
	}
	late := h.Subscribe(0, "E")
	defer late.Close()
	expectTake(t, late, 0, "E price 22", "E forecast 32")
}

func TestHubSubscriptionGoesOnWhereItEnded(t *testing.T) {
	h := NewHub(encodeID)
	s := h.Subscribe(0)
	h.Publish(priceOf("E", 8))
	h.Publish(forecastUpdate("E", 8))
	for k := range 5 {
		h.Publish(closedCandle("B", float64(k)))
		h.Publish(closedCandle("E", float64(k)))
	}
	h.Publish(priceOf("B", 9))
	taken, _ := s.Take()
	s.Close()
	for after, want := range map[uint64][]string{
		taken[0].ID:       brief(taken[1:]), // the ID of no candle
		taken[7].ID:       {"B candle 3", "E candle 3", "B candle 4", "E candle 4", "B price 9"},
		taken[11].ID:      {"B price 9"},
		taken[12].ID:      nil,
		taken[12].ID + 99: brief(taken), // of an earlier process, whose clock was ahead
		1:                 brief(taken), // of an earlier process
	} {
		resumed := h.Subscribe(after)
		expectTake(t, resumed, 0, want...)
		resumed.Close()
	}
}

func TestHubBoundsWhatItKeepsForTheSlow(t *testing.T) {
	h := NewHub(encodeID)
	slow := h.Subscribe(0)
	defer slow.Close()
	first := h.lastID + 1
	for k := range remembered + 7 {
		h.Publish(closedCandle("B", float64(k)))
		h.Publish(closedCandle("E", float64(k)))
	}
	updates, missed := slow.Take()
	if len(updates) != 2*remembered || missed != 2*7 || updates[0].Candle.Candle.Close != 7 {
		t.Errorf("took %d, missed %d, the oldest is %v", len(updates), missed, brief(updates[:1]))
	}
	expectTake(t, slow, 0)
	h.Publish(closedCandle("B", 1000))
	expectTake(t, slow, 0, "B candle 1000")

	resumed := h.Subscribe(first, "E") // forgotten since
	defer resumed.Close()
	if updates, missed := resumed.Take(); len(updates) != remembered || missed != 7 {
		t.Errorf("resumed with %d candles, missed %d", len(updates), missed)
	}
}

func TestHubIDsAreLargerThanThoseBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := NewHub(encodeID)
		for range 100 {
			before.Publish(priceOf("B", 1))
		}
		time.Sleep(time.Millisecond) // of the bubble's clock: a process takes longer to start
		after := NewHub(encodeID)
		after.Publish(priceOf("B", 1))
		if first, last := after.Newest("B").ID, before.Newest("B").ID; first <= last {
			t.Errorf("the first ID is %d, not above %d of the hub before", first, last)
		}
	})
}

// Whatever the order of things, each subscriber ends with the newest price and
// every candle, and a subscription that is closed is forgotten.
func TestHubUnderConcurrency(t *testing.T) {
	const publishers, subscribers, rounds = 4, 16, 200 // a symbol has no more candles than are remembered
	h := NewHub(encodeID)
	var waiting, publishing sync.WaitGroup
	for k := range subscribers {
		var symbols []market.Symbol
		want := publishers
		if k%2 == 1 {
			symbols, want = []market.Symbol{"S0", "S1"}, 2
		}
		s := h.Subscribe(0, symbols...)
		waiting.Go(func() {
			defer s.Close()
			last := uint64(0)
			candles, ended := 0, 0
			for ended < want {
				<-s.Ready()
				updates, missed := s.Take()
				candles += missed
				for _, u := range updates {
					if u.ID <= last {
						t.Errorf("update %d after %d", u.ID, last)
					}
					last = u.ID
					switch {
					case u.Candle != nil:
						candles++
					case u.Price.Candle.Close == rounds:
						ended++
					}
				}
			}
			if candles != want*rounds {
				t.Errorf("%d candles, want %d", candles, want*rounds)
			}
		})
	}
	for k := range publishers {
		publishing.Go(func() {
			symbol := market.Symbol(fmt.Sprintf("S%d", k))
			random := rand.New(rand.NewPCG(uint64(k), 1))
			for round := range rounds {
				h.Publish(closedCandle(symbol, float64(round)))
				if random.IntN(3) == 0 {
					h.Publish(priceOf(symbol, float64(round)))
				}
				h.Newest(symbol)
			}
			h.Publish(priceOf(symbol, rounds))
		})
	}
	publishing.Wait()
	waiting.Wait()
	if len(h.all) != 0 || len(h.named) != 0 {
		t.Errorf("%d and %d subscriptions are left", len(h.all), len(h.named))
	}
}

func BenchmarkPublishToIdle(b *testing.B) {
	for _, subscribers := range []int{0, 1, 1000} {
		b.Run(strconv.Itoa(subscribers), func(b *testing.B) {
			h := NewHub(encodeID)
			for range subscribers {
				h.Subscribe(0)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Publish(priceOf("B", 1))
			}
		})
	}
}

// BenchmarkTake takes from a hub of many symbols, of which one has news.
func BenchmarkTake(b *testing.B) {
	h := NewHub(encodeID)
	for k := range 500 {
		h.Publish(priceOf(market.Symbol(fmt.Sprintf("S%d", k)), 1))
	}
	s := h.Subscribe(0)
	s.Take()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		h.Publish(priceOf("S250", 1))
		b.StartTimer()
		if updates, _ := s.Take(); len(updates) != 1 {
			b.Fatalf("took %d", len(updates))
		}
	}
}

// BenchmarkPublishToTake measures the time from Publish to Take for a thousand
// goroutines that wait.
func BenchmarkPublishToTake(b *testing.B) {
	const subscribers = 1000
	h := NewHub(encodeID)
	latencies := make([][]time.Duration, subscribers)
	var began time.Time
	var round, waiting sync.WaitGroup
	subscriptions := make([]*Subscription, subscribers)
	stop := make(chan struct{})
	for k := range subscriptions {
		s := h.Subscribe(0)
		<-s.Ready()
		subscriptions[k] = s
		waiting.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-s.Ready():
					if updates, _ := s.Take(); len(updates) != 1 {
						b.Errorf("took %d", len(updates))
					}
					latencies[k] = append(latencies[k], time.Since(began))
					round.Done()
				}
			}
		})
	}
	var publishing time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		round.Add(subscribers)
		began = time.Now()
		h.Publish(priceOf("B", 1))
		publishing += time.Since(began)
		round.Wait()
	}
	close(stop)
	waiting.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	microseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	b.ReportMetric(microseconds(publishing)/float64(rounds), "µs/publish")
	b.ReportMetric(microseconds(all[len(all)/2]), "p50-µs")
	b.ReportMetric(microseconds(all[len(all)*99/100]), "p99-µs")
}
