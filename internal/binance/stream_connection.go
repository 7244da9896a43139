package binance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// maxMessage bounds a message in bytes; a kline has some 350.
const maxMessage = 64 << 10

// controlTimeout is for writing a pong or a goodbye into a socket that takes
// nothing more.
const controlTimeout = time.Second

// Bounds of messages that are malformed, at which a connection ends: what such a
// server would say next cannot be trusted, and a new connection is followed by a
// repair.
const (
	malformedInARow    = 3
	malformedPerMinute = 10
)

// streamConnection is a live.Connection. A message that is malformed, or of a
// series that was not asked for, is told of and skipped, up to a bound: one such
// message must not cost all the other series their connection.
type streamConnection struct {
	socket      *websocket.Conn
	host        string
	asked       askedStreams
	silentAfter time.Duration
	log         *slog.Logger
	message     bytes.Buffer // the reader's, used again for each
	skipped     int          // messages that are no klines; the reader's
	malformed   malformed    // the reader's
	closeOnce   sync.Once
}

func newStreamConnection(socket *websocket.Conn, host string, asked askedStreams, config StreamConfig) *streamConnection {
	c := &streamConnection{
		socket: socket, host: host, asked: asked,
		silentAfter: config.SilentAfter, log: config.Log,
	}
	socket.SetReadLimit(maxMessage)
	socket.SetPongHandler(func(string) error { return c.renew() })
	socket.SetPingHandler(func(payload string) error {
		err := socket.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(controlTimeout))
		if err != nil {
			// Not wrapped: a timeout of writing is no silence.
			return fmt.Errorf("a pong could not be sent: %v", err)
		}
		return c.renew()
	})
	return c
}

// renew allows the exchange another while without a frame.
func (c *streamConnection) renew() error {
	return c.socket.SetReadDeadline(time.Now().Add(c.silentAfter))
}

// Next implements live.Connection. The end of ctx ends the connection too.
func (c *streamConnection) Next(ctx context.Context) (live.Event, error) {
	if ctx.Err() != nil {
		return live.Event{}, context.Cause(ctx)
	}
	// A read deadline in the past would do as well, if a ping could not renew it.
	stop := context.AfterFunc(ctx, func() { c.socket.Close() })
	defer stop()
	for {
		if err := c.read(); err != nil {
			return live.Event{}, c.failure(ctx, err)
		}
		event, known, err := decodeMessage(c.message.Bytes(), c.asked, time.Now().UTC())
		switch {
		case err != nil:
			if c.malformed.tooMany(time.Now()) {
				return live.Event{}, market.Errorf(market.Unavailable, "%s sent too many messages that are malformed: %v", c.host, err)
			}
			c.log.Warn("skipped a message that is malformed", slog.String("host", c.host), slog.Any("error", err))
			return live.Event{Malformed: true}, nil
		case known:
			c.malformed.inARow = 0
			return event, nil
		}
		c.malformed.inARow = 0
		c.skipped++
		c.log.Debug("skipped a message that is no kline", slog.String("host", c.host),
			slog.String("message", quote(c.message.String())), slog.Int("skipped", c.skipped))
	}
}

// malformed counts messages that are malformed.
type malformed struct {
	inARow   int
	inMinute int
	minute   time.Time // began with the first of them
}

// tooMany takes note of another one and reports whether a bound is reached.
func (m *malformed) tooMany(now time.Time) bool {
	if now.Sub(m.minute) >= time.Minute {
		m.minute, m.inMinute = now, 0
	}
	m.inARow++
	m.inMinute++
	return m.inARow >= malformedInARow || m.inMinute >= malformedPerMinute
}

// read fills c.message with the next one.
func (c *streamConnection) read() error {
	if err := c.renew(); err != nil {
		return err
	}
	kind, reader, err := c.socket.NextReader()
	if err != nil {
		return err
	}
	if kind != websocket.TextMessage {
		return errors.New("a message is not text")
	}
	c.message.Reset()
	_, err = c.message.ReadFrom(reader)
	return err
}

// failure says why nothing more can be read.
func (c *streamConnection) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if closing, ok := errors.AsType[*websocket.CloseError](err); ok && closing.Code != websocket.CloseAbnormalClosure {
		return market.Errorf(market.Unavailable, "%s closed the connection (%d, %s)", c.host, closing.Code, quote(closing.Text))
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return market.Errorf(market.Unavailable, "nothing came from %s for %s, not even a ping", c.host, c.silentAfter)
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		return market.Errorf(market.Unavailable, "%s sent a message of more than %d bytes", c.host, maxMessage)
	}
	return market.Errorf(market.Unavailable, "the connection to %s broke: %s", c.host, printable(err.Error()))
}

// Close implements live.Connection: it says goodbye and waits for no answer.
func (c *streamConnection) Close() (err error) {
	c.closeOnce.Do(func() {
		goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		// Where it cannot be sent, the connection has ended already.
		_ = c.socket.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(controlTimeout))
		if err = c.socket.Close(); errors.Is(err, net.ErrClosed) {
			err = nil // the end of a context was first
		}
	})
	return err
}
