package simulator

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// page is a request for eight closed candles.
const page = "/api/v3/klines?symbol=BTCUSDT&interval=15m&startTime=1704067200000&limit=8"

// attempt sends a request that may fail in any way.
func (e *exchange) attempt(path string) (status int, header http.Header, body string, headersErr, bodyErr error) {
	response, err := e.client.Get(e.url + path)
	if err != nil {
		return 0, nil, "", err, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), nil, err
}

func TestFaultsOfAnAnswer(t *testing.T) {
	_, whole := open(t, Config{}).get(t, page)
	for _, test := range []struct {
		rule   Rule
		status int
		body   string // how it begins
		header string // name: value
	}{
		{Rule{On: REST, Fault: TooManyRequests, Wait: 3 * time.Second}, 429, `{"code":-1003,"msg":"Too much`, "Retry-After: 3"},
		{Rule{On: REST, Fault: Banned, Wait: 4 * time.Second}, 418, `{"code":-1003,"msg":"Way too much`, "Retry-After: 4"},
		{Rule{On: REST, Fault: Blocked}, 451, `{"code":0,"msg":"Service unavailable from a restricted location`, ""},
		{Rule{On: REST, Fault: ServerError, Status: 502}, 502, `{"code":-1000`, ""},
		{Rule{On: Klines, Fault: HTMLPage, Status: 403}, 403, "<html>", "Content-Type: text/html"},
		{Rule{On: Klines, Fault: WrongJSON}, 200, whole[:len(whole)/2], ""},
		{Rule{On: Klines, Fault: SlowHeaders, Wait: time.Millisecond}, 200, whole, ""},
		{Rule{On: Klines, Fault: SlowBody, Wait: 20 * time.Millisecond}, 200, whole, ""},
	} {
		t.Run(string(test.rule.Fault), func(t *testing.T) {
			e := open(t, Config{Script: Script{Rules: []Rule{test.rule}}})
			started := time.Now()
			status, header, body, headersErr, bodyErr := e.attempt(page)
			took := time.Since(started)
			if headersErr != nil || bodyErr != nil || status != test.status || !strings.HasPrefix(body, test.body) {
				t.Fatalf("%d %q, %v, %v", status, body, headersErr, bodyErr)
			}
			if test.body != whole && body == whole {
				t.Error("the answer is the true one")
			}
			if name, value, found := strings.Cut(test.header, ": "); found && header.Get(name) != value {
				t.Errorf("%v", header)
			}
			if slow := test.rule.Fault == SlowBody || test.rule.Fault == SlowHeaders; slow && took < test.rule.Wait {
				t.Errorf("took %s", took)
			}
			if header.Get(history.SimulatedHeader) == "" {
				t.Error("the answer does not say that it is simulated")
			}
			if e.Meter().Faults[test.rule.Fault] != 1 {
				t.Errorf("%+v", e.Meter())
			}
			e.clock.Add(5 * time.Second)
			if status, _, body, _, _ := e.attempt(page); status != 200 || body != whole {
				t.Errorf("the answer after it: %d %q", status, body)
			}
		})
	}
}

