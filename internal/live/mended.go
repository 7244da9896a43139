package live

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// PublishMended tells of closed candles of a series, oldest first, that were stored by
// something else than the service that follows it. Those that subscribers have been
// told of are left out, and those that are so old that the hub would drop newer ones.
// now is by the exchange's clock.
func (h *Hub) PublishMended(series market.Series, candles []market.Candle, now time.Time) {
	for _, c := range candles {
		if u, recent := mendedUpdate(series, c, now); recent && !h.told(series, c) {
			h.Publish(u)
		}
	}
}

// mendedUpdate is what is told of a candle that was stored behind the stream's back.
// Of older ones than are recent, a Hub would drop newer ones.
func mendedUpdate(series market.Series, c market.Candle, now time.Time) (u Update, recent bool) {
	closed := &Kline{Series: series, Candle: c, Closed: true, EventTime: now, ReceivedAt: time.Now().UTC()}
	return Update{Symbol: series.Symbol, Candle: closed}, now.Sub(c.OpenTime) <= remembered*series.Interval.Length()
}

// told reports whether what was published last of a candle is what it is.
func (h *Hub) told(series market.Series, c market.Candle) bool {
	h.mutex.RLock()
	defer h.mutex.RUnlock()
	t := h.bySymbol[series.Symbol]
	if t == nil {
		return false
	}
	for k := len(t.candles) - 1; k >= 0; k-- {
		if known := t.candles[k].Candle; known.Series == series && known.Candle.OpenTime.Equal(c.OpenTime) {
			return known.Candle == c
		}
	}
	return false
}
