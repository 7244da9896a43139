package coingecko

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// sampled is shortly after the recorded answer was taken.
var sampled = time.Date(2026, time.February, 17, 15, 57, 0, 0, time.UTC)

func recordedAnswer(t testing.TB) []byte {
	t.Helper()
	body, err := os.ReadFile("../../../shared/data/samples/coingecko-coins-markets.json")
	if os.IsNotExist(err) {
		t.Skip("the recorded answer is not on this machine")
	}
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestDecodeRecordedAnswer(t *testing.T) {
	coins, err := decodeMarkets(recordedAnswer(t), []string{"ethereum", "bitcoin"}, sampled)
	if err != nil {
		t.Fatal(err)
	}
	want := market.Coin{
		ID: "bitcoin", Ticker: "BTC", Name: "Bitcoin",
		AsOf:  time.Date(2026, time.February, 17, 15, 56, 31, 631e6, time.UTC),
		Price: market.Some(67291.0), MarketCap: market.Some(1344758503096.0), MarketCapRank: market.Some(int64(1)),
		FullyDilutedValuation: market.Some(1344764624580.0), Volume24h: market.Some(35362913158.0),
		High24h: market.Some(69088.0), Low24h: market.Some(66725.0), PriceChange24h: market.Some(-0.32893),
		CirculatingSupply: market.Some(19990746.0), TotalSupply: market.Some(19990837.0), MaxSupply: market.Some(21000000.0),
		AllTimeHigh: market.Some(126080.0), AllTimeHighAt: market.Some(time.Date(2025, time.October, 6, 18, 57, 42, 558e6, time.UTC)),
		AllTimeLow: market.Some(67.81), AllTimeLowAt: market.Some(time.Date(2013, time.July, 6, 0, 0, 0, 0, time.UTC)),
	}
	if len(coins) != 1 || coins[0] != want {
		t.Errorf("got %+v\nwant %+v", coins, want)
	}
}

func TestDecodeWhatIsNotPublished(t *testing.T) {
	const names = `"id":"ethereum","symbol":"eth","name":"Ethereum","last_updated":"2026-02-17T16:56:31+01:00"`
	want := market.Coin{
		ID: "ethereum", Ticker: "ETH", Name: "Ethereum", AsOf: time.Date(2026, time.February, 17, 15, 56, 31, 0, time.UTC),
	}
	for name, fields := range map[string]string{
		"missing": "",
		"null": `,"current_price":null,"market_cap":null,"market_cap_rank":null,"fully_diluted_valuation":null,"total_volume":null,` +
			`"high_24h":null,"low_24h":null,"price_change_percentage_24h":null,"circulating_supply":null,"total_supply":null,` +
			`"max_supply":null,"ath":null,"ath_date":null,"atl":null,"atl_date":null`,
		"a price of nothing": `,"current_price":0,"high_24h":0.0,"low_24h":-0,"ath":0,"atl":0`,
		"new fields":         `,"image":"https://example.org/x.png","roi":{"times":41.8},"sparkline":[1,2]`,
	} {
		coins, err := decodeMarkets([]byte("[{"+names+fields+"}]"), []string{"ethereum"}, sampled)
		if err != nil || len(coins) != 1 || coins[0] != want {
			t.Errorf("%s: got %+v, %v", name, coins, err)
		}
	}
	// An amount of nothing is one, other than a price.
	coins, err := decodeMarkets([]byte("[{"+names+`,"total_volume":0,"price_change_percentage_24h":0}]`), []string{"ethereum"}, sampled)
	if err != nil || len(coins) != 1 || coins[0].Volume24h != market.Some(0.0) || coins[0].PriceChange24h != market.Some(0.0) {
		t.Errorf("a volume of 0: got %+v, %v", coins, err)
	}
	if coins, err := decodeMarkets([]byte("[]"), []string{"ethereum"}, sampled); err != nil || len(coins) != 0 {
		t.Errorf("an unknown coin: got %+v, %v", coins, err)
	}
}

func TestDecodeCleansForeignText(t *testing.T) {
	long := strings.Repeat("Ether ", 100)
	body := `[{"id":"ethereum","symbol":" e\u0000t\u200bh\n","name":"E\u202eth\u001b[31m ` + long + `","last_updated":"2026-02-17T15:56:31Z"}]`
	coins, err := decodeMarkets([]byte(body), []string{"ethereum"}, sampled)
	if err != nil {
		t.Fatal(err)
	}
	name := coins[0].Name
	if coins[0].Ticker != "ETH" || !strings.HasPrefix(name, "Eth[31m Ether ") || len([]rune(name)) > maxTextLength {
		t.Errorf("got %q, %q", coins[0].Ticker, name)
	}
}

// good is a whole coin in which tests replace parts.
const good = `{"id":"bitcoin","symbol":"btc","name":"Bitcoin","current_price":67291,"market_cap":1344758503096,"market_cap_rank":1,` +
	`"fully_diluted_valuation":1344764624580,"total_volume":35362913158,"high_24h":69088,"low_24h":66725,` +
	`"price_change_percentage_24h":-0.32893,"circulating_supply":19990746.0,"total_supply":19990837.0,"max_supply":21000000.0,` +
	`"ath":126080,"ath_date":"2025-10-06T18:57:42.558Z","atl":67.81,"atl_date":"2013-07-06T00:00:00.000Z",` +
	`"last_updated":"2026-02-17T15:56:31.631Z"}`

func TestDecodeRefusesNonsense(t *testing.T) {
	if _, err := decodeMarkets([]byte("["+good+"]"), []string{"bitcoin"}, sampled); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ old, new, want string }{
		"no array":             {"[" + good + "]", good, "expected an array of coins, got object"},
		"null":                 {"[" + good + "]", "null", "expected an array of coins, got null"},
		"an error":             {"[" + good + "]", `{"status":{"error_code":10002,"error_message":"API Key Missing"}}`, "expected an array"},
		"a page":               {"[" + good + "]", "<!DOCTYPE html>", "not JSON"},
		"nothing":              {"[" + good + "]", "", "not JSON"},
		"cut short":            {"]", "", "not JSON"},
		"something after":      {"]", "][]", "not JSON"},
		"an array of numbers":  {good, "1", "expected an array of coins, got number"},
		"an empty coin":        {good, "{}", "coin 1: id is missing"},
		"a null coin":          {good, "null", "coin 1: id is missing"},
		"id null":              {`"id":"bitcoin"`, `"id":null`, "id is missing"},
		"id empty":             {`"id":"bitcoin"`, `"id":""`, "id is missing"},
		"id a number":          {`"id":"bitcoin"`, `"id":7`, "id is of the wrong type"},
		"another coin":         {`"id":"bitcoin"`, `"id":"dogecoin"`, `"dogecoin" was not asked for`},
		"id with a NUL":        {`"id":"bitcoin"`, `"id":"bit\u0000coin"`, "was not asked for"},
		"twice":                {good, good + "," + good, `coin 2: "bitcoin" is there twice`},
		"symbol missing":       {`"symbol":"btc",`, "", "symbol is missing"},
		"name of nothing":      {`"name":"Bitcoin"`, `"name":"\u0000 \u200b"`, "name is missing"},
		"as of missing":        {`,"last_updated":"2026-02-17T15:56:31.631Z"`, "", "last_updated is missing"},
		"as of null":           {`"last_updated":"2026-02-17T15:56:31.631Z"`, `"last_updated":null`, "last_updated is missing"},
		"as of another format": {`"last_updated":"2026-02-17T15:56:31.631Z"`, `"last_updated":"17 Feb 2026"`, `last_updated is "17 Feb 2026": expected RFC 3339`},
		"as of a number":       {`"last_updated":"2026-02-17T15:56:31.631Z"`, `"last_updated":1771343791`, "last_updated is of the wrong type"},
		"as of the future":     {`"last_updated":"2026-02-17T15:56:31.631Z"`, `"last_updated":"2027-02-17T15:56:31.631Z"`, "last_updated is 2027"},
		"as of the first year": {`"last_updated":"2026-02-17T15:56:31.631Z"`, `"last_updated":"0001-01-01T00:00:00Z"`, "last_updated is 0001"},
		"high of no date":      {`2025-10-06T18:57:42.558Z`, `yesterday`, "ath_date is"},
		"low of no date":       {`2013-07-06T00:00:00.000Z`, ``, "atl_date is"},
		"price negative":       {`67291`, `-67291`, "current_price is -67291: expected 0 to 1e+18"},
		"price absurd":         {`67291`, `1e19`, "current_price is 1e+19"},
		"price beyond float64": {`67291`, `1e400`, "current_price is of the wrong type"},
		"price as text":        {`67291`, `"67291"`, "current_price is of the wrong type"},
		"price not a number":   {`67291`, `NaN`, "not JSON"},
		"cap negative":         {`1344758503096`, `-1`, "market_cap is -1"},
		"rank 0":               {`"market_cap_rank":1`, `"market_cap_rank":0`, "market_cap_rank is 0: expected 1 to 1000000"},
		"rank broken":          {`"market_cap_rank":1`, `"market_cap_rank":1.5`, "market_cap_rank is of the wrong type"},
		"valuation absurd":     {`1344764624580`, `1e30`, "fully_diluted_valuation is 1e+30"},
		"volume negative":      {`35362913158`, `-1`, "total_volume is -1"},
		"change below all":     {`-0.32893`, `-100.1`, "price_change_percentage_24h is -100.1"},
		"supply negative":      {`19990746.0`, `-1`, "circulating_supply is -1"},
		"supply absurd":        {`19990837.0`, `1e25`, "total_supply is 1e+25"},
		"limit negative":       {`21000000.0`, `-21000000`, "max_supply is"},
		"high below low":       {`69088`, `66724`, "high_24h is below low_24h"},
		"records crossed":      {`126080`, `67`, "ath is below atl"},
	} {
		body := strings.Replace("["+good+"]", test.old, test.new, 1)
		if body == "["+good+"]" {
			t.Errorf("%s: nothing was replaced", name)
		}
		coins, err := decodeMarkets([]byte(body), []string{"bitcoin"}, sampled)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v, %v, want an error with %q", name, coins, err, test.want)
		}
	}
}

