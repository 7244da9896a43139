package simulator

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// hub looks after the kline streams that somebody listens to: it makes each
// event once and hands it to all who subscribed.
type hub struct {
	source Source
	now    func() time.Time
	every  time.Duration

	mu      sync.Mutex
	streams map[string]*klineStream
}

// klineStream is the candles of one series as they come about.
type klineStream struct {
	name      string
	series    market.Series
	listeners map[*session]struct{}
	// announced is the open time before which every closed candle has been
	// announced as such.
	announced time.Time
	latest    market.Candle // the open candle as it was pushed last
}

// event is a message of a stream in both forms: the whole is the combined one,
// the part from raw to before the last byte the raw one.
type event struct {
	stream *klineStream
	text   []byte
	raw    int
}

// streamMark stands between symbol and interval in a stream's name.
const streamMark = "@kline_"

// parseStream returns the series of a stream's name, which has the symbol in
// lower case.
func parseStream(name string) (market.Series, bool) {
	symbol, interval, found := strings.Cut(name, streamMark)
	if !found || symbol != strings.ToLower(symbol) {
		return market.Series{}, false
	}
	parsed, err := market.ParseInterval(interval)
	return market.Series{Symbol: market.Symbol(strings.ToUpper(symbol)), Interval: parsed}, err == nil
}

// subscribe lets a session listen to a stream of a pair that is traded.
func (h *hub) subscribe(listener *session, name string, series market.Series) {
	h.mu.Lock()
	defer h.mu.Unlock()
	listened, found := h.streams[name]
	if !found {
		listened = &klineStream{
			name: name, series: series, listeners: map[*session]struct{}{},
			announced: series.Interval.Floor(h.now()),
		}
		h.streams[name] = listened
	}
	listened.listeners[listener] = struct{}{}
	listened.latest = market.Candle{} // so that the next push tells it how the candle stands
}

func (h *hub) unsubscribe(listener *session, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	listened, found := h.streams[name]
	if !found {
		return
	}
	delete(listened.listeners, listener)
	if len(listened.listeners) == 0 {
		delete(h.streams, name)
	}
}

// run pushes events until ctx is done.
func (h *hub) run(ctx context.Context) {
	timer := time.NewTimer(h.every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(h.push())
		}
	}
}

// push hands out what is new in every stream and returns the time to the next
// push: the period, or less where a candle closes before.
func (h *hub) push() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := h.every
	for _, listened := range h.streams {
		now := h.now()
		h.pushStream(listened, now)
		left := listened.series.Interval.Next(listened.announced).Sub(now)
		wait = min(wait, max(left, time.Millisecond))
	}
	return wait
}

// mostAnnounced bounds the closed candles that are announced at once, where the
// clock has leapt.
const mostAnnounced = 1000

func (h *hub) pushStream(listened *klineStream, now time.Time) {
	open := listened.series.Interval.Floor(now)
	if open.Before(listened.announced) {
		return // the clock has been set back: what closed stays closed
	}
	if listened.announced.Before(open) {
		past := market.TimeRange{Start: listened.announced, End: open}
		closed := h.source.Candles(listened.series, past, mostAnnounced)
		for k := range closed {
			listened.hand(now, &closed[k], true)
		}
		listened.announced = open
		if len(closed) == mostAnnounced {
			interval := listened.series.Interval
			listened.announced = interval.Next(interval.Floor(closed[mostAnnounced-1].OpenTime))
			return
		}
	}
	candle, traded := h.source.OpenCandle(listened.series, now)
	if traded && candle != listened.latest {
		listened.latest = candle
		listened.hand(now, &candle, false)
	}
}

// hand makes an event of a candle and gives it to every listener.
func (s *klineStream) hand(now time.Time, candle *market.Candle, closed bool) {
	const size = 400 // somewhat more than an event takes
	text := make([]byte, 0, size)
	text = append(text, `{"stream":"`...)
	text = append(text, s.name...)
	text = append(text, `","data":`...)
	made := event{stream: s, raw: len(text)}
	text = appendKlineEvent(text, s.series, now, candle, closed)
	made.text = append(text, '}')
	for listener := range s.listeners {
		listener.give(message{event: made})
	}
}
