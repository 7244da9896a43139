package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// wholeCoin is a coin with every field.
func wholeCoin(asOf time.Time) market.Coin {
	elsewhere := time.FixedZone("", 2*3600)
	return market.Coin{
		ID: "bitcoin", Ticker: "BTC", Name: "Bitcoin", AsOf: asOf.In(elsewhere),
		Price: market.Some(67291.0), MarketCap: market.Some(1344758503096.0), MarketCapRank: market.Some(int64(1)),
		FullyDilutedValuation: market.Some(1344764624580.0), Volume24h: market.Some(35362913158.0),
		High24h: market.Some(69088.0), Low24h: market.Some(66725.0), PriceChange24h: market.Some(-0.32893),
		CirculatingSupply: market.Some(19990746.0), TotalSupply: market.Some(19990837.0), MaxSupply: market.Some(21000000.0),
		AllTimeHigh: market.Some(126080.0), AllTimeHighAt: market.Some(day1.In(elsewhere)),
		AllTimeLow: market.Some(67.81), AllTimeLowAt: market.Some(day1.AddDate(-10, 0, 0)),
	}
}

const (
	wholeJSON = `"id":"bitcoin","ticker":"BTC","name":"Bitcoin","as_of":"2024-03-01T00:00:00Z","price":67291,` +
		`"market_cap":1344758503096,"market_cap_rank":1,"fully_diluted_valuation":1344764624580,"volume_24h":35362913158,` +
		`"high_24h":69088,"low_24h":66725,"price_change_24h":-0.32893,"circulating_supply":19990746,"total_supply":19990837,` +
		`"max_supply":21000000,"all_time_high":126080,"all_time_high_at":"2024-03-01T00:00:00Z","all_time_low":67.81,` +
		`"all_time_low_at":"2014-03-01T00:00:00Z"`
	bareJSON = `"id":"ethereum","ticker":"ETH","name":"Ethereum","as_of":"2024-03-01T00:00:00Z","price":null,` +
		`"market_cap":null,"market_cap_rank":null,"fully_diluted_valuation":null,"volume_24h":null,` +
		`"high_24h":null,"low_24h":null,"price_change_24h":null,"circulating_supply":null,"total_supply":null,` +
		`"max_supply":null,"all_time_high":null,"all_time_high_at":null,"all_time_low":null,"all_time_low_at":null`
)

func TestCoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(day1.Add(90*time.Second + 7)))
		f := newService(3)
		f.coins = []market.Coin{wholeCoin(day1), {ID: "ethereum", Ticker: "ETH", Name: "Ethereum", AsOf: day1}}
		s := serveFake(t, f)
		for target, want := range map[string]string{
			"/v1/coins": `{"coins":[{` + wholeJSON + `,"age_seconds":90,"stale":false},{` +
				bareJSON + `,"age_seconds":90,"stale":false}]}`,
			"/v1/coins/bitcoin":  `{` + wholeJSON + `,"age_seconds":90,"stale":false}`,
			"/v1/coins/ethereum": `{` + bareJSON + `,"age_seconds":90,"stale":false}`,
		} {
			if a := s.get(t, target); a.status != http.StatusOK || a.body != want+"\n" {
				t.Errorf("%s: status %d\n%s\nwant\n%s", target, a.status, a.body, want)
			}
		}
		<-time.After(time.Until(day1.Add(time.Hour)))
		for _, stale := range []bool{false, true} {
			if got := decode[coin](t, s.get(t, "/v1/coins/bitcoin"), http.StatusOK); got.Stale != stale || got.AgeSeconds < 3600 {
				t.Errorf("%d seconds old: stale is %t", got.AgeSeconds, got.Stale)
			}
			<-time.After(time.Second)
		}
	})
}

