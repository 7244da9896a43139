package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/live"
)

// A frame is the one event, with the fields of its documented schema.
func TestFramesAreWhatTheSchemaDocuments(t *testing.T) {
	at := day1.Add(8 * time.Minute)
	kline := klineAt("BTCUSDT", at)
	bare := *kline
	bare.Candle.Trades.Valid = false
	closed := candleEvent{Symbol: "BTCUSDT", Interval: "15m", Candle: pageOf(btc15m, newService(1).candles[btc15m], "").Candles[0]}
	forecasted := forecastAsOf(at)
	forecasted.Series = btc15m
	trades := int64(4326)
	open := OpenCandle{"15m", day1, day1.Add(15 * time.Minute), 61234.91, 61247.25, 61225.04, 61235.92, 123.45683, &trades}
	openBare := open
	openBare.Trades = nil
	for name, test := range map[string]struct {
		update live.Update
		data   any
	}{
		"price":    {live.Update{Price: kline}, priceEvent{"BTCUSDT", 61235.92, open, at.Add(-80 * time.Millisecond), at}},
		"price ":   {live.Update{Price: &bare}, priceEvent{"BTCUSDT", 61235.92, openBare, at.Add(-80 * time.Millisecond), at}},
		"candle":   {live.Update{Candle: &live.Kline{Series: btc15m, Candle: newService(1).candles[btc15m][0]}}, closed},
		"forecast": {live.Update{Forecast: &forecasted}, forecastOf(forecasted, at)},
	} {
		test.update.ID, test.update.At, test.update.Symbol = 1709251200000001, at, "BTCUSDT"
		data, err := json.Marshal(test.data)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("id: 1709251200000001\nevent: %s\ndata: %s\n\n", bytes.TrimSpace([]byte(name)), data)
		if got := EncodeUpdate(&test.update); string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestAnUpdateThatIsNotFiniteHasNoFrame(t *testing.T) {
	forecasted := forecastAsOf(day1)
	forecasted.Point = math.NaN()
	if got := EncodeUpdate(&live.Update{ID: 1, Symbol: "BTCUSDT", Forecast: &forecasted}); got != nil {
		t.Errorf("got %s", got)
	}
}

func BenchmarkEncodeUpdate(b *testing.B) {
	forecasted := forecastAsOf(day1)
	for name, update := range map[string]live.Update{
		"price":    {ID: 1, Symbol: "BTCUSDT", Price: klineAt("BTCUSDT", day1)},
		"candle":   {ID: 1, Symbol: "BTCUSDT", Candle: klineAt("BTCUSDT", day1)},
		"forecast": {ID: 1, Symbol: "BTCUSDT", Forecast: &forecasted},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(len(EncodeUpdate(&update))))
			}
		})
	}
}
