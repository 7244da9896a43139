package simulator

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheGateBansWhoDoesNotHeedIt(t *testing.T) {
	base := date("2024-05-17T12:00:00Z")
	g := gate{limit: RateLimit{Weight: 10, Window: time.Minute}, ban: 2 * time.Second}
	for _, step := range []struct {
		after  string // since base
		weight int
		status int
		left   string // of the pause
	}{
		{"10s", 10, 0, ""},
		{"20s", 1, 429, "40s"},
		{"20.4s", 1, 429, "39.6s"}, // was on its way
		{"21s", 1, 418, "2s"},
		{"22s", 1, 418, "4s"},
		{"25.999s", 1, 418, "8s"},
		{"34s", 1, 429, "26s"}, // the ban is over, the window's weight is not
		{"60s", 10, 0, ""},
		{"119.999s", 1, 429, "1ms"},
		{"120s", 1, 0, ""},
	} {
		now := base.Add(lasting(step.after))
		verdict := g.admit(now, step.weight)
		if verdict.status != step.status || step.left != "" && verdict.until.Sub(now) != lasting(step.left) {
			t.Errorf("%s: %d for %s", step.after, verdict.status, verdict.until.Sub(now))
		}
	}
	want := Traffic{
		Requests: 10, FullestWindow: Window{Start: base, Weight: 16},
		TooManyRequests: 4, Banned: 3, Violations: 3,
	}
	if got := g.snapshot(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func lasting(text string) time.Duration {
	length, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return length
}

func TestBansStopGrowing(t *testing.T) {
	g := gate{limit: RateLimit{Weight: 0, Window: time.Minute}, ban: time.Second}
	now := startsAt
	var until time.Time
	for range 100 {
		until = g.admit(now, 1).until
		now = now.Add(onTheWay)
		if !now.Before(until) {
			now = until.Add(-1)
		}
	}
	if length := until.Sub(now); length > longestBan || length < longestBan-time.Minute {
		t.Errorf("the last ban is %s", length)
	}
}

func TestTheCoinsGateBansNobody(t *testing.T) {
	g := gate{limit: RateLimit{Weight: 1, Window: time.Minute}}
	base := startsAt.Truncate(time.Minute)
	for k, status := range []int{0, 429, 429} {
		if verdict := g.admit(base.Add(time.Duration(k)*time.Second), 1); verdict.status != status || status != 0 && !verdict.until.Equal(base.Add(time.Minute)) {
			t.Errorf("call %d: %+v", k, verdict)
		}
	}
	if violations := g.snapshot().Violations; violations != 1 {
		t.Errorf("%d violations", violations)
	}
}

// A client that sends whatever the gate still lets in, and waits where it is told
// to, has no violation and never more than one window over the limit by the one
// request that showed it.
func TestAnObedientClientHasNoViolations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{limit: RateLimit{Weight: 100, Window: 10 * time.Second}, ban: time.Second}
		let := 0
		var mu sync.Mutex
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for range 200 {
					verdict := g.admit(time.Now(), 2)
					if verdict.status == http.StatusTooManyRequests {
						<-time.After(time.Until(verdict.until))
						continue
					}
					mu.Lock()
					let++
					mu.Unlock()
					<-time.After(time.Millisecond)
				}
			})
		}
		clients.Wait()
		traffic := g.snapshot()
		if traffic.Violations != 0 || traffic.Banned != 0 || traffic.TooManyRequests == 0 || let == 0 {
			t.Errorf("%+v, %d let in", traffic, let)
		}
		if traffic.FullestWindow.Weight > 108 {
			t.Errorf("fullest window %d", traffic.FullestWindow.Weight)
		}
	})
}
