package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/adshao/go-binance/v2"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

func TestGoBinanceReadsTheExchange(t *testing.T) {
	e := open(t, Config{})
	client := e.binance()
	if err := client.NewPingService().Do(t.Context()); err != nil {
		t.Error(err)
	}
	if now, err := client.NewServerTimeService().Do(t.Context()); err != nil || now != startsAt.UnixMilli() {
		t.Errorf("time %d, %v", now, err)
	}
	info, err := client.NewExchangeInfoService().Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	limit := binance.RateLimit{RateLimitType: "REQUEST_WEIGHT", Interval: "MINUTE", IntervalNum: 1, Limit: 6000}
	if len(info.RateLimits) != 1 || info.RateLimits[0] != limit || len(info.Symbols) != 2 || info.ServerTime != startsAt.UnixMilli() {
		t.Errorf("%+v", info)
	}
	pair := info.Symbols[0]
	if pair.Symbol != "BTCUSDT" || pair.Status != "TRADING" || pair.BaseAsset != "BTC" || pair.QuoteAsset != "USDT" || !pair.IsSpotTradingAllowed {
		t.Errorf("%+v", pair)
	}
	if pair.PriceFilter().TickSize != "0.01000000" || pair.LotSizeFilter().StepSize != "0.00001000" ||
		pair.NotionalFilter() == nil || pair.PercentPriceBySideFilter() == nil || pair.MarketLotSizeFilter() == nil {
		t.Errorf("filters %+v", pair.Filters)
	}
	for _, service := range []*binance.ExchangeInfoService{
		client.NewExchangeInfoService().Symbol("ETHUSDT"),
		client.NewExchangeInfoService().Symbols("ETHUSDT").Permissions("SPOT"),
	} {
		if info, err := service.Do(t.Context()); err != nil || len(info.Symbols) != 1 || info.Symbols[0].Symbol != "ETHUSDT" {
			t.Errorf("%+v, %v", info, err)
		}
	}
}

func TestPricesAreThoseOfTheOpenCandles(t *testing.T) {
	e := open(t, Config{})
	client := e.binance()
	want := func(symbol string) *binance.SymbolPrice {
		price, traded := e.lastPrice(e.bySymbol["BTCUSDT"].Symbol, startsAt)
		if symbol == "ETHUSDT" {
			price, traded = e.lastPrice("ETHUSDT", startsAt)
		}
		if !traded {
			t.Fatal("no price")
		}
		return &binance.SymbolPrice{Symbol: symbol, Price: strconv.FormatFloat(price, 'f', 8, 64)}
	}
	for _, test := range []struct {
		service *binance.ListPricesService
		symbols []string
	}{
		{client.NewListPricesService().Symbol("ETHUSDT"), []string{"ETHUSDT"}},
		{client.NewListPricesService().Symbols([]string{"ETHUSDT", "BTCUSDT"}), []string{"ETHUSDT", "BTCUSDT"}},
		{client.NewListPricesService(), []string{"BTCUSDT", "ETHUSDT"}},
	} {
		prices, err := test.service.Do(t.Context())
		if err != nil || len(prices) != len(test.symbols) {
			t.Fatalf("%d prices, %v", len(prices), err)
		}
		for k, symbol := range test.symbols {
			if *prices[k] != *want(symbol) {
				t.Errorf("%+v, want %+v", prices[k], want(symbol))
			}
		}
	}
	e.clock.Set(e.source.outage.End.Add(-time.Second))
	prices, err := client.NewListPricesService().Symbol("BTCUSDT").Do(t.Context())
	if err != nil || prices[0].Price == want("ETHUSDT").Price {
		t.Errorf("in an outage: %+v, %v", prices, err)
	}
	e.clock.Set(date("2017-08-17T03:00:00Z"))
	if prices, err := client.NewListPricesService().Do(t.Context()); err != nil || len(prices) != 0 {
		t.Errorf("before the listing: %+v, %v", prices, err)
	}
	if _, err := client.NewListPricesService().Symbol("BTCUSDT").Do(t.Context()); err == nil {
		t.Error("a pair that is not listed yet has a price")
	}
}

func TestEveryAnswerSaysThatItIsSimulated(t *testing.T) {
	e := open(t, Config{RateLimit: RateLimit{Weight: 30, Window: 10 * time.Second}})
	for _, test := range []struct {
		path   string
		status int
		used   int // 0 where it is not told
	}{
		{"/api/v3/ping", 200, 1},
		{"/api/v3/time", 200, 2},
		{"/api/v3/ticker/price?symbol=BTCUSDT", 200, 4},
		{"/api/v3/ticker/price", 200, 8},
		{"/api/v3/klines?symbol=BTCUSDT&interval=1m", 200, 10},
		{"/api/v3/klines", 400, 12},
		{"/api/v3/exchangeInfo", 429, 32},
		{"/api/v3/nothing", 404, 0},
		{"/", 404, 0},
		{"/ws/btcusdt@kline_1m", 400, 0},
		{"/api/v3/coins/markets?vs_currency=usd", 200, 0},
	} {
		response, body := e.get(t, test.path)
		if response.StatusCode != test.status || response.Header.Get(history.SimulatedHeader) == "" {
			t.Errorf("%s: %d, %v", test.path, response.StatusCode, response.Header)
		}
		used := ""
		if test.used > 0 {
			used = strconv.Itoa(test.used)
		}
		if response.Header.Get("X-MBX-USED-WEIGHT") != used || response.Header.Get("X-MBX-USED-WEIGHT-10S") != used {
			t.Errorf("%s: %v", test.path, response.Header)
		}
		if test.status == 429 && (response.Header.Get("Retry-After") != "10" || body[:13] != `{"code":-1003`) {
			t.Errorf("%v %s", response.Header, body)
		}
	}
	e.clock.Add(10 * time.Second)
	if response, _ := e.get(t, "/api/v3/ping"); response.Header.Get("X-MBX-USED-WEIGHT") != "1" {
		t.Errorf("a new window: %v", response.Header)
	}
	response, err := e.client.Post(e.url+"/api/v3/ping", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", response.StatusCode)
	}
}

func TestTheRateLimitIsTold(t *testing.T) {
	for _, test := range []struct {
		window   time.Duration
		interval string
		number   int64
		header   string
	}{
		{time.Minute, "MINUTE", 1, "X-Mbx-Used-Weight-1m"},
		{5 * time.Minute, "MINUTE", 5, "X-Mbx-Used-Weight-5m"},
		{7 * time.Second, "SECOND", 7, "X-Mbx-Used-Weight-7s"},
	} {
		e := open(t, Config{RateLimit: RateLimit{Weight: 123, Window: test.window}})
		info, err := e.binance().NewExchangeInfoService().Do(t.Context())
		want := []binance.RateLimit{{RateLimitType: "REQUEST_WEIGHT", Interval: test.interval, IntervalNum: test.number, Limit: 123}}
		if err != nil || !slices.Equal(info.RateLimits, want) {
			t.Errorf("%+v, %v", info, err)
		}
		if response, _ := e.get(t, "/api/v3/ping"); response.Header.Get(test.header) != fmt.Sprint(21) {
			t.Errorf("%v", response.Header)
		}
	}
}
