package coingecko

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Bounds far beyond any coin. What lies outside is an error of the source.
const (
	maxDollars = 1e18
	maxSupply  = 1e24
	maxRank    = 1e6
	maxPercent = 1e9

	maxIDLength   = 100 // bytes
	maxTextLength = 100 // characters of a name or ticker

	// clockSkew is how far CoinGecko's clock may be ahead of ours.
	clockSkew = 24 * time.Hour
)

// firstCoin is when the oldest coin came to be; nothing is known as of earlier.
var firstCoin = time.Date(2009, time.January, 3, 0, 0, 0, 0, time.UTC)

// marketRow is an element of the answer of /coins/markets. What is null or
// missing is nil.
type marketRow struct {
	ID                    *string  `json:"id"`
	Symbol                *string  `json:"symbol"`
	Name                  *string  `json:"name"`
	LastUpdated           *string  `json:"last_updated"`
	CurrentPrice          *float64 `json:"current_price"`
	MarketCap             *float64 `json:"market_cap"`
	MarketCapRank         *int64   `json:"market_cap_rank"`
	FullyDilutedValuation *float64 `json:"fully_diluted_valuation"`
	TotalVolume           *float64 `json:"total_volume"`
	High24h               *float64 `json:"high_24h"`
	Low24h                *float64 `json:"low_24h"`
	PriceChangePercent24h *float64 `json:"price_change_percentage_24h"`
	CirculatingSupply     *float64 `json:"circulating_supply"`
	TotalSupply           *float64 `json:"total_supply"`
	MaxSupply             *float64 `json:"max_supply"`
	AllTimeHigh           *float64 `json:"ath"`
	AllTimeHighDate       *string  `json:"ath_date"`
	AllTimeLow            *float64 `json:"atl"`
	AllTimeLowDate        *string  `json:"atl_date"`
}

// decodeMarkets returns the coins of an answer to a question for ids, each
// valid. Its errors hold no more of the answer than a few quoted characters.
func decodeMarkets(body []byte, ids []string, now time.Time) ([]market.Coin, error) {
	var rows []marketRow
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, decodeError(err)
	}
	if rows == nil {
		return nil, errors.New("expected an array of coins, got null")
	}
	coins := make([]market.Coin, 0, len(rows))
	seen := make(map[string]bool, len(rows))
	for k, row := range rows {
		coin, err := row.coin(now)
		switch {
		case err != nil:
			return nil, fmt.Errorf("coin %d: %w", k+1, err)
		case !slices.Contains(ids, coin.ID):
			return nil, fmt.Errorf("coin %d: %s was not asked for", k+1, quote(coin.ID))
		case seen[coin.ID]:
			return nil, fmt.Errorf("coin %d: %s is there twice", k+1, quote(coin.ID))
		}
		seen[coin.ID] = true
		coins = append(coins, coin)
	}
	return coins, nil
}

// decodeError says what is wrong with JSON in words of the format.
func decodeError(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return fmt.Errorf("expected an array of coins, got %s", clip(wrong.Value))
		}
		return fmt.Errorf("%s is of the wrong type: %s", wrong.Field, clip(wrong.Value))
	}
	return fmt.Errorf("not JSON: %s", clip(err.Error()))
}

