package live

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// longestPatience bounds how long a connection may say nothing of a series that
// is often silent.
const longestPatience = 15 * time.Minute

// supervisor sees to it that there is a connection for its series.
type supervisor struct {
	service   *Service
	followers []*follower
	series    []market.Series
	clock     Clock
	timing    Timing
	backoff   backoff
	link      link
	// patience is how long a silence is borne of series because of which connections
	// were replaced: where the market itself is silent, a new one helps less each
	// time. It is forgotten once they have been lively for that long.
	patience map[*follower]time.Duration
	log      *slog.Logger
}

func newSupervisor(service *Service, followers []*follower) *supervisor {
	s := &supervisor{
		service: service, followers: followers,
		clock: service.config.Clock, timing: service.config.Timing, backoff: service.config.Timing.backoff(),
		patience: map[*follower]time.Duration{}, log: service.config.Log,
	}
	s.link.lost(s.clock.Now()) // there is none yet
	for _, f := range followers {
		s.series = append(s.series, f.series)
	}
	return s
}

// run keeps to the market until ctx ends.
func (s *supervisor) run(ctx context.Context) {
	for current := s.connect(ctx, 0); current != nil; {
		if current = s.keep(ctx, current); current == nil {
			current = s.connect(ctx, s.backoff.next())
		}
	}
}

// connect opens a connection, however long that takes, and has repaired what was
// missed before. It returns nil when ctx ends.
func (s *supervisor) connect(ctx context.Context, wait time.Duration) *watched {
	for sleep(ctx, s.clock, wait) {
		if opened := s.open(ctx, &wait); opened != nil {
			s.askMend(ctx, s.followers)
			return opened
		}
	}
	return nil
}

// open tries to open a connection once. Where it fails it returns nil and sets
// how long to wait.
func (s *supervisor) open(ctx context.Context, wait *time.Duration) *watched {
	connection, err := s.service.config.Dialer.Dial(ctx, s.series)
	if err == nil {
		return watch(ctx, s.service, &s.link, connection, s.followers)
	}
	*wait = s.backoff.next()
	if market.ErrorCode(err) != market.Unavailable {
		*wait = s.timing.LongestBackoff // only a person can help, who may come
	}
	if ctx.Err() == nil {
		s.log.WarnContext(ctx, "the stream cannot be opened, trying again", slog.Duration("wait", *wait), slog.Any("error", err))
	}
	return nil
}

// keep looks after a connection until it is lost, when it returns nil, or has
// been replaced by the one that it returns.
func (s *supervisor) keep(ctx context.Context, current *watched) *watched {
	for {
		silent, next := current.silent(s.clock.Now(), s.patienceWith)
		if len(silent) > 0 {
			s.gainPatience(current, silent)
			s.log.WarnContext(ctx, "the stream is silent, replacing the connection",
				slog.Int("series", len(silent)), slog.String("first", silent[0].series.String()))
			successor := s.replace(ctx, current)
			if successor != nil {
				s.askMend(ctx, silent)
			}
			return successor
		}
		select {
		case <-s.clock.After(next.Sub(s.clock.Now())):
			continue
		case <-ctx.Done():
			current.close()
			return nil
		case <-current.ended:
			return s.lost(ctx, current)
		case <-current.shutdown:
			s.log.InfoContext(ctx, "the exchange is going to close the stream, replacing the connection")
		case <-current.rotate:
			s.log.InfoContext(ctx, "the connection has reached its age, replacing it")
		}
		successor := s.replace(ctx, current)
		if successor != nil {
			s.link.rotated()
		}
		return successor
	}
}

// lost takes note that a connection has ended.
func (s *supervisor) lost(ctx context.Context, current *watched) *watched {
	s.calm(current)
	s.link.lost(s.clock.Now())
	if ctx.Err() == nil {
		s.log.WarnContext(ctx, "the stream was lost", slog.Duration("age", s.clock.Now().Sub(current.opened)), slog.Any("error", current.err))
	}
	return nil
}

// calm resets the backoff after a connection that was a stable one, and reports
// whether it was.
func (s *supervisor) calm(w *watched) bool {
	stable := s.clock.Now().Sub(w.opened) >= s.timing.StableAfter
	if stable {
		s.backoff.reset()
	}
	return stable
}

// replace opens the successor of a connection that is heard on until then. It
// returns nil when the connection is lost before, or ctx ends.
func (s *supervisor) replace(ctx context.Context, current *watched) *watched {
	var wait time.Duration
	if !s.calm(current) {
		wait = s.backoff.next() // lest an exchange that shuts down keeps us dialling
	}
	for {
		select {
		case <-s.clock.After(wait):
		case <-current.ended:
			return s.lost(ctx, current)
		case <-ctx.Done():
			current.close()
			return nil
		}
		successor := s.open(ctx, &wait)
		if successor == nil {
			continue
		}
		if s.handOver(ctx, current, successor) {
			current.close()
			return successor
		}
		successor.close()
		wait = s.backoff.next()
	}
}

// handOver waits until the successor delivers what the current connection does,
// or has had the time to. It returns false when the successor ends instead.
func (s *supervisor) handOver(ctx context.Context, current, successor *watched) bool {
	select {
	case <-successor.delivered:
	case <-s.clock.After(s.timing.Overlap):
	case <-current.ended:
	case <-successor.ended:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

// askMend has series repaired and checked.
func (s *supervisor) askMend(ctx context.Context, followers []*follower) {
	for _, f := range followers {
		s.service.repairs.ask(ctx, f, repair)
		s.service.repairs.ask(ctx, f, check)
	}
}

// patienceWith returns how long a silence is borne.
func (s *supervisor) patienceWith(h *heard) time.Duration {
	if learnt, known := s.patience[h.follower]; known && h.livelyFor() >= learnt {
		delete(s.patience, h.follower)
	}
	return cmp.Or(s.patience[h.follower], s.timing.SilentAfter)
}

// gainPatience lengthens the next silence that is borne of series.
func (s *supervisor) gainPatience(current *watched, silent []*follower) {
	for _, f := range silent {
		s.patience[f] = max(s.timing.SilentAfter, min(2*s.patienceWith(current.heard[f.series]), longestPatience))
	}
}

// jittered returns up to a twentieth less, so that connections that were opened
// together are not replaced together.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/20+1) }