// FuzzDecodeMarkets asserts of any bytes whatever: they are refused with a short
// message, or every coin was asked for and holds nothing absurd.
func FuzzDecodeMarkets(f *testing.F) {
	for _, seed := range []string{
		"[" + good + "]", "[]", "null", "{}", "[null]", `[{"id":"bitcoin"}]`, `{"status":{"error_code":429}}`,
		strings.Replace("["+good+"]", "67291", "1e308", 1),
		strings.Replace("["+good+"]", "Bitcoin", `\ud800\u202e`, 1),
	} {
		f.Add([]byte(seed))
	}
	ids := []string{"bitcoin", "ethereum"}
	f.Fuzz(func(t *testing.T, body []byte) {
		coins, err := decodeMarkets(body, ids, sampled)
		if err != nil {
			if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\x00\n\x1b") {
				t.Fatalf("message %q", err)
			}
			return
		}
		if len(coins) > len(ids) || len(coins) > bytes.Count(body, []byte("{")) {
			t.Fatalf("%d coins", len(coins))
		}
		for _, c := range coins {
			if c.ID != "bitcoin" && c.ID != "ethereum" || c.Ticker == "" || c.Name == "" ||
				c.AsOf.Before(firstCoin) || c.AsOf.After(sampled.Add(clockSkew)) || c.AsOf.Location() != time.UTC {
				t.Fatalf("got %+v", c)
			}
			for _, price := range []market.Optional[float64]{c.Price, c.High24h, c.Low24h, c.AllTimeHigh, c.AllTimeLow} {
				if price.Valid && !(price.Value > 0 && price.Value <= maxDollars) {
					t.Fatalf("got %+v", c)
				}
			}
			for _, amount := range []market.Optional[float64]{
				c.MarketCap, c.FullyDilutedValuation, c.Volume24h, c.CirculatingSupply, c.TotalSupply, c.MaxSupply,
			} {
				if amount.Valid && !(amount.Value >= 0 && amount.Value <= maxSupply) {
					t.Fatalf("got %+v", c)
				}
			}
		}
	})
}
