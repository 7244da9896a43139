package live

import (
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Status is a snapshot of what a Service has done since it began.
type Status struct {
	Connected   bool      // every series is on a connection
	Since       time.Time // of the newest connection, or of a loss after it; by Config.Clock
	Connections int64     // made
	Rotations   int64     // of those, planned ones
	Symbols     []SymbolStatus
}

// SymbolStatus is the part of a Status that is about one symbol.
type SymbolStatus struct {
	market.Series
	LastEvent  market.Optional[time.Time] // when the newest one came in, by our clock
	Events     int64
	Duplicates int64 // of Events, dropped, for the same state had been seen or a newer one
	Samples    int64 // stored
	Held       int64 // waiting to be stored
	Missing    int64 // places of the sampling grid without a sample
	Refused    int64 // of Missing, those of which the database would not store the sample
	Closed     int64 // candles stored as they closed
	Filled     int64 // candles that were missing, stored by a repair or a check
	Corrected  int64 // candles that were stored with values which the exchange has otherwise
}

// Status says how the service fares.
func (s *Service) Status() Status {
	status := s.link.snapshot()
	status.Connected = true
	status.Symbols = make([]SymbolStatus, len(s.followers))
	for k, f := range s.followers {
		symbol := &status.Symbols[k]
		symbol.Series = f.series
		f.mu.Lock()
		status.Connected = status.Connected && f.links > 0
		symbol.LastEvent = f.lastEvent
		symbol.Events, symbol.Duplicates, symbol.Closed = f.events, f.duplicates, f.closed
		symbol.Filled, symbol.Corrected = f.filled, f.corrected
		f.mu.Unlock()
	}
	s.ticks.count(status.Symbols)
	return status
}

// linkStatus counts connections.
type linkStatus struct {
	mu                     sync.Mutex
	since                  time.Time
	connections, rotations int64
}

func (l *linkStatus) opened(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = now
	l.connections++
}

func (l *linkStatus) lost(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = now
}

func (l *linkStatus) rotated() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rotations++
}

func (l *linkStatus) snapshot() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Status{Since: l.since, Connections: l.connections, Rotations: l.rotations}
}