func TestCoinsThatAreNotKnown(t *testing.T) {
	f := newService(3)
	s := serveFake(t, f)
	if a := s.get(t, "/v1/coins"); a.body != `{"coins":[]}`+"\n" {
		t.Errorf("with nothing stored: %s", a.body)
	}
	got := decode[problem](t, s.get(t, "/v1/coins/bitcoin"), http.StatusNotFound)
	if !strings.Contains(got.Detail, "cryptoboat coins") {
		t.Errorf("with nothing stored: %+v", got)
	}
	f.coins = []market.Coin{wholeCoin(day1), {ID: "ethereum", Ticker: "ETH", Name: "Ethereum", AsOf: day1}}
	decode[problem](t, s.get(t, "/v1/coins/dogecoin/history"), http.StatusNotFound)
	for _, target := range []string{"/v1/coins/dogecoin", "/v1/coins/BITCOIN"} {
		got := decode[problem](t, s.get(t, target), http.StatusNotFound)
		if !strings.Contains(got.Detail, "ask for one of bitcoin, ethereum") {
			t.Errorf("%s: %+v", target, got)
		}
	}
	for _, target := range []string{"/v1/coins/bit%20coin", "/v1/coins/" + strings.Repeat("a", 101), "/v1/coins/%3Cscript%3E/history"} {
		got := decode[problem](t, s.get(t, target), http.StatusUnprocessableEntity)
		if len(got.Errors) != 1 || got.Errors[0].Location != "path.id" {
			t.Errorf("%s: %+v", target, got)
		}
	}
}

func TestCoinHistory(t *testing.T) {
	f := newService(3)
	f.coins = []market.Coin{wholeCoin(day1)}
	for k := range 5 {
		// Not on a second, as the source's own instants are not.
		f.coinHistory = append(f.coinHistory, wholeCoin(day1.Add(time.Duration(k)*time.Hour+631*time.Millisecond)))
	}
	s := serveFake(t, f)
	const target = "/v1/coins/bitcoin/history"
	first := s.get(t, target+"?limit=1")
	if want := `{"history":[{` + strings.Replace(wholeJSON, "2024-03-01T00:00:00Z", "2024-03-01T00:00:00.631Z", 1) +
		`}],"next_cursor":"` + cursorText(coinKey{microsecondsOf(f.coinHistory[0].AsOf)}) + `"}` + "\n"; first.body != want {
		t.Errorf("got %s\nwant %s", first.body, want)
	}

	// All pages together are the whole.
	var hours []int
	pages := 0
	for next := ""; ; pages++ {
		page := decode[coinHistory](t, s.get(t, target+"?limit=2"+next), http.StatusOK)
		for _, state := range page.History {
			hours = append(hours, state.AsOf.Hour())
		}
		if page.NextCursor == nil {
			break
		}
		next = "&cursor=" + *page.NextCursor
	}
	if pages != 2 || !slices.Equal(hours, []int{0, 1, 2, 3, 4}) {
		t.Errorf("%d pages before the last one, in all %v", pages, hours)
	}

	for query, want := range map[string]int{
		"": 5, "?limit=5": 5,
		"?start=2024-03-01T01:00:00Z":                               4,
		"?start=2024-03-01T01:00:00Z&end=2024-03-01T03:00:00.631Z":  2,
		"?end=1709251200000":                                        0,
		"?start=2024-03-01T01:00:00Z&end=2024-03-01T01:00:00Z":      0,
		fmt.Sprintf("?start=%d", day1.Add(2*time.Hour).UnixMilli()): 3,
	} {
		page := decode[coinHistory](t, s.get(t, target+query), http.StatusOK)
		if len(page.History) != want || page.History == nil || page.NextCursor != nil {
			t.Errorf("%q: got %d entries, next %v, want %d", query, len(page.History), page.NextCursor, want)
		}
	}
	for query, location := range map[string]string{
		"?start=2024-03-02T00:00:00Z&end=2024-03-01T00:00:00Z": "query.end",
		"?limit=0": "query.limit", "?limit=1001": "query.limit", "?start=now": "query.start", "?cursor=x": "query.cursor",
	} {
		got := decode[problem](t, s.get(t, target+query), http.StatusUnprocessableEntity)
		if len(got.Errors) != 1 || got.Errors[0].Location != location {
			t.Errorf("%q: %+v", query, got)
		}
	}
}
