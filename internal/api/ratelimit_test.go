package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
)

// limited serves the API with a limit, at a time that stands still until it is moved.
func limited(t *testing.T, perMinute int) (handler service, now *time.Time) {
	f := newService(3)
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{History: f, Forecaster: f, Database: f, Accounts: fakePeople{f}, Jobs: fakeJobs{f}, Runs: fakeJobs{f}, Schedule: fakeJobs{f}, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("GET /{symbol}/{interval}", func(http.ResponseWriter, *http.Request) {})
	limiter := NewRateLimiter(perMinute)
	at := day1
	limiter.now = func() time.Time { return at }
	return service{Wrap(limiter.Limit(mux), fakePeople{f}, f.current, discard), nil}, &at
}

// from asks for a path from an address.
func (s service) from(address, target string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, target, nil)
	request.RemoteAddr = address
	for k := 0; k+1 < len(header); k += 2 {
		request.Header.Set(header[k], header[k+1])
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	return recorder
}

func TestRateLimit(t *testing.T) {
	s, now := limited(t, 4)
	const someone, target = "198.51.100.7:1", "/v1/symbols"
	for k, want := range []struct {
		after                   time.Duration
		status                  int
		remaining, reset, retry string
	}{
		{0, 200, "3", "15", ""},
		{0, 200, "2", "30", ""},
		{0, 200, "1", "45", ""},
		{0, 200, "0", "60", ""},
		{0, 429, "0", "60", "15"},
		{14500 * time.Millisecond, 429, "0", "46", "1"},
		{500 * time.Millisecond, 200, "0", "60", ""},
		{30 * time.Second, 200, "1", "45", ""},
		{time.Hour, 200, "3", "15", ""},
	} {
		*now = now.Add(want.after)
		a := s.from(someone, target)
		header := a.Header()
		if a.Code != want.status || header.Get("RateLimit-Limit") != "4" || header.Get("RateLimit-Remaining") != want.remaining ||
			header.Get("RateLimit-Reset") != want.reset || header.Get("Retry-After") != want.retry {
			t.Errorf("request %d: status %d, %v; want %+v", k, a.Code, header, want)
		}
	}
}

// The refusal is as documented.
func TestRefusalByRateIsAProblem(t *testing.T) {
	s, _ := limited(t, 1)
	s.get(t, "/v1/symbols")
	p := decode[problem](t, s.get(t, "/v1/symbols"), http.StatusTooManyRequests)
	if p.RequestID == "" || p.Detail != "more than 1 requests a minute: Retry-After says when to go on" {
		t.Errorf("%+v", p)
	}
}

func TestWhoIsLimitedTogether(t *testing.T) {
	token := []string{"Authorization", "Bearer " + goodToken}
	password := []string{"Authorization", basic(adminName, adminPassword)}
	viewer := []string{"Cookie", SessionCookie + "=" + goodSession}
	for name, test := range map[string]struct {
		first, second []string // address and headers
		together      bool
	}{
		"one address, other ports":          {[]string{"198.51.100.7:1"}, []string{"198.51.100.7:2"}, true},
		"two addresses":                     {[]string{"198.51.100.7:1"}, []string{"198.51.100.8:1"}, false},
		"one network of IPv6":               {[]string{"[2001:db8::1]:1"}, []string{"[2001:db8::ffff:1]:1"}, true},
		"two networks of IPv6":              {[]string{"[2001:db8::1]:1"}, []string{"[2001:db8:0:1::1]:1"}, false},
		"IPv4 in IPv6":                      {[]string{"[::ffff:198.51.100.7]:1"}, []string{"198.51.100.7:1"}, true},
		"a user at two places":              {append([]string{"198.51.100.7:1"}, token...), append([]string{"198.51.100.8:1"}, password...), true},
		"two users at one place":            {append([]string{"198.51.100.7:1"}, token...), append([]string{"198.51.100.7:1"}, viewer...), false},
		"a user and nobody at one place":    {append([]string{"198.51.100.7:1"}, token...), []string{"198.51.100.7:1"}, false},
		"a session that has ended":          {[]string{"198.51.100.7:1", "Cookie", SessionCookie + "=gone"}, []string{"198.51.100.7:1"}, true},
		"a forged address":                  {[]string{"198.51.100.7:1", "X-Forwarded-For", "203.0.113.1"}, []string{"198.51.100.7:1", "X-Forwarded-For", "203.0.113.2"}, true},
		"a forged address before a proxy's": {[]string{"127.0.0.1:1", "X-Forwarded-For", "203.0.113.1, 198.51.100.7"}, []string{"127.0.0.1:1", "X-Forwarded-For", "203.0.113.2, 198.51.100.7"}, true},
		"two clients of a proxy":            {[]string{"10.0.0.5:1", "X-Forwarded-For", "203.0.113.1"}, []string{"10.0.0.5:1", "X-Forwarded-For", "203.0.113.2"}, false},
	} {
		s, _ := limited(t, 1)
		first := s.from(test.first[0], "/v1/symbols", test.first[1:]...)
		second := s.from(test.second[0], "/v1/symbols", test.second[1:]...)
		if first.Code != http.StatusOK || (second.Code == http.StatusTooManyRequests) != test.together {
			t.Errorf("%s: status %d, then %d", name, first.Code, second.Code)
		}
	}
}

func TestWhatIsNotLimited(t *testing.T) {
	s, _ := limited(t, 1)
	for _, target := range []string{"/healthcheck", "/docs", "/openapi.json", "/BTCUSDT/15m", "/nowhere"} {
		for range 3 {
			if a := s.from("198.51.100.7:1", target); a.Code == http.StatusTooManyRequests || a.Header().Get("RateLimit-Limit") != "" {
				t.Errorf("%s: status %d, %v", target, a.Code, a.Header())
			}
		}
	}
	for _, target := range []string{"/v1/symbols", "/predict", "/v1/nowhere"} {
		s, _ := limited(t, 1)
		s.from("198.51.100.7:1", target)
		if a := s.from("198.51.100.7:1", target); a.Code != http.StatusTooManyRequests {
			t.Errorf("%s: status %d", target, a.Code)
		}
	}
}

func TestCallersThatAskNoMoreAreForgotten(t *testing.T) {
	l := NewRateLimiter(60)
	now := day1
	l.now = func() time.Time { return now }
	for k := range 1000 {
		l.take(fmt.Sprint(k))
	}
	now = now.Add(61 * time.Second)
	l.take("one")
	if len(l.full) != 1 {
		t.Errorf("%d callers are remembered", len(l.full))
	}
}

func BenchmarkRateLimit(b *testing.B) {
	l := NewRateLimiter(1e6)
	request := httptest.NewRequest(http.MethodGet, "/v1/symbols", nil)
	request = request.WithContext(accounts.WithCaller(request.Context(), accounts.Caller{Address: "198.51.100.7"}))
	b.RunParallel(func(p *testing.PB) {
		recorder := httptest.NewRecorder()
		for p.Next() {
			l.Take(recorder, request)
		}
	})
}
