package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Config says what an offline exchange trades and how it behaves. Whatever is
// zero but the source is as on Binance.
type Config struct {
	Source Source
	// Now is the exchange's clock; the system's where it is nil. Windows of
	// weight, pauses and bans go by it too, so it should run at the pace of the
	// system's.
	Now       func() time.Time
	RateLimit RateLimit
	BanLength time.Duration // of the first ban, two minutes by default; each later one is twice as long
	Streams   StreamTiming
	Script    Script
	Log       *slog.Logger // nil logs nothing
}

// StreamTiming holds the periods of the WebSocket streams, by the system's clock.
type StreamTiming struct {
	PushEvery  time.Duration // between two events of a stream, at least: a second by default
	PingEvery  time.Duration // 20 seconds by default
	PongWithin time.Duration // after which a session without a pong is cut: a minute by default
	SessionAge time.Duration // at which a session is cut: 24 hours by default
}

// Server is an offline exchange. It is safe for concurrent use, and counts all
// its clients as one.
type Server struct {
	source   Source
	pairs    []Pair
	bySymbol map[market.Symbol]Pair
	now      func() time.Time
	skew     atomic.Int64 // added to now, in nanoseconds, by the clock_skew fault
	log      *slog.Logger

	exchange gate
	coins    gate
	cache    klineCache
	extremes extremes
	faults   faultPlayer

	timing  StreamTiming
	hub     hub
	closing context.Context // done once Close was called
	close   context.CancelFunc
	opening sync.Mutex // orders the start of a session against Close
	working sync.WaitGroup
	started bool // the hub's pushing, guarded by opening
}

// NewServer returns an offline exchange that is ready to serve. It panics where
// Config.Script is one that Script.Validate refuses.
func NewServer(config Config) *Server {
	s := &Server{
		source:   config.Source,
		pairs:    config.Source.Pairs(),
		bySymbol: map[market.Symbol]Pair{},
		now:      config.Now,
		log:      config.Log,
		timing: StreamTiming{
			PushEvery:  orDefault(config.Streams.PushEvery, time.Second),
			PingEvery:  orDefault(config.Streams.PingEvery, 20*time.Second),
			PongWithin: orDefault(config.Streams.PongWithin, time.Minute),
			SessionAge: orDefault(config.Streams.SessionAge, 24*time.Hour),
		},
	}
	for _, pair := range s.pairs {
		s.bySymbol[pair.Symbol] = pair
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.exchange.limit = RateLimit{
		Weight: orDefault(config.RateLimit.Weight, 6000),
		Window: orDefault(config.RateLimit.Window, time.Minute),
	}
	s.exchange.ban = orDefault(config.BanLength, 2*time.Minute)
	s.coins.limit = RateLimit{Weight: 30, Window: time.Minute}
	s.hub = hub{source: s.source, now: s.clock, every: s.timing.PushEvery, streams: map[string]*klineStream{}}
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.SetScript(config.Script); err != nil {
		panic(fmt.Sprintf("simulator: %v", err))
	}
	return s
}

func orDefault[T int | time.Duration](value, standard T) T {
	if value == 0 {
		return standard
	}
	return value
}

// clock returns the instant that the exchange shows and closes candles by.
func (s *Server) clock() time.Time { return s.now().UTC().Add(time.Duration(s.skew.Load())) }

// SetScript replaces the script and sets a skewed clock right. Every rule counts
// requests anew; sessions that are open keep the fault they were opened with. The
// error is the script's Validate.
func (s *Server) SetScript(script Script) error {
	if err := script.Validate(); err != nil {
		return err
	}
	s.faults.set(script)
	s.skew.Store(0)
	return nil
}

// Meter returns what the exchange has seen so far.
func (s *Server) Meter() Meter {
	return Meter{Exchange: s.exchange.snapshot(), Coins: s.coins.snapshot(), Faults: s.faults.counts()}
}

// ServeHTTP answers as Binance and CoinGecko do. Two faults end it by a panic
// with http.ErrAbortHandler, which an http.Server takes for what it is: an answer
// cut short.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(history.SimulatedHeader, "true")
	s.setDate(w.Header())
	path := r.URL.Path
	if endpoint, known := restEndpoints[path]; known {
		s.serveREST(w, r, endpoint)
		return
	}
	switch {
	case path == coinsPath:
		s.serveCoins(w, r)
	case path == rawPath, path == combinedPath, strings.HasPrefix(path, rawPath+"/"):
		s.serveWebSocket(w, r)
	default:
		http.Error(w, "404 Not Found", http.StatusNotFound)
	}
}

// setDate dates an answer by the exchange's clock; net/http would by the machine's.
func (s *Server) setDate(header http.Header) {
	header.Set("Date", s.clock().Format(http.TimeFormat))
}

// Close ends every WebSocket session and every answer that is being slowed down,
// and waits until they have gone. The REST endpoints go on answering; no new
// session is let in.
func (s *Server) Close() {
	s.opening.Lock()
	s.close()
	s.opening.Unlock()
	s.working.Wait()
}

// begin counts a session in, or reports false where the server is closing. The
// first one starts the pushing of events.
func (s *Server) begin() bool {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.closing.Err() != nil {
		return false
	}
	if !s.started {
		s.started = true
		s.working.Go(func() { s.hub.run(s.closing) })
	}
	s.working.Add(1)
	return true
}

// shutdownGrace is how long Serve waits for answers under way.
const shutdownGrace = time.Second

// Serve answers on the listener until ctx is done, then closes the server, the
// listener and every connection within two seconds. It returns nil after such an
// end, else why it could not go on.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		s.Close()
		return fmt.Errorf("serving the offline exchange: %w", err)
	case <-ctx.Done():
	}
	s.Close()
	// The wish to end is ctx itself, so it cannot bound the ending.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("ending the offline exchange: %w", err)
	}
	return nil
}
