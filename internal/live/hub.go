package live

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Update is news for subscribers. Exactly one of Price, Candle and Forecast is
// set. It is shared by all of them and must not be changed.
type Update struct {
	ID       uint64 // ascending, by one hub; larger than those of any process before
	At       time.Time
	Symbol   market.Symbol
	Price    *Kline             // the open candle moved; its Close is the price
	Candle   *Kline             // a candle closed
	Forecast *forecast.Forecast // of the open candle
	Frame    []byte             // what the hub's encoder made of it, once for all
}

// remembered is how many closed candles of a symbol a hub keeps: at 15 minutes
// those of more than two days.
const remembered = 256

// Hub hands updates on to subscribers. Publish never waits for one: who is slow
// gets the newest price and forecast of a symbol instead of all, and closed
// candles up to a bound, the newest 256 of each symbol. It is safe for
// concurrent use, and needs no goroutine of its own.
//
// Updates are kept once, by symbol, and not once for each subscriber: publishing
// replaces a pointer and wakes those who wait.
type Hub struct {
	encode func(*Update) []byte

	mutex    sync.RWMutex // guards what has been published
	lastID   uint64
	topics   []*topic
	bySymbol map[market.Symbol]*topic

	// A lock of its own, so that those who are woken find the other one free.
	waking sync.Mutex
	all    map[*Subscription]struct{}
	named  map[market.Symbol]map[*Subscription]struct{}
}

// topic is what has been published of a symbol.
type topic struct {
	place    int // in Hub.topics
	price    *Update
	forecast *Update
	candles  []*Update // the newest, oldest first
	closed   int       // candles ever
}

// forgotten returns how many closed candles are not remembered any more.
func (t *topic) forgotten() int { return t.closed - len(t.candles) }

// NewHub returns a hub whose updates are encoded once, by encode.
func NewHub(encode func(*Update) []byte) *Hub {
	return &Hub{
		encode: encode,
		// No process publishes a million updates a second, so that the clock in
		// microseconds is ahead of the IDs of those before.
		lastID:   uint64(time.Now().UnixMicro()),
		bySymbol: map[market.Symbol]*topic{},
		all:      map[*Subscription]struct{}{},
		named:    map[market.Symbol]map[*Subscription]struct{}{},
	}
}

// Publish gives the update its ID, time and frame, and hands it on.
func (h *Hub) Publish(u Update) {
	h.keep(&u)
	h.waking.Lock()
	defer h.waking.Unlock()
	for s := range h.all {
		s.wake()
	}
	for s := range h.named[u.Symbol] {
		s.wake()
	}
}

func (h *Hub) keep(u *Update) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.lastID++
	u.ID, u.At = h.lastID, time.Now().UTC()
	u.Frame = h.encode(u)
	t := h.bySymbol[u.Symbol]
	if t == nil {
		t = &topic{place: len(h.topics)}
		h.topics = append(h.topics, t)
		h.bySymbol[u.Symbol] = t
	}
	switch {
	case u.Price != nil:
		t.price = u
	case u.Forecast != nil:
		t.forecast = u
	default:
		t.candles = append(t.candles, u)
		t.closed++
		if len(t.candles) > remembered {
			t.candles[0] = nil // the array behind it lives on for a while
			t.candles = t.candles[1:]
		}
	}
}

// Newest returns the newest price update of a symbol, nil where there was none.
func (h *Hub) Newest(symbol market.Symbol) *Update {
	h.mutex.RLock()
	defer h.mutex.RUnlock()
	if t := h.bySymbol[symbol]; t != nil {
		return t.price
	}
	return nil
}

