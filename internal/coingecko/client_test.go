package coingecko

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

var _ history.CoinSource = (*Client)(nil)

// No test may leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "CG-secret-key"

// newTestClient returns a client of a server on the loopback, whose clock
// stands at sampled.
func newTestClient(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := NewClient(Config{URL: server.URL + "/api/v3/", APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	client.now = func() time.Time { return sampled }
	t.Cleanup(client.http.CloseIdleConnections)
	return client
}

// answer returns a handler with always the same answer.
func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k := 0; k+1 < len(header); k += 2 {
			w.Header().Set(header[k], header[k+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestOneCallForAllCoins(t *testing.T) {
	var calls atomic.Int64
	var asked *http.Request
	client := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		asked = r
		answer(http.StatusOK, "["+good+"]")(w, r)
	})
	coins, _, err := client.Coins(t.Context(), []string{"bitcoin", "ethereum"})
	if err != nil || len(coins) != 1 || coins[0].Ticker != "BTC" {
		t.Fatalf("got %+v, %v", coins, err)
	}
	if calls.Load() != 1 || asked.Method != http.MethodGet || asked.URL.Path != "/api/v3/coins/markets" {
		t.Errorf("%d calls, the last one %s %s", calls.Load(), asked.Method, asked.URL.Path)
	}
	query := asked.URL.Query()
	if len(query) != 3 || query.Get("vs_currency") != "usd" || query.Get("ids") != "bitcoin,ethereum" || query.Get("per_page") != "250" {
		t.Errorf("the query is %v", query)
	}
	if asked.Header.Get("x-cg-demo-api-key") != key {
		t.Error("the key was not sent")
	}

	client.apiKey = ""
	if _, _, err := client.Coins(t.Context(), []string{"bitcoin"}); err != nil {
		t.Fatal(err)
	}
	if _, sent := asked.Header[http.CanonicalHeaderKey("x-cg-demo-api-key")]; sent {
		t.Error("an empty key was sent")
	}

	if coins, _, err := client.Coins(t.Context(), nil); err != nil || len(coins) != 0 || calls.Load() != 2 {
		t.Errorf("no ids: %v, %v, %d calls", coins, err, calls.Load())
	}
}

func TestASimulatedMarketIsTold(t *testing.T) {
	for _, test := range []struct {
		header []string
		want   history.Origin
	}{
		{nil, history.Real},
		{[]string{history.SimulatedHeader, "true"}, history.Simulated},
	} {
		client := newTestClient(t, answer(http.StatusOK, "["+good+"]", test.header...))
		if _, origin, err := client.Coins(t.Context(), []string{"bitcoin"}); origin != test.want || err != nil {
			t.Errorf("header %v: origin %q, error %v, want %q", test.header, origin, err, test.want)
		}
	}
}

func TestIDsThatCannotBe(t *testing.T) {
	client := newTestClient(t, func(http.ResponseWriter, *http.Request) { t.Error("CoinGecko was asked") })
	for _, ids := range [][]string{
		{""}, {"bitcoin,dogecoin"}, {"bit coin"}, {"bitcoin\n"}, {"bitcoin", strings.Repeat("a", maxIDLength+1)},
		slices.Repeat([]string{"bitcoin"}, mostCoins+1),
	} {
		if _, _, err := client.Coins(t.Context(), ids); market.ErrorCode(err) != market.Invalid {
			t.Errorf("%.3q: %v", ids, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		code    market.Code
		want    string
	}{
		"unauthorised":   {answer(401, `{}`), market.Forbidden, "COINGECKO_API_KEY"},
		"forbidden":      {answer(403, `{}`), market.Forbidden, "COINGECKO_API_KEY"},
		"wrong root":     {answer(400, `{}`), market.Invalid, "check COINGECKO_URL"},
		"nothing there":  {answer(404, `{}`), market.Invalid, "check COINGECKO_URL"},
		"in trouble":     {answer(500, `{}`), market.Unavailable, "in trouble (status 500)"},
		"overloaded":     {answer(503, `{}`), market.Unavailable, "in trouble (status 503)"},
		"no content":     {answer(204, ``), market.Invalid, "status 204"},
		"nonsense":       {answer(200, `{"status":1}`), market.Unavailable, "makes no sense: expected an array of coins"},
		"endless":        {answer(200, strings.Repeat(" ", maxAnswerBytes+1)), market.Unavailable, "longer than"},
		"cut short":      {answer(200, "["+good, "Content-Length", "9999"), market.Unavailable, "does not answer"},
		"no HTTP at all": {hangUp, market.Unavailable, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := newTestClient(t, test.handler).Coins(t.Context(), []string{"bitcoin"})
			if market.ErrorCode(err) != test.code || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("got %v (%s), want %s with %q", err, market.ErrorCode(err), test.code, test.want)
			}
			if strings.Contains(fmt.Sprint(err), key) {
				t.Errorf("the key is in %v", err)
			}
		})
	}
}

// hangUp closes the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with the key %q", r.Header.Get("x-cg-demo-api-key"))
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		client := newTestClient(t, answer(status, "", "Location", elsewhere.URL))
		if _, _, err := client.Coins(t.Context(), []string{"bitcoin"}); market.ErrorCode(err) != market.Invalid {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestPauseAfterTooManyCalls(t *testing.T) {
	for name, test := range map[string]struct {
		retryAfter string
		wait       time.Duration
	}{
		"seconds":             {"90", 90 * time.Second},
		"a date":              {sampled.Add(5 * time.Minute).Format(http.TimeFormat), 5 * time.Minute},
		"none":                {"", defaultPause},
		"nonsense":            {"soon", defaultPause},
		"negative":            {"-5", defaultPause},
		"at once":             {"0", time.Second},
		"a date in the past":  {sampled.Add(-time.Hour).Format(http.TimeFormat), time.Second},
		"for ever":            {"2000000000", longestPause},
		"beyond all counting": {"99999999999999999999", defaultPause},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			client := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					if test.retryAfter != "" {
						w.Header().Set("Retry-After", test.retryAfter)
					}
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				answer(http.StatusOK, "["+good+"]")(w, r)
			})
			now := sampled
			client.now = func() time.Time { return now }
			until := sampled.Add(test.wait).Format(time.RFC3339)
			for _, after := range []time.Duration{0, 0, test.wait - 1} {
				now = sampled.Add(after)
				_, _, err := client.Coins(t.Context(), []string{"bitcoin"})
				if market.ErrorCode(err) != market.Unavailable || !strings.Contains(market.ErrorMessage(err), "until "+until) {
					t.Errorf("after %s: %v, want it unavailable until %s", after, err, until)
				}
			}
			if calls.Load() != 1 {
				t.Errorf("%d calls were made within the pause", calls.Load()-1)
			}
			now = sampled.Add(test.wait)
			if _, _, err := client.Coins(t.Context(), []string{"bitcoin"}); err != nil || calls.Load() != 2 {
				t.Errorf("after the pause: %v, %d calls", err, calls.Load())
			}
		})
	}
}

// That the caller has no time left is not CoinGecko's fault.
func TestCallerThatGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := newTestClient(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, _, err := client.Coins(ctx, []string{"bitcoin"})
	if !errors.Is(err, context.Canceled) || market.ErrorCode(err) == market.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestNewClient(t *testing.T) {
	client, err := NewClient(Config{})
	if err != nil || client.root.String() != DefaultURL || client.http.Timeout == 0 {
		t.Errorf("got %+v, %v", client, err)
	}
	for _, config := range []Config{
		{URL: "ftp://example.org/secret"}, {URL: "example.org/secret"}, {URL: "https://"}, {URL: "http://secret:secret@example.org"},
		{URL: "https://example.org?x_cg_demo_api_key=secret"}, {URL: "https://example.org/#secret"}, {URL: "http://[secret"},
		{APIKey: "secret\n"}, {APIKey: "secret secret"}, {APIKey: "sécret"},
	} {
		_, err := NewClient(config)
		if market.ErrorCode(err) != market.Invalid || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%q: %v", config, err)
		}
	}
}
