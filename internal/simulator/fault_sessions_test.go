package simulator

import (
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// follow opens a session of a one-minute stream under a rule and returns a
// function that moves the clock a second on, so that there is a new event, and
// reads what comes of it.
func follow(t *testing.T, rule Rule) (*exchange, *websocket.Conn, func() (string, error)) {
	t.Helper()
	e := open(t, Config{Script: Script{Rules: []Rule{rule}}})
	session := e.dial(t, "/ws/btcusdt@kline_1h")
	return e, session, func() (string, error) {
		e.clock.Add(time.Second)
		_, text, err := session.ReadMessage()
		return string(text), err
	}
}

func TestARefusedUpgrade(t *testing.T) {
	e := open(t, Config{Script: Script{Rules: []Rule{{On: WebSocket, Fault: RefusedUpgrade, Status: 502}}}})
	_, response, err := websocket.DefaultDialer.Dial("ws"+e.url[len("http"):]+"/ws/btcusdt@kline_1m", nil)
	if err == nil || response.StatusCode != 502 || response.Header.Get(history.SimulatedHeader) == "" {
		t.Errorf("%+v, %v", response, err)
	}
	read(t, e.dial(t, "/ws/btcusdt@kline_1m"))
	if e.Meter().Faults[RefusedUpgrade] != 1 {
		t.Errorf("%+v", e.Meter())
	}
}

func TestFaultsThatEndASession(t *testing.T) {
	for _, test := range []struct {
		rule  Rule
		last  string // the event before the end
		codes []int
	}{
		{Rule{On: WebSocket, Fault: DroppedSocket, After: 2}, "", []int{websocket.CloseAbnormalClosure}},
		{Rule{On: WebSocket, Fault: HalfFrame, After: 2}, "", []int{websocket.CloseAbnormalClosure}},
		{Rule{On: WebSocket, Fault: ServerShutdown, After: 2}, `{"e":"serverShutdown","E":`, []int{websocket.CloseGoingAway}},
	} {
		e, session, next := follow(t, test.rule)
		for range test.rule.After {
			text, err := next()
			if err != nil {
				t.Fatalf("%s: %v", test.rule.Fault, err)
			}
			klineEvent(t, text)
		}
		text, err := next()
		if test.last != "" {
			if len(text) < len(test.last) || text[:len(test.last)] != test.last {
				t.Errorf("%s: %s, %v", test.rule.Fault, text, err)
			}
			for err == nil { // events until the close
				_, _, err = session.ReadMessage()
			}
		}
		if !websocket.IsCloseError(err, test.codes...) {
			t.Errorf("%s: %v", test.rule.Fault, err)
		}
		if e.Meter().Faults[test.rule.Fault] != 1 {
			t.Errorf("%+v", e.Meter())
		}
		read(t, e.dial(t, "/ws/btcusdt@kline_1m")) // the next session is well
	}
}

func TestAServerShutdownOnACombinedStream(t *testing.T) {
	e := open(t, Config{Script: Script{Rules: []Rule{{On: WebSocket, Fault: ServerShutdown, Wait: 100 * time.Millisecond}}}})
	session := e.dial(t, "/stream?streams=btcusdt@kline_1m")
	const want = `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1715948400250}}`
	if text := read(t, session); text != want {
		t.Errorf("%s, want %s", text, want)
	}
	read(t, session) // events go on until the end
	if code := closeCode(t, session); code != websocket.CloseGoingAway {
		t.Errorf("ended with %d", code)
	}
}

func TestASilentSocketSaysNothing(t *testing.T) {
	e := open(t, Config{
		Script:  Script{Rules: []Rule{{On: WebSocket, Fault: SilentSocket, After: 1}}},
		Streams: StreamTiming{PingEvery: 50 * time.Millisecond, PongWithin: time.Hour},
	})
	session := e.dial(t, "/ws/btcusdt@kline_1h")
	read(t, session)
	other := e.dial(t, "/ws/btcusdt@kline_1h")
	e.clock.Add(time.Second)
	read(t, other)
	waitFor(t, func() bool { return e.Meter().Faults[SilentSocket] == 1 })
	said := make(chan string, 10)
	session.SetPingHandler(func(string) error { said <- "ping"; return nil })
	session.SetPongHandler(func(string) error { said <- "pong"; return nil })
	if err := session.WriteControl(websocket.PingMessage, []byte("?"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := session.WriteMessage(websocket.TextMessage, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)); err != nil {
		t.Fatal(err)
	}
	session.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	e.clock.Add(time.Second)
	_, text, err := session.ReadMessage()
	if err == nil || len(said) > 0 {
		t.Errorf("it said %q and %d frames of control", text, len(said))
	}
	if websocket.IsUnexpectedCloseError(err) || e.Meter().Faults[SilentSocket] != 1 {
		t.Errorf("%v, %+v", err, e.Meter())
	}
}

func TestFaultsOfEvents(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want []int64 // event times, in seconds after the start
	}{
		{Rule{On: WebSocket, Fault: DuplicatedEvents, After: 1}, []int64{0, 1, 1, 2, 2}},
		{Rule{On: WebSocket, Fault: DisorderedEvents, After: 1}, []int64{0, 2, 1, 4, 3}},
		{Rule{On: WebSocket, Fault: StaleClock, Shift: -100 * time.Second, After: 1}, []int64{0, -99, -98}},
	} {
		e := open(t, Config{Script: Script{Rules: []Rule{test.rule}}, Streams: StreamTiming{PushEvery: time.Hour}})
		session := e.dial(t, "/ws/btcusdt@kline_1h")
		other := e.dial(t, "/ws/btcusdt@kline_1h") // is well, and so tells that an event was pushed
		waitFor(t, func() bool { return e.listeners("btcusdt@kline_1h") == 2 })
		var times []int64
		for k := range 5 {
			e.hub.push()
			event := klineEvent(t, read(t, other))
			if event.Time != startsAt.UnixMilli()+int64(k)*1000 {
				t.Errorf("%s: the other session got %+v", test.rule.Fault, event)
			}
			e.clock.Add(time.Second)
		}
		for range test.want {
			times = append(times, (klineEvent(t, read(t, session)).Time-startsAt.UnixMilli())/1000)
		}
		if !slices.Equal(times, test.want) || e.Meter().Faults[test.rule.Fault] != 1 {
			t.Errorf("%s: %v, want %v; %+v", test.rule.Fault, times, test.want, e.Meter())
		}
	}
}

func TestAFaultThatNeverCameGoesToTheNextSession(t *testing.T) {
	e := open(t, Config{Script: Script{Rules: []Rule{{On: WebSocket, Fault: DroppedSocket, After: 1}}}})
	session := e.dial(t, "/ws/btcusdt@kline_1h")
	read(t, session)
	session.Close()
	waitFor(t, func() bool {
		e.faults.mu.Lock()
		defer e.faults.mu.Unlock()
		return e.faults.rules[0].played == 0
	})
	session = e.dial(t, "/ws/btcusdt@kline_1h")
	read(t, session)
	e.clock.Add(time.Second)
	if _, _, err := session.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) {
		t.Errorf("the next session ended with %v", err)
	}
	if played := e.Meter().Faults[DroppedSocket]; played != 1 {
		t.Errorf("played %d times", played)
	}
}