func TestFaultsThatBreakAConnection(t *testing.T) {
	_, whole := open(t, Config{}).get(t, page)
	for _, test := range []struct {
		rule   Rule
		length string // Content-Length
		err    error
	}{
		{Rule{On: Klines, Fault: CutBody}, "whole", io.ErrUnexpectedEOF},
		{Rule{On: Klines, Fault: CutChunkedBody}, "", io.ErrUnexpectedEOF},
	} {
		e := open(t, Config{Script: Script{Rules: []Rule{test.rule}}})
		status, header, body, headersErr, bodyErr := e.attempt(page)
		if headersErr != nil || status != 200 || !errors.Is(bodyErr, test.err) || body != whole[:len(whole)/2] {
			t.Errorf("%s: %d, %d bytes, %v, %v", test.rule.Fault, status, len(body), headersErr, bodyErr)
		}
		if (header.Get("Content-Length") != "") != (test.length != "") {
			t.Errorf("%s: %v", test.rule.Fault, header)
		}
		if status, _, body, _, _ := e.attempt(page); status != 200 || body != whole {
			t.Errorf("%s: the answer after it: %d", test.rule.Fault, status)
		}
	}
	// Twice, because a client tries a request anew whose connection was reset while
	// idle.
	e := open(t, Config{Script: Script{Rules: []Rule{{On: Coins, Fault: ConnectionReset, Count: 2}}}})
	if _, _, _, err, _ := e.attempt(coinsPath + "?vs_currency=usd"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
}

func TestASlowAnswerEndsWithItsClient(t *testing.T) {
	e := open(t, Config{Script: Script{Rules: []Rule{
		{On: Ping, Fault: SlowBody, Wait: time.Hour}, {On: Ping, Fault: SlowHeaders, Wait: time.Hour},
	}}})
	e.client.Timeout = 20 * time.Millisecond
	for range 2 {
		if _, _, _, headersErr, bodyErr := e.attempt("/api/v3/ping"); headersErr == nil && bodyErr == nil {
			t.Error("an answer that takes an hour came at once")
		}
	}
	// The test's end closes the server, which waits for what is still being answered.
}

func TestAScriptedPauseIsMeant(t *testing.T) {
	e := open(t, Config{
		BanLength: 5 * time.Second,
		Script:    Script{Rules: []Rule{{On: Ping, Fault: TooManyRequests, Wait: 2 * time.Second}}},
	})
	for _, step := range []struct {
		after      time.Duration
		status     int
		retryAfter string
	}{
		{0, 429, "2"},
		{onTheWay - 1, 429, "2"},
		{1, 418, "5"},
		{4 * time.Second, 418, "10"},
		{9 * time.Second, 418, "20"},
		{20 * time.Second, 200, ""},
	} {
		e.clock.Add(step.after)
		response, _ := e.get(t, "/api/v3/ping")
		if response.StatusCode != step.status || response.Header.Get("Retry-After") != step.retryAfter {
			t.Errorf("%s: %d %v", step.after, response.StatusCode, response.Header)
		}
	}
	got := e.Meter().Exchange
	got.FullestWindow = Window{}
	if want := (Traffic{Requests: 6, TooManyRequests: 2, Banned: 3, Violations: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if coins := e.Meter().Coins; coins != (Traffic{}) {
		t.Errorf("CoinGecko has seen %+v", coins)
	}
}

// A client may go by the date of an answer as by the time that it asks for; that
// of the answer with which a clock becomes skewed is skewed as well.
func TestAnswersAreDatedByTheExchangesClock(t *testing.T) {
	e := open(t, Config{Script: Script{Rules: []Rule{{On: REST, Fault: ClockSkew, Nth: 2, Shift: time.Hour}}}})
	for k, want := range []time.Time{startsAt, startsAt.Add(time.Hour), startsAt.Add(time.Hour)} {
		response, _ := e.get(t, "/api/v3/time")
		if got := response.Header.Get("Date"); got != want.Format(http.TimeFormat) {
			t.Errorf("answer %d is dated %s, want %s", k+1, got, want)
		}
	}
}

func TestASkewedClockShowsAndClosesCandles(t *testing.T) {
	e := open(t, Config{Script: Script{Rules: []Rule{{On: REST, Fault: ClockSkew, Nth: 2, Shift: 15 * time.Minute}}}})
	now := func() time.Time {
		t.Helper()
		milliseconds, err := e.binance().NewServerTimeService().Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return time.UnixMilli(milliseconds)
	}
	newest := func() int64 {
		t.Helper()
		rows, err := e.binance().NewKlinesService().Symbol("BTCUSDT").Interval("15m").Limit(1).Do(t.Context())
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		return rows[0].OpenTime
	}
	if !now().Equal(startsAt) || !now().Equal(startsAt.Add(15*time.Minute)) || !now().Equal(startsAt.Add(15*time.Minute)) {
		t.Error("the clock is not off from the second request on")
	}
	if newest() != date("2024-05-17T12:30:00Z").UnixMilli() || e.Meter().Faults[ClockSkew] != 1 {
		t.Error("candles do not go by the skewed clock")
	}
	if err := e.SetScript(Script{}); err != nil || !now().Equal(startsAt) || newest() != date("2024-05-17T12:15:00Z").UnixMilli() {
		t.Error("a new script does not set the clock right")
	}
}
