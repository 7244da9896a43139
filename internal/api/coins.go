package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// coinID is a coin's name at the source, as a client writes it.
type coinID string

// Schema describes the parameter, for Huma.
func (coinID) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: "^[A-Za-z0-9._-]{1,100}$",
		PatternDescription: "up to 100 letters, digits, dots, hyphens and underscores, such as bitcoin",
		Description:        "The coin under CoinGecko's name for it, which is case-sensitive.", Examples: []any{"bitcoin"},
	}
}

type coinInput struct {
	ID coinID `path:"id"`
}

type coinHistoryInput struct {
	ID    coinID  `path:"id"`
	Start instant `query:"start" doc:"Earliest as_of, included: RFC 3339 or epoch milliseconds. Without it, from the oldest on."`
	End   instant `query:"end" doc:"Latest as_of, not included: RFC 3339 or epoch milliseconds. Without it, up to the newest."`
	Limit int     `query:"limit" default:"500" minimum:"1" maximum:"1000" doc:"Most entries in an answer."`
	Page[coinKey]
}

type coinList struct {
	Coins []coin `json:"coins" doc:"The largest by market cap first; those without a rank last, by id."`
}

type coinHistory struct {
	History    []CoinState `json:"history" doc:"Oldest first."`
	NextCursor *string     `json:"next_cursor" doc:"Give it as cursor for the next page; null where there is none."`
}

// coin is what is known of a coin now.
type coin struct {
	CoinState
	AgeSeconds int64 `json:"age_seconds" doc:"Whole seconds since as_of."`
	Stale      bool  `json:"stale" doc:"Whether as_of is more than an hour ago: newer characteristics are missing."`
}

// CoinState is what was known of a coin as of an instant. It is exported for
// Huma, which passes over the fields of an embedded type that is not.
type CoinState struct {
	ID                    string     `json:"id" example:"bitcoin" doc:"CoinGecko's name for the coin."`
	Ticker                string     `json:"ticker" example:"BTC" doc:"In capitals; not unique among all coins."`
	Name                  string     `json:"name" example:"Bitcoin"`
	AsOf                  time.Time  `json:"as_of" doc:"When CoinGecko last changed any of this."`
	Price                 *float64   `json:"price" doc:"In US dollars, as all amounts of money here, over many exchanges. Null where not published, as all that follows."`
	MarketCap             *float64   `json:"market_cap" doc:"Price times circulating supply, in US dollars."`
	MarketCapRank         *int64     `json:"market_cap_rank" doc:"Place among all coins by market cap, 1 being the largest."`
	FullyDilutedValuation *float64   `json:"fully_diluted_valuation" doc:"Price times all coins that there will be, in US dollars."`
	Volume24h             *float64   `json:"volume_24h" doc:"Traded in the 24 hours before as_of, in US dollars."`
	High24h               *float64   `json:"high_24h" doc:"Highest price of those 24 hours, in US dollars."`
	Low24h                *float64   `json:"low_24h" doc:"Lowest price of those 24 hours, in US dollars."`
	PriceChange24h        *float64   `json:"price_change_24h" doc:"Change of the price over those 24 hours, in percent."`
	CirculatingSupply     *float64   `json:"circulating_supply" doc:"Coins in circulation."`
	TotalSupply           *float64   `json:"total_supply" doc:"Coins that exist."`
	MaxSupply             *float64   `json:"max_supply" doc:"Coins that there will ever be; null for a coin without a bound, such as ether."`
	AllTimeHigh           *float64   `json:"all_time_high" doc:"In US dollars."`
	AllTimeHighAt         *time.Time `json:"all_time_high_at" doc:"When it was reached."`
	AllTimeLow            *float64   `json:"all_time_low" doc:"In US dollars."`
	AllTimeLowAt          *time.Time `json:"all_time_low_at" doc:"When it was reached."`
}

func registerCoins(api huma.API, c Coins, now func() time.Time) {
	register(api, huma.Operation{
		OperationID: "list-coins", Method: http.MethodGet, Path: "/v1/coins", Tags: []string{"market"}, Security: open,
		Summary:     "List coins",
		Description: "What is known of each coin as of the newest instant: market cap, supplies, extremes. It is served even when it is stale, and says so.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body coinList }, error) {
		return listCoins(ctx, c, now)
	})
	register(api, huma.Operation{
		OperationID: "get-coin", Method: http.MethodGet, Path: "/v1/coins/{id}", Tags: []string{"market"}, Security: open,
		Summary:     "Get coin",
		Description: "What is known of a coin as of the newest instant. It is served even when it is stale, and says so.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *coinInput) (*struct{ Body coin }, error) {
		known, err := coinByID(ctx, c, string(input.ID))
		if err != nil {
			return nil, err
		}
		return &struct{ Body coin }{coinOf(known, now())}, nil
	})
	register(api, huma.Operation{
		OperationID: "get-coin-history", Method: http.MethodGet, Path: "/v1/coins/{id}/history", Tags: []string{"market"}, Security: open,
		Summary:     "Get a coin's history",
		Description: "What was known of a coin as of the instants from start to end, oldest first. There is an entry for each time that it was asked for and had changed.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *coinHistoryInput) (*listed[coinHistory], error) {
		return coinHistoryOf(ctx, c, input)
	})
}

