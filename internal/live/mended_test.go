package live

import (
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestMendedCandlesAreToldOfOnce(t *testing.T) {
	h := NewHub(encodeID)
	series := market.Series{Symbol: "B", Interval: market.Minute15}
	now := time.Date(2024, time.May, 6, 12, 1, 0, 0, time.UTC)
	candle := func(ago int, price float64) market.Candle {
		return market.Candle{OpenTime: now.Add(-time.Duration(ago) * 15 * time.Minute).Truncate(15 * time.Minute), Close: price}
	}
	s := h.Subscribe(0)
	defer s.Close()
	tell := func(candles ...market.Candle) { h.PublishMended(series, candles, now) }

	h.Publish(Update{Symbol: "B", Candle: &Kline{Series: series, Candle: candle(2, 7), Closed: true}})
	tell(candle(remembered+1, 1), candle(3, 6), candle(2, 7), candle(1, 8)) // one is too old, one was told of
	expectTake(t, s, 0, "B candle 7", "B candle 6", "B candle 8")
	tell(candle(3, 6), candle(2, 7), candle(1, 8))
	expectTake(t, s, 0)
	tell(candle(2, 7.5)) // corrected
	tell(candle(2, 7.5))
	expectTake(t, s, 0, "B candle 7.5")
	tell(candle(2, 7)) // and back again
	expectTake(t, s, 0, "B candle 7")

	hours := market.Series{Symbol: "B", Interval: market.Hour1}
	h.PublishMended(hours, []market.Candle{candle(2, 7)}, now) // of the same time, but another series
	expectTake(t, s, 0, "B candle 7")
	h.PublishMended(market.Series{Symbol: "C", Interval: market.Minute15}, []market.Candle{candle(1, 3)}, now)
	expectTake(t, s, 0, "C candle 3")
}
