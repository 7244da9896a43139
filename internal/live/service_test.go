package live

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestAServiceTellsItsHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(forecasting, bitcoin) // for all that surrounds a service
		config := r.config
		config.Hub = NewHub(encodeID)
		subscription := config.Hub.Subscribe(0)
		defer subscription.Close()
		r.Service = NewService(config)
		r.start(t)
		r.live(62 * time.Second)

		newest := config.Hub.Newest(bitcoin.Symbol)
		if want := stateAt(bitcoin, r.started.Add(61*time.Second)); newest == nil || *newest.Price != want {
			t.Errorf("the newest price is of %+v, want %+v", newest, want)
		}
		updates, missed := subscription.Take()
		var prices, candles, forecasts int
		for _, u := range updates {
			switch {
			case u.Price != nil:
				prices++
			case u.Candle != nil:
				candles++
			case u.Forecast != nil:
				forecasts++
			}
		}
		if prices != 1 || candles != 2 || forecasts != 1 || missed != 0 {
			t.Errorf("%d prices, %d candles, %d forecasts, %d missed", prices, candles, forecasts, missed)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

// An exchange may refuse an address of more than some 8,000 characters.
func TestManySeriesShareConnectionsOfWhichTheAddressFits(t *testing.T) {
	var many []market.Series
	for k := range 500 {
		name := fmt.Sprintf("%020d", k)
		symbol, err := market.ParseSymbol(name)
		if _, tooLong := market.ParseSymbol(name + "X"); err != nil || tooLong == nil {
			t.Fatal("this is not the longest symbol there may be")
		}
		many = append(many, market.Series{Symbol: symbol, Interval: market.Minute15})
	}
	inBubble(t, nil, many, func(t *testing.T, r *rig) {
		connections := r.exchange.open()
		if len(connections) != 2 {
			t.Errorf("%d connections", len(connections))
		}
		for _, c := range connections {
			length := len("wss://data-stream.binance.vision/stream?streams=")
			for _, series := range c.series {
				length += len(string(series.Symbol) + "@kline_" + string(series.Interval) + "/")
			}
			if length > 7900 {
				t.Errorf("an address of %d characters", length)
			}
		}
	})
}

func TestAServiceThatIsStoppedBeforeItBeginsStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(forecasting, two...)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if status := r.Status(); status.Connected {
			t.Errorf("status is %#v", status)
		}
	})
}
