package live

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// watched is an open connection, which a goroutine of its own reads, and what
// came in on it.
type watched struct {
	connection Connection
	opened     time.Time
	rotate     <-chan time.Time // fires when it is due to be replaced
	heard      map[market.Series]*heard
	delivered  chan struct{} // closed when an event of every series has come
	shutdown   chan struct{} // closed when the exchange has said that it will end it
	ended      chan struct{} // closed when it is read no more
	err        error         // why; set before ended is closed
}

// heard is when events of a series came on a connection, in nanoseconds of the
// epoch by the exchange's clock.
type heard struct {
	follower *follower
	at       atomic.Int64 // the newest one's, 0 before the first
	lively   atomic.Int64 // that of the one since which none was late
}

// hear takes note of an event, which is late after that long a silence. It reports
// whether it is the first.
func (h *heard) hear(now time.Time, late time.Duration) (first bool) {
	before := h.at.Load()
	if now.UnixNano()-before >= int64(late) {
		h.lively.Store(now.UnixNano())
	}
	h.at.Store(now.UnixNano())
	return before == 0
}

// livelyFor returns how long events have come without one that was late, up to the
// newest.
func (h *heard) livelyFor() time.Duration {
	newest := h.at.Load() // first: an event that comes meanwhile may have been late
	return time.Duration(newest - h.lively.Load())
}

// watch begins to read a connection.
func watch(ctx context.Context, service *Service, link *link, connection Connection, followers []*follower) *watched {
	clock, timing := service.config.Clock, service.config.Timing
	w := &watched{
		connection: connection,
		opened:     clock.Now(),
		rotate:     clock.After(jittered(timing.RotateAfter)),
		heard:      make(map[market.Series]*heard, len(followers)),
		delivered:  make(chan struct{}), shutdown: make(chan struct{}), ended: make(chan struct{}),
	}
	for _, f := range followers {
		w.heard[f.series] = &heard{follower: f}
		f.linked(1)
	}
	link.opened(w.opened)
	go w.read(ctx, service, link)
	return w
}

// close ends the connection and waits until nothing more of it is taken in.
func (w *watched) close() {
	w.connection.Close() // of one that is given up, no error matters
	<-w.ended
}

func (w *watched) read(ctx context.Context, service *Service, link *link) {
	defer close(w.ended)
	defer func() {
		w.connection.Close()
		for _, h := range w.heard {
			h.follower.linked(-1)
		}
	}()
	clock := service.config.Clock
	waiting, announced := len(w.heard), false
	for {
		event, err := w.connection.Next(ctx)
		if err != nil {
			w.err = err
			return
		}
		if event.Shutdown {
			if !announced {
				close(w.shutdown)
			}
			announced = true
			continue
		}
		if event.Malformed {
			link.malformed()
			continue
		}
		h, asked := w.heard[event.Kline.Series]
		if !asked {
			service.config.Log.ErrorContext(ctx, "the stream delivers a series that was not asked for",
				slog.String("series", event.Kline.Series.String()))
			continue
		}
		now := clock.Now()
		service.hear(ctx, h.follower, &event.Kline, now)
		if h.hear(now, service.config.Timing.SilentAfter) {
			if waiting--; waiting == 0 {
				close(w.delivered)
			}
		}
	}
}

// silent returns the series of which nothing has come for as long as patience
// says, or else when that can be so of one at the earliest.
func (w *watched) silent(now time.Time, patience func(*heard) time.Duration) (followers []*follower, next time.Time) {
	for _, h := range w.heard {
		last := w.opened
		if at := h.at.Load(); at != 0 {
			last = time.Unix(0, at)
		}
		deadline := last.Add(patience(h))
		if !deadline.After(now) {
			followers = append(followers, h.follower)
		} else if next.IsZero() || deadline.Before(next) {
			next = deadline
		}
	}
	return followers, next
}
