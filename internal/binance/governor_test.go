package binance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// meter is an exchange that does nothing but count, within the bubble of a
// synctest, of which the clock is the exchange's.
type meter struct {
	t       *testing.T
	limit   weightLimit
	latency func() (there, back time.Duration)
	others  func() int                             // weight that others used in the window so far
	dated   bool                                   // whether answers bear a date
	refuse  func() (status int, retryAfter string) // status 0 answers 200
	behind  time.Duration                          // by how much the governor's idea of the exchange's time is too early

	mu       sync.Mutex
	window   time.Time
	used     int // by us
	most     int // of used and others in any window
	total    int
	flying   int
	mostSent int // requests at once
	sent     []time.Time
	paused   time.Time // until when, as the refusals that have arrived said
}

func newMeter(t *testing.T, limit weightLimit) *meter {
	return &meter{
		t: t, limit: limit,
		latency: func() (time.Duration, time.Duration) { return 20 * time.Millisecond, 20 * time.Millisecond },
		others:  func() int { return 0 },
		refuse:  func() (int, string) { return 0, "" },
	}
}

func (m *meter) clock() (time.Time, bool) { return time.Now().Add(-m.behind), true }

// governor returns a governor of the meter that knows the limit.
func (m *meter) governor(pauses PauseStore) *governor {
	g := newGovernor(m, "exchange", pauses, m.clock, quiet)
	g.setLimit(m.limit)
	return g
}

func (m *meter) RoundTrip(request *http.Request) (*http.Response, error) {
	weight, err := weightOf(request.URL)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.sent = append(m.sent, time.Now())
	if now := time.Now(); now.Before(m.paused) {
		m.t.Errorf("sent at %s, in the pause until %s", now, m.paused)
	}
	m.flying++
	m.mostSent = max(m.mostSent, m.flying)
	there, back := m.latency()
	m.mu.Unlock()
	time.Sleep(there)

	m.mu.Lock()
	if window := time.Now().Truncate(m.limit.window); !window.Equal(m.window) {
		m.window, m.used = window, 0
	}
	m.used += weight
	m.total += weight
	used := m.used + m.others()
	m.most = max(m.most, used)
	status, retryAfter := m.refuse()
	made := time.Now()
	m.mu.Unlock()
	time.Sleep(back)

	m.mu.Lock()
	defer m.mu.Unlock()
	m.flying--
	response := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
	response.Header.Set(m.limit.header, strconv.Itoa(used))
	if m.dated {
		response.Header.Set("Date", made.UTC().Format(http.TimeFormat))
	}
	if status != 0 {
		response.StatusCode = status
		response.Header.Set("Retry-After", retryAfter)
		seconds, _ := strconv.Atoi(retryAfter)
		if until := time.Now().Add(min(time.Duration(seconds)*time.Second, maxPause)); until.After(m.paused) {
			m.paused = until
		}
	}
	return response, nil
}

func (m *meter) inFlight() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flying
}

func ask(ctx context.Context, g *governor, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://exchange/api/v3/"+path, nil)
	if err != nil {
		return err
	}
	_, err = g.RoundTrip(request)
	return err
}

var (
	tenSeconds = weightLimit{weight: 1000, window: 10 * time.Second, header: usedWeightHeader(10, "S")}
	paths      = []string{"klines", "time", "ping", "exchangeInfo", "ticker/price", "ticker/price?symbol=BTCUSDT"}
)

// TestTheLimitIsNeverPassed sends random requests of many callers over slow and
// fast lines, some of which give up, with a wrong idea of where the exchange's
// windows begin.
func TestTheLimitIsNeverPassed(t *testing.T) {
	for range 40 {
		callerCount, slowest, refuseEvery := 1+rand.IntN(60), 1+rand.N(2*time.Second), rand.IntN(3)*200
		t.Run(fmt.Sprintf("%d callers, %s, 429 in %d", callerCount, slowest.Round(time.Millisecond), refuseEvery), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMeter(t, tenSeconds)
				m.behind = rand.N(m.limit.window)
				m.latency = func() (time.Duration, time.Duration) { return rand.N(slowest), rand.N(slowest) }
				m.refuse = func() (int, string) {
					if refuseEvery > 0 && rand.IntN(refuseEvery) == 0 {
						return http.StatusTooManyRequests, strconv.Itoa(1 + rand.IntN(30))
					}
					return 0, ""
				}
				g := m.governor(nil)
				time.Sleep(rand.N(10 * time.Second)) // anywhere in the exchange's window
				started := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				var callers sync.WaitGroup
				for range callerCount {
					callers.Go(func() {
						for ctx.Err() == nil {
							one, stop := context.WithTimeout(ctx, rand.N(time.Minute))
							_ = ask(one, g, paths[rand.IntN(len(paths))])
							stop()
							if rand.IntN(10) == 0 {
								time.Sleep(rand.N(5 * time.Second))
							}
						}
					})
				}
				callers.Wait()
				if allowed := m.limit.allowed(); m.most > allowed {
					t.Errorf("%d used in a window, at most %d is right", m.most, allowed)
				}
				if g.inFlight != 0 {
					t.Errorf("%d in flight at the end", g.inFlight)
				}
				t.Logf("%d weight in %s, at most %d in a window", m.total, time.Since(started), m.most)
			})
		})
	}
}

