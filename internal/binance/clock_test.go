package binance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// measured is a fake of the exchange's time: an offset to the bubble's clock.
type measured struct {
	offset  time.Duration
	latency time.Duration
	err     error
	times   int
}

func (m *measured) measure(ctx context.Context) (time.Time, error) {
	m.times++
	showed := time.Now().Add(m.offset)
	select {
	case <-time.After(m.latency):
		return showed, m.err
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

var quiet = slog.New(slog.DiscardHandler)

// checkClock asserts what now returns as a distance to the exchange's true time.
func checkClock(t *testing.T, c *clock, m *measured, want time.Duration) {
	t.Helper()
	now, err := c.now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := now.Sub(time.Now().Add(m.offset)); got != want {
		t.Errorf("now is %s from the exchange's, want %s", got, want)
	}
}

func TestTheClockIsALowerBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{offset: -17 * time.Second, latency: 400 * time.Millisecond}
		c := newClock(m.measure, quiet)
		if _, known := c.estimate(); known {
			t.Error("the time is known before it was asked for")
		}
		checkClock(t, c, m, -settleTime-m.latency)
		time.Sleep(59 * time.Minute)
		checkClock(t, c, m, -settleTime-m.latency)
		if estimate, known := c.estimate(); !known || time.Now().Add(m.offset).Sub(estimate) != m.latency {
			t.Errorf("estimate %s, known %v", estimate, known)
		}
		if m.times != 1 {
			t.Errorf("asked %d times within an hour", m.times)
		}
		time.Sleep(time.Minute)
		m.latency = 100 * time.Millisecond
		checkClock(t, c, m, -settleTime-m.latency)
		if m.times != 2 {
			t.Errorf("asked %d times after an hour", m.times)
		}
	})
}

func TestTheClockNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{}
		c := newClock(m.measure, quiet)
		checkClock(t, c, m, -settleTime)
		time.Sleep(measuredEvery - time.Second)
		before, err := c.now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		m.offset = -doubtful
		after, err := c.now(t.Context())
		if err != nil || !after.Equal(before) {
			t.Errorf("%s, then %s, %v", before, after, err)
		}
	})
}

// A measurement that is far off what there is to compare it with needs another
// that bears it out.
func TestADoubtfulMeasurementIsRepeated(t *testing.T) {
	const hour = time.Hour
	for _, test := range []struct {
		name    string
		known   bool            // whether there was a good measurement an hour ago
		offsets []time.Duration // of the exchange's answers to our clock
		want    time.Duration   // of now to our clock
		refused bool
	}{
		{"in no doubt", false, []time.Duration{doubtful}, doubtful, false},
		{"one wrong answer", false, []time.Duration{hour, 0}, 0, true},
		{"one wrong answer, with another far behind", false, []time.Duration{0 - hour, 0}, 0, true},
		{"our clock is wrong", false, []time.Duration{hour, hour}, hour, false},
		{"our clock is wrong, the line slow", false, []time.Duration{hour, hour - agreement}, hour - agreement, false},
		{"later, one wrong answer", true, []time.Duration{hour, 0}, 0, false}, // the old one is used on
		{"later, the other way", true, []time.Duration{-hour, 0}, 0, false},   // the same
		{"later, the exchange's was set", true, []time.Duration{-2 * hour, -2 * hour}, -2 * hour, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := []time.Duration{0}
				c := newClock(func(context.Context) (time.Time, error) {
					offset := answers[0]
					answers = answers[1:]
					return time.Now().Add(offset), nil
				}, quiet)
				if test.known {
					if _, err := c.now(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(measuredEvery)
				}
				answers = test.offsets
				now, err := c.now(t.Context())
				if test.refused != (market.ErrorCode(err) == market.Unavailable) {
					t.Fatalf("error %v", err)
				}
				if got := time.Until(now.Add(settleTime)); err == nil && got != test.want {
					t.Errorf("now is %s from ours, want %s", got, test.want)
				}
				if len(answers) > 0 {
					t.Errorf("%d answers were not asked for", len(answers))
				}
			})
		})
	}
}

// A clock that is shown to be wrong goes back.
func TestARefutedClockIsMeasuredAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{offset: time.Hour}
		c := newClock(m.measure, quiet)
		wrong, err := c.now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.offset = 0
		c.refute(wrong)
		checkClock(t, c, m, -settleTime)
		m.times = 0
		c.refute(wrong) // by another answer of the time before
		checkClock(t, c, m, -settleTime)
		if m.times != 0 {
			t.Errorf("measured %d times more", m.times)
		}
	})
}

