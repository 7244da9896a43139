package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// Binance's paths: events are sent bare under the first and with their stream's
// name under the second.
const (
	rawPath      = "/ws"
	combinedPath = "/stream"
)

const (
	mostStreams       = 1024 // of a session
	messagesPerSecond = 5    // from a client, pings and pongs included
	mostRequestBytes  = 64 << 10
	// queueLength is how many events a session may be behind: some seconds' worth of
	// as many streams as it may have.
	queueLength = 4 * mostStreams
	// writeWait is how long a client may take in nothing at all.
	writeWait = time.Second
)

// Why the server ends a session.
var (
	errClosing     = &websocket.CloseError{Code: websocket.CloseGoingAway, Text: "server is going down"}
	errTooOld      = &websocket.CloseError{Code: websocket.CloseGoingAway, Text: "session reached its age"}
	errTooManySent = &websocket.CloseError{Code: websocket.ClosePolicyViolation, Text: "Too many requests"}
	errNoPong      = &websocket.CloseError{Code: websocket.ClosePolicyViolation, Text: "Pong timeout"}
	errSlow        = errors.New("the client reads too slowly")
	errGone        = errors.New("the client has gone")
)

var upgrader = websocket.Upgrader{
	CheckOrigin: func(*http.Request) bool { return true }, // public data for any page
}

// session is one WebSocket connection. Its reader answers requests, its writer
// alone sends events.
type session struct {
	connection *websocket.Conn
	server     *Server
	combined   bool
	names      []string // streams, in the order of subscription; the reader's
	queue      chan message
	ending     context.Context // its cause says why
	end        context.CancelCauseFunc
	fault      *sessionFault // nil for none; the writer's
	silent     atomic.Bool   // set by the fault: nothing more is sent
	incoming   [messagesPerSecond]time.Time
	next       int // the oldest of incoming
}

// message is an event, or the reply to a request.
type message struct {
	event event
	reply []byte
}

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		http.Error(w, "503 Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	defer s.working.Done()
	var fault *faultPlay
	if websocket.IsWebSocketUpgrade(r) {
		fault = s.faults.pick(WebSocket)
	}
	if fault != nil && fault.Fault == RefusedUpgrade {
		s.played(fault)
		http.Error(w, http.StatusText(fault.Status), fault.Status)
		return
	}
	names := streamNames(r)
	connection, err := upgrader.Upgrade(w, r, http.Header{history.SimulatedHeader: {"true"}})
	if err != nil {
		if fault != nil {
			s.faults.postpone(fault)
		}
		return // the upgrader has answered
	}
	ending, end := context.WithCancelCause(s.closing)
	defer end(nil)
	c := &session{
		connection: connection, server: s, combined: r.URL.Path == combinedPath,
		queue: make(chan message, queueLength), ending: ending, end: end,
	}
	if fault != nil {
		c.fault = &sessionFault{faultPlay: fault}
	}
	c.subscribe(names)
	s.working.Go(c.write)
	c.read()
	for _, name := range c.names {
		s.hub.unsubscribe(c, name)
	}
}

// streamNames returns the streams that a path or a query names.
func streamNames(r *http.Request) []string {
	names := strings.TrimPrefix(r.URL.Path, rawPath)
	if r.URL.Path == combinedPath {
		names = r.URL.Query().Get("streams")
	}
	return strings.FieldsFunc(names, func(r rune) bool { return r == '/' })
}

// subscribe adds streams; one that does not exist is accepted and never says a
// word.
func (c *session) subscribe(names []string) {
	for _, name := range names {
		if slices.Contains(c.names, name) {
			continue
		}
		if len(c.names) == mostStreams {
			c.end(errTooManySent)
			return
		}
		c.names = append(c.names, name)
		series, valid := parseStream(name)
		if _, traded := c.server.bySymbol[series.Symbol]; valid && traded {
			c.server.hub.subscribe(c, name, series)
		}
	}
}

func (c *session) unsubscribe(names []string) {
	for _, name := range names {
		c.names = slices.DeleteFunc(c.names, func(listened string) bool { return listened == name })
		c.server.hub.unsubscribe(c, name)
	}
}

// give hands a message to the writer. A session that is too far behind is ended,
// so that no other waits for it.
func (c *session) give(m message) {
	select {
	case c.queue <- m:
	default:
		c.end(errSlow)
	}
}