// A governor that allows too little would pass every other test.
func TestTheShareIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		g := m.governor(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for ask(ctx, g, "klines") == nil {
				}
			})
		}
		callers.Wait()
		if want := 60 * m.limit.allowed(); m.total < want*98/100 {
			t.Errorf("%d weight in ten minutes, %d was allowed", m.total, want)
		}
	})
}

// Others behind the same address use weight too: all together stay within the
// half, and only until the exchange's window ends.
func TestOthersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		begin := time.Now().Truncate(m.limit.window).Add(m.limit.window)
		time.Sleep(time.Until(begin.Add(7 * time.Second)))
		m.others = func() int {
			if time.Now().Before(begin.Add(m.limit.window)) {
				return 450
			}
			return 0
		}
		g := m.governor(nil)
		var callers sync.WaitGroup
		for range 30 {
			callers.Go(func() {
				if err := ask(t.Context(), g, "ticker/price"); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if m.most > m.limit.allowed() {
			t.Errorf("%d used in a window", m.most)
		}
		sentLate := 0
		for _, sent := range m.sent {
			if !sent.Before(begin.Add(m.limit.window)) {
				sentLate++
			}
		}
		if sentLate != 20 || time.Since(begin) > m.limit.window+time.Second {
			t.Errorf("%d of 30 waited for the next window, until %s after the beginning of the first", sentLate, time.Since(begin))
		}
	})
}

func TestOneAtATimeWhileNothingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, tenSeconds)
		g := m.governor(nil)
		burst := func() {
			var callers sync.WaitGroup
			for range 10 {
				callers.Go(func() { _ = ask(t.Context(), g, "klines") })
			}
			synctest.Wait()
			if flying := m.inFlight(); flying != 1 {
				t.Errorf("%d requests are in flight before the first answer", flying)
			}
			callers.Wait()
			if m.mostSent < 9 {
				t.Errorf("at most %d requests at once after it", m.mostSent)
			}
		}
		burst()
		refusals := []int{http.StatusTooManyRequests}
		m.refuse = func() (status int, _ string) {
			if len(refusals) > 0 {
				status, refusals = refusals[0], refusals[1:]
			}
			return status, "5"
		}
		_ = ask(t.Context(), g, "ping")
		m.mostSent = 0
		time.Sleep(6 * time.Second)
		burst()
	})
}

// begin does what a process does that begins, and says when it knew the limit.
func (m *meter) begin() (*governor, time.Time) {
	g := newGovernor(m, "exchange", nil, func() (time.Time, bool) { return time.Time{}, false }, quiet)
	for _, path := range []string{"ping", "exchangeInfo"} {
		if err := ask(m.t.Context(), g, path); err != nil {
			m.t.Error(err)
		}
	}
	g.setLimit(m.limit)
	return g, time.Now()
}

// A process that is killed and started anew, again and again, remembers nothing.
func TestProcessesThatBeginStayWithinHalf(t *testing.T) {
	for _, limit := range []weightLimit{
		usualLimit, tenSeconds, {weight: 100, window: 10 * time.Second, header: tenSeconds.header},
		{weight: leastLimit, window: 5 * time.Minute, header: usedWeightHeader(5, "M")},
	} {
		for _, dated := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d in %s, dated %v", limit.weight, limit.window, dated), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newMeter(t, limit)
					m.dated = dated
					for range 200 {
						g, _ := m.begin()
						if err := ask(t.Context(), g, "klines"); err != nil {
							t.Error(err)
						}
					}
					if half := limit.weight / 2; m.most > half {
						t.Errorf("%d used in a window, half of the limit is %d", m.most, half)
					}
				})
			})
		}
	}
}

// What is sent before anything is known fits between share and the half.
func TestFirstRequestsFitBesideAFullShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, usualLimit)
		m.others = usualLimit.allowed
		for range 50 {
			ctx, kill := context.WithTimeout(t.Context(), 100*time.Millisecond)
			g := newGovernor(m, "exchange", nil, m.clock, quiet)
			if err := ask(ctx, g, "ping"); err != nil {
				t.Error(err)
			}
			if err := ask(ctx, g, "exchangeInfo"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			kill()
		}
		if half := usualLimit.weight / 2; m.most > half || len(m.sent) != 50 {
			t.Errorf("%d used in a window, half of the limit is %d; %d requests sent", m.most, half, len(m.sent))
		}
	})
}

// The dates of answers tell when the exchange's window ends before its clock is
// measured.
func TestTheFirstQuestionWaitsForTheNextWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, usualLimit)
		m.dated = true
		begin := time.Now().Truncate(time.Minute).Add(time.Minute)
		time.Sleep(time.Until(begin.Add(45 * time.Second)))
		m.others = func() int {
			if time.Now().Before(begin.Add(time.Minute)) {
				return usualLimit.allowed() - exchangeInfoWeight
			}
			return 0
		}
		_, known := m.begin()
		if late := known.Sub(begin.Add(time.Minute)); late < 0 || late > time.Second+100*time.Millisecond {
			t.Errorf("the limit was known %s after the window", late)
		}
		if m.most > usualLimit.allowed() {
			t.Errorf("%d used in a window", m.most)
		}
	})
}

