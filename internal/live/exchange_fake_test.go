package live

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var (
	bitcoin = market.Series{Symbol: "BTCUSDT", Interval: market.Minute1}
	ether   = market.Series{Symbol: "ETHUSDT", Interval: market.Minute1}
	solana  = market.Series{Symbol: "SOLUSDT", Interval: market.Minute5}
)

var (
	errAway    = market.Errorf(market.Unavailable, "nobody answers")
	errDropped = errors.New("connection reset by peer")
)

// bubbleClock is the clock of a synctest's bubble, which leaps when told to.
type bubbleClock struct {
	mu   sync.Mutex
	leap time.Duration
}

func (c *bubbleClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().UTC().Add(c.leap)
}

func (c *bubbleClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (c *bubbleClock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leap += d
}

// stateAt is how a candle stands at an instant: a trade a second since it opened.
func stateAt(series market.Series, at time.Time) Kline {
	open := series.Interval.Floor(at)
	return kline(series, open, int64(at.Sub(open)/time.Second)+1, at)
}

// closeOf is how a candle ends, as said at an instant.
func closeOf(series market.Series, open, at time.Time) Kline {
	k := kline(series, open, int64(series.Interval.Length()/time.Second), at)
	k.Closed = true
	return k
}

func kline(series market.Series, open time.Time, trades int64, at time.Time) Kline {
	return Kline{
		Series: series,
		Candle: market.Candle{
			OpenTime: open, Open: 100, High: 100 + float64(trades), Low: 100, Close: 100 + float64(trades),
			Volume: float64(trades), Trades: market.Some(trades), Source: series.Interval, Parts: 1,
		},
		EventTime: at, ReceivedAt: at,
	}
}

// fakeExchange hands what it is told to push to everybody who is connected.
type fakeExchange struct {
	mu          sync.Mutex
	refuse      func() error // nil for a dial that succeeds
	dialled     []time.Time
	connections []*fakeConnection // all that ever were
	alter       func(*fakeConnection, Event) []Event
	latency     func() time.Duration // of the next connection
	stillborn   bool                 // so is the next connection
}

func (x *fakeExchange) Dial(ctx context.Context, series []market.Series) (Connection, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dialled = append(x.dialled, time.Now())
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if x.refuse != nil {
		if err := x.refuse(); err != nil {
			return nil, err
		}
	}
	c := &fakeConnection{
		series: series, opened: time.Now(), events: make(chan delivery, 10_000),
		lost: make(chan struct{}), closed: make(chan struct{}),
	}
	if x.latency != nil {
		c.latency = x.latency()
	}
	if x.stillborn {
		c.drop()
	}
	x.connections = append(x.connections, c)
	return c, nil
}

// push gives an event to every open connection that was asked for it.
func (x *fakeExchange) push(event Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.connections {
		if event.Shutdown || slices.Contains(c.series, event.Kline.Series) {
			events := []Event{event}
			if x.alter != nil {
				events = x.alter(c, event)
			}
			for _, e := range events {
				c.give(e)
			}
		}
	}
}

// drop ends every connection from the exchange's side.
func (x *fakeExchange) drop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.connections {
		c.drop()
	}
}

func (x *fakeExchange) open() (open []*fakeConnection) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.connections {
		if c.isOpen() {
			open = append(open, c)
		}
	}
	return open
}

func (x *fakeExchange) set(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
}

func (x *fakeExchange) dials() []time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.dialled)
}

type delivery struct {
	event Event
	due   time.Time
}

type fakeConnection struct {
	series       []market.Series
	opened       time.Time
	latency      time.Duration
	events       chan delivery
	lost, closed chan struct{}
	loseOnce     sync.Once
	closeOnce    sync.Once
}

func (c *fakeConnection) isOpen() bool {
	select {
	case <-c.lost:
		return false
	case <-c.closed:
		return false
	default:
		return true
	}
}

func (c *fakeConnection) give(event Event) {
	if c.isOpen() {
		c.events <- delivery{event, time.Now().Add(c.latency)}
	}
}

func (c *fakeConnection) drop() { c.loseOnce.Do(func() { close(c.lost) }) }

func (c *fakeConnection) Next(ctx context.Context) (Event, error) {
	var next delivery
	select {
	case next = <-c.events:
	case <-c.lost:
		return Event{}, errDropped
	case <-c.closed:
		return Event{}, errors.New("closed")
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
	wait := time.Until(next.due)
	if wait <= 0 {
		return next.event, nil
	}
	select {
	case <-time.After(wait):
		return next.event, nil
	case <-c.closed:
		return Event{}, errors.New("closed")
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
}

func (c *fakeConnection) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	return nil
}
