package timescale_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var _ history.CoinWriter = (*timescale.Database)(nil)

var bitcoin = market.Coin{
	ID: "bitcoin", Ticker: "BTC", Name: "Bitcoin", AsOf: newYear,
	Price: market.Some(42_283.58), MarketCap: market.Some(828_000_000_000.5), MarketCapRank: market.Some(int64(1)),
	FullyDilutedValuation: market.Some(888e9), Volume24h: market.Some(14e9), High24h: market.Some(42_800.0), Low24h: market.Some(42_100.25),
	PriceChange24h: market.Some(-0.125), CirculatingSupply: market.Some(19_580_000.0), TotalSupply: market.Some(19_580_001.0),
	MaxSupply: market.Some(21e6), AllTimeHigh: market.Some(69_045.0), AllTimeHighAt: market.Some(time.Date(2021, time.November, 10, 14, 24, 11, 849e6, time.UTC)),
	AllTimeLow: market.Some(67.81), AllTimeLowAt: market.Some(time.Date(2013, time.July, 6, 0, 0, 0, 0, time.UTC)),
}

func writeCoins(t *testing.T, d *timescale.Database, want int64, coins ...market.Coin) {
	t.Helper()
	if news, err := d.WriteCoins(t.Context(), coins); err != nil || news != want {
		t.Errorf("%d news, %v; want %d", news, err, want)
	}
}

func TestCoins(t *testing.T) {
	d := timescaletest.Open(t)
	if coins, err := d.Coins(t.Context()); err != nil || len(coins) != 0 {
		t.Errorf("of none: %+v, %v", coins, err)
	}
	later, ether := bitcoin, bitcoin
	later.AsOf, later.Price = newYear.Add(15*time.Minute), market.Some(43_000.0)
	ether.ID, ether.Ticker, ether.Name, ether.MarketCapRank = "ethereum", "ETH", "Ethereum", market.Some(int64(2))
	ether.MaxSupply = market.Optional[float64]{}
	bare := []market.Coin{{ID: "a-new-coin", Ticker: "NEW", Name: "New", AsOf: newYear}, {ID: "another", Ticker: "A", Name: "A", AsOf: newYear}}

	writeCoins(t, d, 5, bare[1], ether, later, bitcoin, bare[0])
	writeCoins(t, d, 0, later, bitcoin)
	coins, err := d.Coins(t.Context())
	if want := []market.Coin{later, ether, bare[0], bare[1]}; err != nil || !slices.Equal(coins, want) {
		t.Errorf("%+v, %v; want %+v", coins, err, want)
	}

	corrected := bitcoin
	corrected.MarketCapRank = market.Optional[int64]{}
	fetched := ask[time.Time](t, d, `SELECT fetched_at FROM coins WHERE coin_id = 'bitcoin' ORDER BY as_of`)
	writeCoins(t, d, 1, corrected, later)
	fetchedAgain := ask[time.Time](t, d, `SELECT fetched_at FROM coins WHERE coin_id = 'bitcoin' ORDER BY as_of`)
	if !fetchedAgain[0].After(fetched[0]) || fetchedAgain[1] != fetched[1] {
		t.Errorf("fetched at %v, then %v", fetched, fetchedAgain)
	}

	all := market.TimeRange{Start: newYear, End: later.AsOf.Add(1000)}
	for _, test := range []struct {
		r     market.TimeRange
		limit int
		want  []market.Coin
	}{
		{all, 10, []market.Coin{corrected, later}},
		{all, 1, []market.Coin{corrected}},
		{market.TimeRange{Start: newYear, End: later.AsOf}, 10, []market.Coin{corrected}},
		{days(3, 4), 10, nil},
		{all, 0, nil},
	} {
		if got, err := d.CoinHistory(t.Context(), "bitcoin", test.r, test.limit); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("of %v, at most %d: %+v, %v; want %+v", test.r, test.limit, got, err, test.want)
		}
	}
	if _, err := d.CoinHistory(t.Context(), "dogecoin", all, 10); market.ErrorCode(err) != market.NotFound {
		t.Errorf("of an unknown one: %v", err)
	}
}

func TestCoinsAreStoredAllOrNone(t *testing.T) {
	d := timescaletest.Open(t)
	bad := bitcoin
	bad.ID = "zero\x00"
	if news, err := d.WriteCoins(t.Context(), []market.Coin{bitcoin, bad}); err == nil || news != 0 {
		t.Errorf("%d news, %v", news, err)
	}
	if coins, err := d.Coins(t.Context()); err != nil || len(coins) != 0 {
		t.Errorf("left behind: %+v, %v", coins, err)
	}
}

// Every field must be stored: one that is forgotten would come back absent.
func TestEveryFieldOfACoinIsGivenInTheTests(t *testing.T) {
	value := reflect.ValueOf(bitcoin)
	for k := range value.NumField() {
		if value.Field(k).IsZero() {
			t.Errorf("%s is not", value.Type().Field(k).Name)
		}
	}
}