// read answers requests until the connection ends.
func (c *session) read() {
	c.connection.SetReadLimit(mostRequestBytes)
	c.renew()
	c.connection.SetPongHandler(func(payload string) error {
		// An unsolicited pong, which should be empty, prolongs nothing.
		if payload != "" {
			c.renew()
		}
		return c.countIncoming()
	})
	c.connection.SetPingHandler(func(payload string) error {
		if err := c.countIncoming(); err != nil || c.silent.Load() {
			return err
		}
		c.connection.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeWait))
		return nil
	})
	for {
		kind, text, err := c.connection.ReadMessage()
		if err == nil {
			err = c.countIncoming()
		}
		if err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				err = errNoPong
			} else {
				err = errGone
			}
			c.end(err) // unless it has been ended for another reason
			return
		}
		if kind == websocket.TextMessage {
			c.give(message{reply: c.answer(text)})
		}
	}
}

// renew allows the client another while without a pong.
func (c *session) renew() {
	c.connection.SetReadDeadline(time.Now().Add(c.server.timing.PongWithin))
}

// countIncoming ends the session where the client has sent more messages within
// a second than it may.
func (c *session) countIncoming() error {
	now := time.Now()
	if now.Sub(c.incoming[c.next]) < time.Second {
		c.end(errTooManySent)
		return errTooManySent
	}
	c.incoming[c.next] = now
	c.next = (c.next + 1) % len(c.incoming)
	return nil
}

// answer carries out a request and returns the reply.
func (c *session) answer(text []byte) []byte {
	var request struct {
		Method *string         `json:"method"`
		Params []string        `json:"params"`
		ID     json.RawMessage `json:"id"`
	}
	fail := func(code int, format string, arguments ...any) []byte {
		return apiErrorf(code, format, arguments...).body()
	}
	if err := json.Unmarshal(text, &request); err != nil {
		if !json.Valid(text) {
			return fail(3, "Invalid JSON: expected value at line 1 column 1")
		}
		return fail(2, "Invalid request: invalid type")
	}
	if len(request.ID) == 0 || bytes.ContainsAny(request.ID[:1], "{[tf") {
		return fail(2, "Invalid request: request ID must be an unsigned integer")
	}
	var result any
	switch {
	case request.Method == nil:
		return fail(2, "Invalid request: missing field `method` at line 1 column %d", len(text))
	case *request.Method == "SUBSCRIBE":
		c.subscribe(request.Params)
	case *request.Method == "UNSUBSCRIBE":
		c.unsubscribe(request.Params)
	case *request.Method == "LIST_SUBSCRIPTIONS":
		result = append([]string{}, c.names...)
	default:
		return fail(2, "Invalid request: unknown variant `%s`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`",
			*request.Method)
	}
	reply, err := json.Marshal(map[string]any{"result": result, "id": request.ID})
	if err != nil {
		panic(err) // strings, and what was JSON before
	}
	return reply
}

// write sends messages and pings until the session ends, and closes the
// connection.
func (c *session) write() {
	defer c.connection.Close()
	defer func() { c.fault.leave(c.server) }()
	ping := time.NewTicker(c.server.timing.PingEvery)
	defer ping.Stop()
	age := time.NewTimer(c.server.timing.SessionAge)
	defer age.Stop()
	for {
		var err error
		select {
		case <-c.ending.Done():
			c.farewell()
			return
		case <-age.C:
			c.end(errTooOld)
		case <-ping.C:
			if !c.silent.Load() {
				payload := strconv.FormatInt(c.server.clock().UnixMilli(), 10)
				err = c.connection.WriteControl(websocket.PingMessage, []byte(payload), time.Now().Add(writeWait))
			}
		case m := <-c.queue:
			switch {
			case c.silent.Load():
			case m.reply != nil:
				err = c.send(m.reply)
			default:
				err = c.sendEvent(m.event, age)
			}
		}
		if err != nil {
			c.end(fmt.Errorf("%w: %w", errGone, err))
		}
	}
}

// farewell tells the client why the session ends, where it is there to hear it.
func (c *session) farewell() {
	cause := context.Cause(c.ending)
	if c.server.closing.Err() != nil {
		cause = errClosing
	}
	if closing, ok := errors.AsType[*websocket.CloseError](cause); ok && !c.silent.Load() {
		text := websocket.FormatCloseMessage(closing.Code, closing.Text)
		c.connection.WriteControl(websocket.CloseMessage, text, time.Now().Add(writeWait))
	}
	if !errors.Is(cause, errGone) {
		c.server.log.Info("WebSocket session ended", "why", cause)
	}
}

func (c *session) send(text []byte) error {
	if err := c.connection.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	return c.connection.WriteMessage(websocket.TextMessage, text)
}

// form returns an event as this session gets it.
func (c *session) form(e event) []byte {
	if c.combined {
		return e.text
	}
	return e.text[e.raw : len(e.text)-1]
}
