package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// CoinSource knows the characteristics of coins.
type CoinSource interface {
	// Coins returns the coins of those ids that it knows, in any order, and of
	// what kind of market they tell. An error of the code Unavailable may pass.
	Coins(ctx context.Context, ids []string) ([]market.Coin, Origin, error)
}

// CoinWriter stores characteristics for good.
type CoinWriter interface {
	// ClaimOrigin returns a Conflict error where what is stored comes from the
	// other kind of market, and keeps it out from now on where nothing is.
	ClaimOrigin(ctx context.Context, origin Origin) error
	// WriteCoins stores all coins or none, each beside what was stored of it as of
	// other instants, and returns how many are news.
	WriteCoins(ctx context.Context, coins []market.Coin) (int64, error)
}

// RefreshCoins stores what the source knows of coins now, asking once for all of
// them, and returns how many are news. Where the source does not know some, the
// others are stored and the error is NotFound and names those. Nothing is stored
// beside what comes from the other kind of market: the error is a Conflict.
func RefreshCoins(ctx context.Context, source CoinSource, store CoinWriter, ids []string) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	coins, origin, err := source.Coins(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("asking for coins: %w", err)
	}
	var news int64
	if len(coins) > 0 {
		if err := store.ClaimOrigin(ctx, origin); err != nil {
			return 0, fmt.Errorf("storing coins: %w", err)
		}
		if news, err = store.WriteCoins(ctx, coins); err != nil {
			return 0, fmt.Errorf("storing coins: %w", err)
		}
	}
	unknown := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return slices.ContainsFunc(coins, func(c market.Coin) bool { return c.ID == id })
	})
	if len(unknown) > 0 {
		return news, market.Errorf(market.NotFound, "the source of coins does not know %s: use its own names, such as bitcoin",
			list(unknown))
	}
	return news, nil
}
