package api

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// klineAt is an open candle of a symbol that was received at an instant.
func klineAt(symbol market.Symbol, at time.Time) *live.Kline {
	series := market.Series{Symbol: symbol, Interval: market.Minute15}
	candle := candleAt(series.Interval.Floor(at), 5)
	return &live.Kline{Series: series, Candle: candle, EventTime: at.Add(-80 * time.Millisecond), ReceivedAt: at}
}

func TestPrice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const target = "/v1/symbols/btcusdt/price"
		hub := live.NewHub(EncodeUpdate)
		f := newService(3)
		f.live, f.origin = hub, history.Simulated
		s := serveFake(t, f)

		stored := decode[latestPrice](t, s.get(t, target), http.StatusOK)
		closed := day1.Add(3 * 15 * time.Minute)
		if stored.State != "stored" || stored.Price != f.candles[btc15m][2].Close || !stored.EventTime.Equal(closed) ||
			stored.AgeSeconds != int64(time.Since(closed)/time.Second) || stored.OpenCandle != nil || *stored.Origin != "simulated" {
			t.Errorf("nothing streamed: %+v", stored)
		}

		kline := klineAt("BTCUSDT", time.Now())
		hub.Publish(live.Update{Symbol: "BTCUSDT", Price: kline})
		for _, test := range []struct {
			after time.Duration
			state string
			age   int64
		}{{0, "live", 0}, {14*time.Second + 900*time.Millisecond, "live", 14}, {100 * time.Millisecond, "live", 15}, {time.Nanosecond, "stale", 15}, {time.Hour, "stale", 3615}} {
			time.Sleep(test.after)
			got := decode[latestPrice](t, s.get(t, target), http.StatusOK)
			if got.State != test.state || got.AgeSeconds != test.age || got.Price != kline.Candle.Close || !got.EventTime.Equal(kline.EventTime) {
				t.Errorf("%s later: %+v", test.after, got)
			}
			if c := got.OpenCandle; c == nil || c.High != kline.Candle.High || !c.CloseTime.Equal(c.OpenTime.Add(15*time.Minute)) || *c.Trades != 4326 {
				t.Errorf("the open candle is %+v", c)
			}
		}

		unknown := decode[problem](t, s.get(t, "/v1/symbols/DOGEUSDT/price"), http.StatusNotFound)
		if !strings.Contains(unknown.Detail, "BTCUSDT, ETHUSDT") {
			t.Errorf("of an unknown symbol: %q", unknown.Detail)
		}
		hub.Publish(live.Update{Symbol: "DOGEUSDT", Price: klineAt("DOGEUSDT", time.Now())})
		if got := decode[latestPrice](t, s.get(t, "/v1/symbols/DOGEUSDT/price"), http.StatusOK); got.State != "live" {
			t.Errorf("of a symbol that is streamed and not stored: %+v", got)
		}
		f.live = nil
		if got := decode[latestPrice](t, serveFake(t, f).get(t, target), http.StatusOK); got.State != "stored" {
			t.Errorf("without a stream: %+v", got)
		}
	})
}

// What is in memory is answered while the database is away.
func TestPriceWithoutTheDatabase(t *testing.T) {
	const target = "/v1/symbols/BTCUSDT/price"
	f, hub := followed()
	f.origin = ""
	s := serveFake(t, f)
	publishPrice(hub, "BTCUSDT")
	for _, origin := range []history.Origin{"", history.Real} { // what is not known yet is asked again
		f.origin = origin
		got := decode[latestPrice](t, s.get(t, target), http.StatusOK)
		if want := originOf(origin); want == nil && got.Origin != nil || want != nil && (got.Origin == nil || *got.Origin != *want) {
			t.Errorf("the origin is %v, want %q", got.Origin, origin)
		}
	}
	f.err = market.Errorf(market.Unavailable, "the database is away")
	if got := decode[latestPrice](t, s.get(t, target), http.StatusOK); got.State != "live" || *got.Origin != "real" {
		t.Errorf("got %+v", got)
	}
	decode[problem](t, s.get(t, "/v1/symbols/ETHUSDT/price"), http.StatusServiceUnavailable)
}

// Of several stored series the one that reaches furthest has the newest price.
func TestPriceOfTheNewestSeries(t *testing.T) {
	f := newService(3)
	minutely := market.Series{Symbol: "BTCUSDT", Interval: market.Minute1}
	last := day1.Add(45 * time.Minute)
	f.candles[minutely] = []market.Candle{candleAt(last, 9)}
	f.stored = append(f.stored, history.StoredSeries{Series: minutely, First: last, Last: last})
	got := decode[latestPrice](t, serveFake(t, f).get(t, "/v1/symbols/BTCUSDT/price"), http.StatusOK)
	if got.Price != f.candles[minutely][0].Close || !got.EventTime.Equal(last.Add(time.Minute)) {
		t.Errorf("got %+v", got)
	}
	empty := &fakeService{}
	if got := decode[problem](t, serveFake(t, empty).get(t, "/v1/symbols/BTCUSDT/price"), http.StatusNotFound); !strings.Contains(got.Detail, "nothing is stored") {
		t.Errorf("of an empty store: %q", got.Detail)
	}
}
