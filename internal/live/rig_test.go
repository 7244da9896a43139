package live

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const sampled = 5 * time.Second

// rig is a service in a bubble, with everything around it.
type rig struct {
	*Service
	clock    *bubbleClock
	exchange *fakeExchange
	store    *fakeStore
	news     *newsroom
	log      *lockedBuffer
	stop     func() error // and wait
	started  time.Time
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.Bytes(), []byte(text))
}

func newRig(alter func(*Config), series ...market.Series) *rig {
	r := &rig{clock: &bubbleClock{}, exchange: &fakeExchange{}, news: newNewsroom(), log: &lockedBuffer{}}
	r.store = newFakeStore(sampled, r.clock.Now)
	config := Config{
		Series: series, SampleEvery: sampled, Clock: r.clock, Dialer: r.exchange,
		Ticks: r.store, Candles: r.store, Repairer: r.store, Checker: r.store,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	if alter != nil {
		alter(&config)
	}
	r.Service = newService(config, r.news)
	return r
}

func (r *rig) start(t testing.TB) *rig {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	r.started = r.clock.Now()
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(cancel) // for a test that does not get to stop it
	r.stop = func() error {
		asked := time.Now()
		cancel()
		err := <-ended
		if took := time.Since(asked); took > 5*time.Second {
			return fmt.Errorf("it took %s to stop", took)
		}
		return err
	}
	synctest.Wait()
	return r
}

// live lets the market go on, with a push of every series each second.
func (r *rig) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		r.push(time.Second)
		time.Sleep(time.Second)
	}
	synctest.Wait()
}

// push tells how every candle stands, and of those that closed since the last
// push, so long ago.
func (r *rig) push(since time.Duration) {
	now := r.clock.Now()
	for _, series := range r.config.Series {
		if open := series.Interval.Floor(now); now.Sub(open) < since {
			closing := closeOf(series, open.Add(-series.Interval.Length()), now)
			r.exchange.push(Event{Kline: closing})
		}
		r.exchange.push(Event{Kline: stateAt(series, now)})
	}
}

// inBubble runs a test with a service that starts 100 ms after midnight, and
// stops it.
func inBubble(t *testing.T, alter func(*Config), series []market.Series, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * time.Millisecond)
		r := newRig(alter, series...).start(t)
		test(t, r)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		for _, error := range slices.Concat(r.store.disorder, r.store.misscored, r.store.ignorant) {
			t.Error(error)
		}
		for _, series := range series {
			r.checkAccount(t, series.Symbol)
		}
	})
}

// checkAccount checks that all of the grid from the start to now is accounted
// for once.
func (r *rig) checkAccount(t failing, symbol market.Symbol) {
	now := r.clock.Now()
	r.checkPlaces(t, symbol, ceil(r.started, sampled), now.Truncate(sampled).Add(sampled))
}

type failing interface{ Errorf(string, ...any) }

// checkPlaces checks that every place of the grid in a range, and no other, has
// one tick or lies in one gap.
func (r *rig) checkPlaces(t failing, symbol market.Symbol, start, end time.Time) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	times := map[time.Time]int{}
	for _, tick := range r.store.ticks[symbol] {
		times[tick.SampledAt]++
	}
	for _, gap := range r.store.gaps[symbol] {
		for place := gap.Start; place.Before(gap.End); place = place.Add(sampled) {
			times[place]++
		}
	}
	want := 0
	for place := start; place.Before(end); place = place.Add(sampled) {
		if want++; times[place] != 1 {
			t.Errorf("%s of %s is accounted for %d times", place.Format(time.TimeOnly), symbol, times[place])
		}
	}
	if len(times) != want {
		t.Errorf("%d places of %s are accounted for, want %d", len(times), symbol, want)
	}
}
