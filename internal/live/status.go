package live

import (
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Status is a snapshot of how a Service fares. What it counts, it counts since it
// began; durations are in seconds.
type Status struct {
	At          time.Time          `json:"at"`        // of the snapshot, by Config.Clock
	Connected   bool               `json:"connected"` // every series is on a connection
	Connections []ConnectionStatus `json:"connections"`
	Symbols     []SymbolStatus     `json:"symbols"`
}

// ConnectionStatus is the part of a Status that is about one connection to the
// exchange and those that it succeeded.
type ConnectionStatus struct {
	Connected  bool      `json:"connected"`
	Since      time.Time `json:"since"`       // it is as Connected says; by Config.Clock
	AgeSeconds float64   `json:"age_seconds"` // since then
	Series     int       `json:"series"`      // that it is asked for
	Opened     int64     `json:"opened"`      // connections ever
	Rotations  int64     `json:"rotations"`   // of those, planned or announced by the exchange
	Reconnects int64     `json:"reconnects"`  // of those, after a loss or a silence
	Malformed  int64     `json:"malformed"`   // messages that were skipped
}

// SymbolStatus is the part of a Status that is about one symbol.
type SymbolStatus struct {
	Symbol   market.Symbol   `json:"symbol"`
	Interval market.Interval `json:"interval"`

	LastEvent  *time.Time `json:"last_event"`  // when the newest one came in, by our clock; nil before the first
	AgeSeconds *float64   `json:"age_seconds"` // since then
	Events     int64      `json:"events"`
	Duplicates int64      `json:"duplicates"` // of Events, dropped, for the same state had been seen or a newer one

	Samples         int64               `json:"samples_stored"`
	Held            int64               `json:"samples_waiting"`
	Missing         int64               `json:"samples_missing"`           // places of the sampling grid without one
	MissingByReason map[GapReason]int64 `json:"samples_missing_by_reason"` // of Missing, without reasons that did not occur
	Refused         int64               `json:"samples_refused"`           // of database_away, those that the database would not store

	Closed    int64 `json:"candles_stored"`    // as they closed
	Left      int64 `json:"candles_left"`      // that closed, to a repair, for they could not be stored
	Filled    int64 `json:"candles_filled"`    // that were missing, by a repair or a check
	Corrected int64 `json:"candles_corrected"` // that were stored with values which the exchange has otherwise

	Forecasts ForecastStatus `json:"forecasts"`
}

// ForecastStatus is the part of a SymbolStatus that is about storing forecasts, and
// scoring them by the candles that have closed.
type ForecastStatus struct {
	Stored        int64 `json:"stored"`
	Held          int64 `json:"waiting"`
	Dropped       int64 `json:"dropped"` // for too many waited
	Refused       int64 `json:"refused"` // by the database
	Scored        int64 `json:"candles_scored"`
	Unscored      int64 `json:"candles_waiting"`
	ScoresDropped int64 `json:"candles_dropped"` // for too many waited
	ScoresRefused int64 `json:"candles_refused"` // by the database
}

// Status says how the service fares. It is safe for concurrent use.
func (s *Service) Status() Status {
	now, ours := s.config.Clock.Now(), time.Now()
	status := Status{
		At: now.UTC(), Connected: true,
		Connections: make([]ConnectionStatus, len(s.supervisors)), Symbols: make([]SymbolStatus, len(s.followers)),
	}
	for k, supervisor := range s.supervisors {
		status.Connections[k] = supervisor.link.snapshot(now)
		status.Connections[k].Series = len(supervisor.series)
	}
	for k, f := range s.followers {
		connected := f.status(&status.Symbols[k], ours)
		status.Connected = status.Connected && connected
	}
	s.ticks.count(status.Symbols)
	if s.forecasts != nil {
		s.forecasts.writer.count(status.Symbols)
	}
	return status
}

// status fills in what is known of the series, and reports whether it is on a
// connection.
func (f *follower) status(symbol *SymbolStatus, now time.Time) (connected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	symbol.Symbol, symbol.Interval = f.series.Symbol, f.series.Interval
	if f.lastEvent.Valid {
		at, age := f.lastEvent.Value, now.Sub(f.lastEvent.Value).Seconds()
		symbol.LastEvent, symbol.AgeSeconds = &at, &age
	}
	symbol.Events, symbol.Duplicates = f.events, f.duplicates
	symbol.Closed, symbol.Left = f.closed, f.left
	symbol.Filled, symbol.Corrected = f.filled, f.corrected
	return f.links > 0
}

// link counts the connections of a supervisor.
type link struct {
	mu     sync.Mutex
	status ConnectionStatus // without Series and AgeSeconds
}

func (l *link) opened(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Connected, l.status.Since = true, now
	l.status.Opened++
}

// lost takes note that there is no connection, or none yet.
func (l *link) lost(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Connected, l.status.Since = false, now
}

func (l *link) rotated() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Rotations++
}

func (l *link) malformed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Malformed++
}

func (l *link) snapshot(now time.Time) ConnectionStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	status := l.status
	status.AgeSeconds = now.Sub(status.Since).Seconds()
	status.Reconnects = max(status.Opened-status.Rotations-1, 0)
	return status
}