// A machine that slept, or whose clock was set, shows in the distance of its two
// clocks.
func TestTheClockIsMeasuredAnewAfterAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{}
		c := newClock(m.measure, quiet)
		for k, step := range []time.Duration{0, time.Second, -time.Second, 1001 * time.Millisecond, -time.Hour} {
			m.times = 0
			c.measured.wall = c.measured.wall.Add(step)
			checkClock(t, c, m, -settleTime)
			if want := k == 0 || step.Abs() > clockStep; want != (m.times == 1) {
				t.Errorf("after a step of %s it was measured %d times", step, m.times)
			}
			c.measured.wall = c.measured.received.Round(0)
		}
	})
}

func TestAnOldMeasurementServesForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		m := &measured{}
		c := newClock(m.measure, slog.New(slog.NewTextHandler(&log, nil)))
		checkClock(t, c, m, -settleTime)
		m.err = errors.New("no line")
		time.Sleep(measuredEvery)
		checkClock(t, c, m, -settleTime)
		checkClock(t, c, m, -settleTime)
		if m.times != 2 || strings.Count(log.String(), "no line") != 1 {
			t.Errorf("asked %d times, logged %s", m.times, log.String())
		}
		time.Sleep(remeasurePause)
		m.latency = remeasureTimeout + time.Second // nor is it worth waiting for
		started := time.Now()
		checkClock(t, c, m, -settleTime)
		if waited := time.Since(started); waited != remeasureTimeout || m.times != 3 {
			t.Errorf("waited %s, asked %d times", waited, m.times)
		}
		m.latency = 0
		time.Sleep(usableFor)
		if _, err := c.now(t.Context()); !errors.Is(err, m.err) {
			t.Errorf("after a day: %v", err)
		}
		m.err = nil
		checkClock(t, c, m, -settleTime)
	})
}

// Just before a measurement is a day old, a failed attempt does not prolong it;
// and a day that the machine slept through counts.
func TestAMeasurementOfADayIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{}
		c := newClock(m.measure, quiet)
		checkClock(t, c, m, -settleTime)
		m.err = errors.New("no line")
		time.Sleep(usableFor - remeasurePause/2)
		checkClock(t, c, m, -settleTime)
		time.Sleep(remeasurePause / 2)
		if _, err := c.now(t.Context()); !errors.Is(err, m.err) {
			t.Errorf("after a day: %v", err)
		}

		m.err = nil
		c = newClock(m.measure, quiet)
		checkClock(t, c, m, -settleTime)
		m.err = errors.New("no line")
		c.measured.wall = c.measured.wall.Add(-usableFor)
		if _, err := c.now(t.Context()); !errors.Is(err, m.err) {
			t.Errorf("after a day's sleep: %v", err)
		}
	})
}

func TestManyMeasureOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{latency: time.Second}
		c := newClock(m.measure, quiet)
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() { checkClock(t, c, m, -settleTime-m.latency) })
		}
		asking.Wait()
		if m.times != 1 {
			t.Errorf("asked %d times", m.times)
		}
	})
}

func TestWaitingForAMeasurementEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{latency: time.Minute}
		c := newClock(m.measure, quiet)
		var measuring sync.WaitGroup
		measuring.Go(func() { checkClock(t, c, m, -settleTime-m.latency) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.now(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		measuring.Wait()
	})
}

func TestATimeThatIsNoneIsRefused(t *testing.T) {
	for _, body := range []string{
		"null", "[]", "{}", "<html>", `{"serverTime":"1704067200000"}`, `{"serverTime":null}`, `{"serverTime":-1}`,
		`{"serverTime":1704067200}`, `{"serverTime":1704067200000000}`, `{"serverTime":1e400}`,
	} {
		e := newExchange(t, nil)
		e.time = answering(200, body)
		if now, err := e.client(t).Now(t.Context()); err == nil || !strings.Contains(fmt.Sprint(err), "malformed") {
			t.Errorf("%s: %s, %v", body, now, err)
		}
	}
}

func TestTheEstimateIsOfTheNewestMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &measured{offset: -17 * time.Second, latency: 400 * time.Millisecond}
		client := &Client{clock: newClock(m.measure, quiet)}
		if _, known := client.Estimate(); known {
			t.Error("the time is known before it was measured")
		}
		check := func(want time.Duration, wantKnown bool) {
			t.Helper()
			now, known := client.Estimate()
			if off := time.Until(now); known != wantKnown || known && off != want {
				t.Errorf("%s off our clock, known %v", off, known)
			}
		}
		checkClock(t, client.clock, m, -settleTime-m.latency)
		check(m.offset-m.latency, true)
		time.Sleep(50 * time.Hour)
		check(-17*time.Second-400*time.Millisecond, true)
		m.offset, m.latency = -5*time.Second, 0
		checkClock(t, client.clock, m, -settleTime)
		check(-5*time.Second, true)
		// Our wall clock is set, or the machine slept: the two have parted.
		client.clock.measured.wall = client.clock.measured.wall.Add(-time.Minute)
		check(0, false)
		if m.times != 2 {
			t.Errorf("asked %d times", m.times)
		}
	})
}