// coin returns the row as a coin, or an error that names the first field that
// cannot be meant. The id is as it came.
func (r marketRow) coin(now time.Time) (market.Coin, error) {
	if r.ID == nil || *r.ID == "" {
		return market.Coin{}, errors.New("id is missing")
	}
	c := market.Coin{ID: *r.ID}
	for _, text := range []struct {
		name  string
		value *string
		into  *string
	}{{"symbol", r.Symbol, &c.Ticker}, {"name", r.Name, &c.Name}} {
		if text.value != nil {
			*text.into = printable(*text.value)
		}
		if *text.into == "" {
			return c, fmt.Errorf("%s is missing", text.name)
		}
	}
	c.Ticker = strings.ToUpper(c.Ticker)

	asOf, err := instant(r.LastUpdated, now)
	switch {
	case err != nil:
		return c, fmt.Errorf("last_updated %w", err)
	case !asOf.Valid:
		return c, errors.New("last_updated is missing")
	}
	c.AsOf = asOf.Value
	if c.AllTimeHighAt, err = instant(r.AllTimeHighDate, now); err != nil {
		return c, fmt.Errorf("ath_date %w", err)
	}
	if c.AllTimeLowAt, err = instant(r.AllTimeLowDate, now); err != nil {
		return c, fmt.Errorf("atl_date %w", err)
	}

	for _, number := range []struct {
		name        string
		value       *float64
		least, most float64
		into        *market.Optional[float64]
	}{
		{"current_price", price(r.CurrentPrice), 0, maxDollars, &c.Price},
		{"high_24h", price(r.High24h), 0, maxDollars, &c.High24h},
		{"low_24h", price(r.Low24h), 0, maxDollars, &c.Low24h},
		{"ath", price(r.AllTimeHigh), 0, maxDollars, &c.AllTimeHigh},
		{"atl", price(r.AllTimeLow), 0, maxDollars, &c.AllTimeLow},
		{"market_cap", r.MarketCap, 0, maxDollars, &c.MarketCap},
		{"fully_diluted_valuation", r.FullyDilutedValuation, 0, maxDollars, &c.FullyDilutedValuation},
		{"total_volume", r.TotalVolume, 0, maxDollars, &c.Volume24h},
		{"circulating_supply", r.CirculatingSupply, 0, maxSupply, &c.CirculatingSupply},
		{"total_supply", r.TotalSupply, 0, maxSupply, &c.TotalSupply},
		{"max_supply", r.MaxSupply, 0, maxSupply, &c.MaxSupply},
		{"price_change_percentage_24h", r.PriceChangePercent24h, -100, maxPercent, &c.PriceChange24h},
	} {
		if number.value == nil {
			continue
		}
		if *number.value < number.least || *number.value > number.most {
			return c, fmt.Errorf("%s is %v: expected %v to %v", number.name, *number.value, number.least, number.most)
		}
		*number.into = market.Some(*number.value)
	}
	if r.MarketCapRank != nil {
		if *r.MarketCapRank < 1 || *r.MarketCapRank > maxRank {
			return c, fmt.Errorf("market_cap_rank is %d: expected 1 to %d", *r.MarketCapRank, int(maxRank))
		}
		c.MarketCapRank = market.Some(*r.MarketCapRank)
	}
	switch {
	case c.High24h.Valid && c.Low24h.Valid && c.High24h.Value < c.Low24h.Value:
		return c, errors.New("high_24h is below low_24h")
	case c.AllTimeHigh.Valid && c.AllTimeLow.Valid && c.AllTimeHigh.Value < c.AllTimeLow.Value:
		return c, errors.New("ath is below atl")
	}
	return c, nil
}

// price takes 0 for absent: it is what CoinGecko writes where nothing is traded,
// and no price.
func price(value *float64) *float64 {
	if value != nil && *value == 0 {
		return nil
	}
	return value
}

// instant reads RFC 3339; null is absent.
func instant(text *string, now time.Time) (market.Optional[time.Time], error) {
	if text == nil {
		return market.Optional[time.Time]{}, nil
	}
	at, err := time.Parse(time.RFC3339, *text)
	switch {
	case err != nil:
		return market.Optional[time.Time]{}, fmt.Errorf("is %s: expected RFC 3339", quote(*text))
	case at.Before(firstCoin) || at.After(now.Add(clockSkew)):
		return market.Optional[time.Time]{}, fmt.Errorf("is %s: expected an instant since %s that has passed",
			at.UTC().Format(time.RFC3339), firstCoin.Format(time.DateOnly))
	}
	return market.Some(at.UTC()), nil
}

// printable drops what is not to be seen in a text, such as control characters
// and those that turn the direction of writing, and what is beyond its bound.
func printable(text string) string {
	visible := make([]rune, 0, min(len(text), maxTextLength))
	for _, r := range text {
		if unicode.IsPrint(r) && len(visible) < maxTextLength {
			visible = append(visible, r)
		}
	}
	return strings.TrimSpace(string(visible))
}

func wellFormedID(id string) bool {
	return id != "" && len(id) <= maxIDLength && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// clip makes foreign text short enough for a message.
func clip(text string) string {
	const limit = 60
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// quote makes foreign text safe and short enough for a message.
func quote(text string) string { return strconv.Quote(clip(text)) }