func TestAssumedLimit(t *testing.T) {
	for _, test := range []struct {
		headers []string
		window  time.Duration // 0 where none is told
		weight  int
	}{
		{nil, 0, 0},
		{[]string{"X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-", "X-MBX-USED-WEIGHT-M", "X-MBX-USED-WEIGHT-0S",
			"X-MBX-USED-WEIGHT-5X", "X-MBX-USED-WEIGHT--1S", "X-MBX-USED-WEIGHT-1001D", "X-MBX-USED-WEIGHT-é"}, 0, 0},
		{[]string{"X-MBX-USED-WEIGHT-10S"}, 10 * time.Second, leastLimit},
		{[]string{"X-MBX-USED-WEIGHT-10S", "X-MBX-USED-WEIGHT-1M"}, time.Minute, 6000},
		{[]string{"X-MBX-USED-WEIGHT-10S", "X-MBX-USED-WEIGHT-1h", "X-MBX-USED-WEIGHT-5M"}, time.Hour, leastLimit},
	} {
		header := http.Header{}
		for _, name := range test.headers {
			header.Set(name, "1")
		}
		limit, told := assumedLimit(header)
		if told != (test.window > 0) || told && (limit.window != test.window || limit.weight != test.weight || header.Get(limit.header) != "1") {
			t.Errorf("%v: %+v, %v", test.headers, limit, told)
		}
	}
}

// What was read of the windows that were assumed says nothing of the real ones.
func TestALimitOfOtherWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, usualLimit)
		m.others = func() int { return 3000 }
		g := m.governor(nil)
		started := time.Now()
		if err := ask(t.Context(), g, "exchangeInfo"); err != nil {
			t.Fatal(err)
		}
		m.limit, m.others = tenSeconds, func() int { return 0 }
		g.setLimit(tenSeconds)
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				if err := ask(t.Context(), g, "klines"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if flying := m.inFlight(); flying != 1 {
			t.Errorf("%d requests are in flight before the first answer of the new windows", flying)
		}
		callers.Wait()
		if waited := time.Since(started); waited > time.Second {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestRequestsAreSentInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, weightLimit{weight: leastLimit, window: 10 * time.Second, header: usedWeightHeader(10, "S")})
		g := m.governor(nil)
		var callers sync.WaitGroup
		answered := make([]time.Time, 60)
		for k := range answered {
			path := "klines"
			if k%7 == 0 {
				path = "exchangeInfo" // a heavy one is not overtaken
			}
			callers.Go(func() {
				if err := ask(t.Context(), g, path); err != nil {
					t.Error(err)
				}
				answered[k] = time.Now() // every line is as fast, so in the order of sending
			})
			synctest.Wait()
		}
		callers.Wait()
		if !slices.IsSortedFunc(answered, time.Time.Compare) {
			t.Errorf("answered at %s", answered)
		}
	})
}

func TestARequestOfUnknownWeightIsNotSent(t *testing.T) {
	m := newMeter(t, tenSeconds)
	if err := ask(t.Context(), m.governor(nil), "order"); err == nil || len(m.sent) != 0 {
		t.Errorf("error %v, %d requests sent", err, len(m.sent))
	}
}

// A request that fails may have been counted.
func TestFailedRequestsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		g := newGovernor(roundTripper(func(*http.Request) (*http.Response, error) {
			sent++
			return nil, errors.New("broken line")
		}), "exchange", nil, func() (time.Time, bool) { return time.Time{}, false }, quiet)
		ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
		defer cancel()
		for {
			err := ask(ctx, g, "exchangeInfo")
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "broken line") {
				t.Fatal(err)
			}
		}
		if want := usualLimit.allowed() / exchangeInfoWeight; sent != want {
			t.Errorf("%d requests were sent, want %d", sent, want)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// BenchmarkGovernor measures what the governor adds to a request, alone and
// with others beside it.
func BenchmarkGovernor(b *testing.B) {
	response := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
	response.Header.Set(usualLimit.header, "1")
	newIdle := func() (*governor, *http.Request) {
		g := newGovernor(roundTripper(func(*http.Request) (*http.Response, error) { return response, nil }),
			"exchange", nil, func() (time.Time, bool) { return time.Now(), true }, quiet)
		g.setLimit(weightLimit{weight: 1e15, window: time.Millisecond, header: usualLimit.header})
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://exchange/api/v3/klines?symbol=BTCUSDT", nil)
		if err != nil {
			b.Fatal(err)
		}
		return g, request
	}
	b.Run("alone", func(b *testing.B) {
		g, request := newIdle()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := g.RoundTrip(request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("beside others", func(b *testing.B) {
		g, request := newIdle()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := g.RoundTrip(request); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
