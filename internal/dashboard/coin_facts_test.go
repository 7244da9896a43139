package dashboard

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestCoinCard(t *testing.T) {
	dependencies := month()
	handler := newHandler(t, dependencies)
	response := get(handler, "/BTCUSDT/15m")
	expect(t, response, http.StatusOK,
		"Name Bitcoin (BTC)", "Rank by market cap 1", "Market cap 2,130,419,876,543 USD",
		"Circulating supply 19,885,721 BTC", "Maximum supply 21,000,000 BTC",
		"All-time high 111,814.5 USD 2025-05-22", "As of 2025-06-30 23:40 UTC 25 minutes ago")
	if strings.Contains(readable(response.Body.String()), "Stale") {
		t.Error("a coin of 25 minutes ago is said to be stale")
	}
	// What is not published is not zero.
	expect(t, get(handler, "/ETHUSDT/15m"), http.StatusOK,
		"Name Ethereum (ETH)", "Rank by market cap not published", "Market cap not published",
		"Circulating supply 120,718,124 ETH", "Maximum supply not published", "All-time high not published As of")

	dependencies.Now = func() time.Time { return midnight.Add(41 * time.Minute) }
	expect(t, get(newHandler(t, dependencies), "/BTCUSDT/15m"), http.StatusOK, "Coin Stale: as of 61 minutes ago")
}

func TestNoCoinCard(t *testing.T) {
	for name, coins := range map[string][]market.Coin{
		"nothing stored": nil,
		"another coin":   {{ID: "ethereum", Ticker: "ETH", Name: "Ethereum", AsOf: midnight}},
	} {
		dependencies := only(bitcoin, randomWalk(bitcoin, 200))
		dependencies.Coins = fakeCoins{coins: coins}
		response := get(newHandler(t, dependencies), "/BTCUSDT/15m")
		expect(t, response, http.StatusOK, "Candles shown 200")
		if strings.Contains(response.Body.String(), `id="coin"`) {
			t.Errorf("%s: the page has a card of a coin", name)
		}
	}
}

func TestFailedCoinLeavesTheCandles(t *testing.T) {
	var log bytes.Buffer
	dependencies := only(bitcoin, randomWalk(bitcoin, 200))
	dependencies.Coins = fakeCoins{err: errors.New("password=hunter2")}
	dependencies.Log = slog.New(slog.NewTextHandler(&log, nil))
	response := get(newHandler(t, dependencies), "/BTCUSDT/15m")
	expect(t, response, http.StatusOK, "Candles shown 200",
		"The coin could not be read. The service’s log has its cause under ID test-request.")
	if strings.Contains(response.Body.String(), "hunter2") || !strings.Contains(log.String(), "hunter2") {
		t.Errorf("the error is not in the log alone: %s", log.String())
	}
}

func TestBaseOf(t *testing.T) {
	coin := func(id, ticker string, marketCap float64) market.Coin {
		return market.Coin{ID: id, Ticker: ticker, MarketCap: market.Some(marketCap)}
	}
	coins := []market.Coin{
		coin("nameless", "", 9e12), coin("bit", "B", 9e12), coin("bitcoin-copy", "BTC", 5),
		coin("bitcoin", "BTC", 2e12), {ID: "bitcoin-unknown", Ticker: "BTC"}, coin("tether", "USDT", 1e11), coin("pair", "ETHUSDT", 1),
	}
	for symbol, want := range map[market.Symbol]string{
		"BTCUSDT": "bitcoin", "BTC": "bit", "BNBUSDT": "bit", "USDTBTC": "tether", "ETHUSDT": "", "XBTC": "",
	} {
		base, known := baseOf(symbol, coins)
		if base.ID != want || known != (want != "") {
			t.Errorf("%s: got %q, %t, want %q", symbol, base.ID, known, want)
		}
	}
}

func TestFormatShortest(t *testing.T) {
	for value, want := range map[float64]string{
		126080: "126,080", 111814.5: "111,814.5", 0.00001234: "0.00001234", 67.81: "67.81",
	} {
		if got := formatShortest(value); got != want {
			t.Errorf("formatShortest(%v) = %q, want %q", value, got, want)
		}
	}
}
