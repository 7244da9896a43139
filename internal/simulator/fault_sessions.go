package simulator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// sessionFault is a fault of one WebSocket session. The session's writer owns
// it.
type sessionFault struct {
	*faultPlay
	sent   int  // events before the fault
	active bool // it has taken effect
	held   event
}

// leave takes a fault back that never took effect, for the next session.
func (f *sessionFault) leave(s *Server) {
	if f != nil && !f.active {
		s.faults.postpone(f.faultPlay)
	}
}

// sendEvent sends an event, or does to it what the session's fault demands. The
// session ends when age fires.
func (c *session) sendEvent(e event, age *time.Timer) error {
	f := c.fault
	if f == nil {
		return c.send(c.form(e))
	}
	if f.sent < f.After {
		f.sent++
		return c.send(c.form(e))
	}
	begins := !f.active
	if begins {
		f.active = true
		c.silent.Store(f.Fault == SilentSocket)
		c.server.played(f.faultPlay)
	}
	switch f.Fault {
	case SilentSocket:
		return nil
	case DroppedSocket:
		return c.connection.NetConn().Close()
	case HalfFrame:
		return c.sendHalf(c.form(e))
	case DuplicatedEvents:
		if err := c.send(c.form(e)); err != nil {
			return err
		}
	case DisorderedEvents:
		return c.sendDisordered(e)
	case ServerShutdown:
		if begins {
			age.Reset(f.Wait)
			if err := c.send(c.shutdownEvent()); err != nil {
				return err
			}
		}
	case StaleClock:
		return c.send(shiftEventTime(c.form(e), f.Shift))
	}
	return c.send(c.form(e))
}

// sendDisordered holds an event back until the next one of its stream was sent.
func (c *session) sendDisordered(e event) error {
	f := c.fault
	switch f.held.stream {
	case nil:
		f.held = e
		return nil
	case e.stream:
		held := f.held
		f.held = event{}
		if err := c.send(c.form(e)); err != nil {
			return err
		}
		return c.send(c.form(held))
	default:
		return c.send(c.form(e))
	}
}

// sendHalf announces a text frame, sends half of it and closes the connection.
func (c *session) sendHalf(text []byte) error {
	const finalText, longLength = 0x81, 126 // RFC 6455, section 5.2
	frame := binary.BigEndian.AppendUint16([]byte{finalText, longLength}, uint16(len(text)))
	frame = append(frame, text[:len(text)/2]...)
	connection := c.connection.NetConn()
	connection.SetWriteDeadline(time.Now().Add(writeWait))
	if _, err := connection.Write(frame); err != nil {
		return err
	}
	return connection.Close()
}

func (c *session) shutdownEvent() []byte {
	text := fmt.Appendf(nil, `{"e":"serverShutdown","E":%d}`, c.server.clock().UnixMilli())
	if c.combined {
		return fmt.Appendf(nil, `{"stream":"!serverShutdown","data":%s}`, text)
	}
	return text
}

// shiftEventTime returns a copy of an event with another event time.
func shiftEventTime(text []byte, shift time.Duration) []byte {
	mark := []byte(`"E":`)
	start := bytes.Index(text, mark) + len(mark)
	end := start + bytes.IndexByte(text[start:], ',')
	milliseconds, err := strconv.ParseInt(string(text[start:end]), 10, 64)
	if err != nil {
		panic(err) // the server has written it
	}
	shifted := strconv.AppendInt(bytes.Clone(text[:start]), milliseconds+shift.Milliseconds(), 10)
	return append(shifted, text[end:]...)
}