func listCoins(ctx context.Context, c Coins, now func() time.Time) (*struct{ Body coinList }, error) {
	coins, err := c.Coins(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing coins: %w", err)
	}
	list := coinList{Coins: []coin{}}
	for _, known := range coins {
		list.Coins = append(list.Coins, coinOf(known, now()))
	}
	return &struct{ Body coinList }{list}, nil
}

// coinByID returns the newest state of a coin, or a NotFound error that says
// which coins there are.
func coinByID(ctx context.Context, c Coins, id string) (market.Coin, error) {
	coins, err := c.Coins(ctx)
	if err != nil {
		return market.Coin{}, fmt.Errorf("looking up the coin %s: %w", id, err)
	}
	var ids []string
	for _, known := range coins {
		if known.ID == id {
			return known, nil
		}
		ids = append(ids, known.ID)
	}
	if len(ids) == 0 {
		return market.Coin{}, market.Errorf(market.NotFound, "nothing is known of any coin yet: run cryptoboat coins")
	}
	return market.Coin{}, market.Errorf(market.NotFound, "nothing is known of the coin %s: ask for one of %s", id, strings.Join(ids, ", "))
}

func coinHistoryOf(ctx context.Context, c Coins, input *coinHistoryInput) (*listed[coinHistory], error) {
	id, r := string(input.ID), market.TimeRange{Start: time.Time(input.Start), End: time.Time(input.End)}
	switch {
	case input.Cursor.given:
		r.Start = (input.Cursor.after.AsOf + 1).time()
	case r.Start.IsZero():
		r.Start = earliest
	}
	if r.End.IsZero() {
		r.End = latest
	}
	if r.End.Before(r.Start) {
		return nil, invalid(ctx, "query.end", "expected an instant that is not before start or cursor")
	}
	states, err := c.CoinHistory(ctx, id, r, input.Limit+1)
	if err != nil {
		return nil, fmt.Errorf("reading the history of the coin %s: %w", id, err)
	}
	answer := &listed[coinHistory]{Body: coinHistory{History: []CoinState{}}}
	states, answer.Body.NextCursor, answer.Link = endPage(&input.Page, states, input.Limit, coinKeyOf)
	for _, state := range states {
		answer.Body.History = append(answer.Body.History, coinStateOf(state))
	}
	return answer, nil
}

func coinOf(c market.Coin, now time.Time) coin {
	return coin{
		CoinState:  coinStateOf(c),
		AgeSeconds: int64(now.Sub(c.AsOf) / time.Second),
		Stale:      c.Stale(now),
	}
}

func coinStateOf(c market.Coin) CoinState {
	return CoinState{
		ID: c.ID, Ticker: c.Ticker, Name: c.Name, AsOf: c.AsOf.UTC(),
		Price: orNull(c.Price), MarketCap: orNull(c.MarketCap), MarketCapRank: orNull(c.MarketCapRank),
		FullyDilutedValuation: orNull(c.FullyDilutedValuation), Volume24h: orNull(c.Volume24h),
		High24h: orNull(c.High24h), Low24h: orNull(c.Low24h), PriceChange24h: orNull(c.PriceChange24h),
		CirculatingSupply: orNull(c.CirculatingSupply), TotalSupply: orNull(c.TotalSupply), MaxSupply: orNull(c.MaxSupply),
		AllTimeHigh: orNull(c.AllTimeHigh), AllTimeHighAt: instantOrNull(c.AllTimeHighAt),
		AllTimeLow: orNull(c.AllTimeLow), AllTimeLowAt: instantOrNull(c.AllTimeLowAt),
	}
}

// orNull returns what encoding/json writes as null where v is absent.
func orNull[T any](v market.Optional[T]) *T {
	if !v.Valid {
		return nil
	}
	return &v.Value
}

// instantOrNull is orNull for an instant, in UTC.
func instantOrNull(t market.Optional[time.Time]) *time.Time {
	t.Value = t.Value.UTC()
	return orNull(t)
}
