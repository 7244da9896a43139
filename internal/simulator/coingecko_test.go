package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const bothCoins = coinsPath + "?vs_currency=usd&ids=bitcoin,ethereum"

func coinsOf(t *testing.T, e *exchange, path string) []coinMarket {
	t.Helper()
	response, body := e.get(t, path)
	var coins []coinMarket
	if err := json.Unmarshal([]byte(body), &coins); err != nil || response.StatusCode != 200 {
		t.Fatalf("%d %s: %v", response.StatusCode, body, err)
	}
	return coins
}

func TestCoinsFollowFromTheCandles(t *testing.T) {
	e := open(t, Config{})
	coins := coinsOf(t, e, bothCoins)
	// One price for both makes ether the larger one.
	if len(coins) != 2 || coins[0].ID != "ethereum" || coins[1].ID != "bitcoin" {
		t.Fatalf("%+v", coins)
	}
	ether, bitcoin := coins[0], coins[1]
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	now, _ := e.source.OpenCandle(series, startsAt)
	high, low, volume := now.High, now.Low, now.QuoteVolume.Value
	for _, candle := range e.source.Candles(series, market.TimeRange{Start: startsAt.Add(-24 * time.Hour), End: now.OpenTime}, 1000) {
		high, low, volume = max(high, candle.High), min(low, candle.Low), volume+candle.QuoteVolume.Value
	}
	days := e.source.Candles(market.Series{Symbol: "BTCUSDT", Interval: market.Day1}, market.TimeRange{End: startsAt}, 1e6)
	highest := slices.MaxFunc(days, func(a, b market.Candle) int { return int(100 * (a.High - b.High)) })
	lowest := slices.MinFunc(days, func(a, b market.Candle) int { return int(100 * (a.Low - b.Low)) })
	if bitcoin.Symbol != "btc" || bitcoin.CurrentPrice != now.Close || bitcoin.High24h != high || bitcoin.Low24h != low ||
		bitcoin.TotalVolume != math.Round(volume) || bitcoin.ATH != highest.High || bitcoin.ATL != lowest.Low ||
		bitcoin.ATHDate != highest.OpenTime.Format("2006-01-02")+"T00:00:00.000Z" || bitcoin.LastUpdated != "2024-05-17T12:20:00.250Z" {
		t.Errorf("%+v", bitcoin)
	}
	if bitcoin.MarketCap != math.Round(bitcoin.CurrentPrice*bitcoin.CirculatingSupply) || ether.MarketCapRank != 1 || bitcoin.MarketCapRank != 2 ||
		bitcoin.MaxSupply == nil || *bitcoin.MaxSupply != 21e6 || ether.MaxSupply != nil {
		t.Errorf("%+v\n%+v", bitcoin, ether)
	}

	e.clock.Add(48 * time.Hour)
	later := coinsOf(t, e, bothCoins)[1]
	if grown := later.CirculatingSupply - bitcoin.CirculatingSupply; grown != 900 {
		t.Errorf("%v coins in two days", grown)
	}
	if later.ATH < bitcoin.ATH || later.ATL > bitcoin.ATL {
		t.Errorf("the extremes shrank: %+v", later)
	}
	e.clock.Set(date("2017-08-20T00:00:00Z"))
	if early := coinsOf(t, e, bothCoins)[1]; early.ATHDate > "2017-08-21" {
		t.Errorf("an extreme of the future: %+v", early)
	}
	e.clock.Set(date("2017-08-01T00:00:00Z"))
	if coins := coinsOf(t, e, bothCoins); len(coins) != 0 {
		t.Errorf("before the listing: %+v", coins)
	}
}

func TestCoinsHaveCoinGeckosFields(t *testing.T) {
	e := open(t, Config{})
	_, body := e.get(t, bothCoins)
	fields := func(text string) []string {
		var coins []map[string]any
		if err := json.Unmarshal([]byte(text), &coins); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(coins[0]))
	}
	const sampleFile = "../../../shared/data/samples/coingecko-coins-markets.json"
	sample, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Skipf("no recorded answer to compare with: %v", err)
	}
	// It was asked for with price_change_percentage=24h, which adds this one.
	want := slices.DeleteFunc(fields(string(sample)), func(name string) bool { return name == "price_change_percentage_24h_in_currency" })
	if got := fields(body); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestCoinParameters(t *testing.T) {
	source := newPlainSource()
	source.pairs = append(source.pairs,
		Pair{Symbol: "BTCUSDC", Base: "BTC", Quote: "USDC", Listed: source.pairs[0].Listed},
		Pair{Symbol: "ABCUSDT", Base: "ABC", Quote: "USDT", Listed: source.pairs[0].Listed})
	e := open(t, Config{Source: source})
	for _, test := range []struct {
		query  string
		status int
		coins  int
	}{
		{"vs_currency=usd", 200, 3},
		{"vs_currency=usd&ids=abc,nothing&x_cg_demo_api_key=key", 200, 1},
		{"vs_currency=usd&ids=nothing", 200, 0},
		{"", 422, 0}, {"vs_currency=eur", 400, 0},
	} {
		response, body := e.get(t, coinsPath+"?"+test.query)
		if response.StatusCode != test.status || strings.Count(body, `"id"`) != test.coins {
			t.Errorf("%s: %d %s", test.query, response.StatusCode, body)
		}
	}
}

func TestCoinsHaveTheirOwnLimit(t *testing.T) {
	e := open(t, Config{})
	for k := range 31 {
		response, body := e.get(t, bothCoins)
		if want := map[bool]int{false: 200, true: 429}[k == 30]; response.StatusCode != want {
			t.Fatalf("call %d: %d %s", k+1, response.StatusCode, body)
		}
		if k == 30 && response.Header.Get("Retry-After") != "60" {
			t.Errorf("%v", response.Header)
		}
	}
	meter := e.Meter()
	if meter.Coins.Requests != 31 || meter.Coins.TooManyRequests != 1 || meter.Exchange.Requests != 0 {
		t.Errorf("%+v", meter)
	}
	if response, _ := e.get(t, "/api/v3/ping"); response.StatusCode != 200 {
		t.Error("CoinGecko's limit closed the exchange")
	}
	e.clock.Add(time.Minute)
	coinsOf(t, e, bothCoins)
}

func TestFaultsOfCoins(t *testing.T) {
	e := open(t, Config{Script: Script{Rules: []Rule{
		{On: Coins, Fault: ServerError, Status: 503},
		{On: Coins, Fault: WrongJSON},
		{On: Coins, Fault: TooManyRequests, Wait: 7 * time.Second},
	}}})
	for k, want := range []string{"503 ", "200 ", "429 7"} {
		response, _ := e.get(t, bothCoins)
		if got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("Retry-After")); got != want {
			t.Errorf("call %d: %q, want %q", k, got, want)
		}
	}
	e.clock.Add(time.Second)
	if response, _ := e.get(t, bothCoins); response.StatusCode != 429 || e.Meter().Coins.Violations != 1 {
		t.Errorf("within the pause: %d, %+v", response.StatusCode, e.Meter())
	}
}
