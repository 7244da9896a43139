package live

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
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