// Subscribe returns a subscription to all symbols, or to those named. Where after
// is 0 it begins with the newest price and forecast of each. Else it begins with
// those that were published since the update of that ID and the closed candles
// since, as far as the hub remembers them, so that the IDs of who goes on where
// they ended ascend. An ID from another process stands for nothing received.
// Close the subscription.
func (h *Hub) Subscribe(after uint64, symbols ...market.Symbol) *Subscription {
	s := &Subscription{hub: h, symbols: slices.Compact(slices.Sorted(slices.Values(symbols))), ready: make(chan struct{}, 1)}
	h.mutex.RLock()
	s.candles = make([]int, len(h.topics))
	resumes := after != 0
	if after > h.lastID {
		after = 0 // of a process whose clock was ahead
	}
	s.seen = after
	for _, t := range h.topics {
		s.candles[t.place] = t.closed
		if resumes {
			s.candles[t.place] = t.closedBy(after)
		}
	}
	h.mutex.RUnlock()
	h.register(s)
	s.wake()
	return s
}

// closedBy returns how many candles had closed when the update of an ID was
// published, 0 where that is forgotten.
func (t *topic) closedBy(id uint64) int {
	k, found := slices.BinarySearchFunc(t.candles, id, func(u *Update, id uint64) int { return cmp.Compare(u.ID, id) })
	if found {
		k++
	}
	if k == 0 {
		return 0
	}
	return t.forgotten() + k
}

func (h *Hub) register(s *Subscription) {
	h.waking.Lock()
	defer h.waking.Unlock()
	if len(s.symbols) == 0 {
		h.all[s] = struct{}{}
	}
	for _, symbol := range s.symbols {
		if h.named[symbol] == nil {
			h.named[symbol] = map[*Subscription]struct{}{}
		}
		h.named[symbol][s] = struct{}{}
	}
}

// Subscription is one subscriber's view of a hub. It is used by one goroutine.
type Subscription struct {
	hub     *Hub
	symbols []market.Symbol // none for all
	ready   chan struct{}
	seen    uint64    // ID of the newest update taken
	candles []int     // by topic, how many of its closed candles have been taken or missed
	taken   []*Update // the room of the last Take
}

// Ready returns a channel that holds a token when Take has something. Now and
// then Take has nothing all the same.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default: // it has been told already
	}
}

// Take returns what is new since the last call, by ID, and how many closed
// candles were left out since, because it came too late for them. Where the hub
// has forgotten the update that the subscription began after, those are all the
// candles that it has forgotten. The slice is good until the next call.
func (s *Subscription) Take() (updates []*Update, missed int) {
	h := s.hub
	s.taken = s.taken[:0]
	h.mutex.RLock()
	if len(s.symbols) == 0 {
		for _, t := range h.topics {
			missed += s.take(t)
		}
	}
	for _, symbol := range s.symbols {
		if t := h.bySymbol[symbol]; t != nil {
			missed += s.take(t)
		}
	}
	s.seen = h.lastID
	h.mutex.RUnlock()
	slices.SortFunc(s.taken, func(a, b *Update) int { return cmp.Compare(a.ID, b.ID) })
	return s.taken, missed
}

// take adds what is new of a topic, and returns how many closed candles it left
// out.
func (s *Subscription) take(t *topic) (missed int) {
	for _, u := range []*Update{t.price, t.forecast} {
		if u != nil && u.ID > s.seen {
			s.taken = append(s.taken, u)
		}
	}
	for len(s.candles) <= t.place {
		s.candles = append(s.candles, 0)
	}
	from := s.candles[t.place]
	if forgotten := t.forgotten(); from < forgotten {
		from, missed = forgotten, forgotten-from
	}
	s.taken = append(s.taken, t.candles[from-t.forgotten():]...)
	s.candles[t.place] = t.closed
	return missed
}

// Close ends the subscription.
func (s *Subscription) Close() {
	h := s.hub
	h.waking.Lock()
	defer h.waking.Unlock()
	delete(h.all, s)
	for _, symbol := range s.symbols {
		delete(h.named[symbol], s)
		if len(h.named[symbol]) == 0 {
			delete(h.named, symbol)
		}
	}
}
