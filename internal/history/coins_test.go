package history

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// coinShelf is a source of coins and where they are put.
type coinShelf struct {
	known    []string
	calls    int
	stored   []string
	origin   Origin // of what the source knows
	claimed  Origin // of what the store holds
	failing  error  // of the source
	breaking error  // of the store
}

func (s *coinShelf) Coins(_ context.Context, ids []string) ([]market.Coin, Origin, error) {
	s.calls++
	var coins []market.Coin
	for _, id := range s.known {
		if slices.Contains(ids, id) {
			coins = append(coins, market.Coin{ID: id})
		}
	}
	return coins, s.origin, s.failing
}

func (s *coinShelf) ClaimOrigin(_ context.Context, origin Origin) error {
	if s.claimed == "" {
		s.claimed = origin
	}
	if s.claimed != origin {
		return market.Errorf(market.Conflict, "the other kind of market")
	}
	return nil
}

func (s *coinShelf) WriteCoins(_ context.Context, coins []market.Coin) (int64, error) {
	if s.breaking != nil {
		return 0, s.breaking
	}
	for _, c := range coins {
		s.stored = append(s.stored, c.ID)
	}
	return int64(len(coins)), nil
}

func TestRefreshCoins(t *testing.T) {
	away := market.Errorf(market.Unavailable, "the source is away")
	broken := errors.New("the disk is full")
	for _, test := range []struct {
		name  string
		shelf coinShelf
		ids   []string
		news  int64
		calls int
		code  market.Code
		says  string
	}{
		{name: "all", shelf: coinShelf{known: []string{"ethereum", "bitcoin", "other"}}, ids: []string{"bitcoin", "ethereum"}, news: 2, calls: 1},
		{name: "none asked for", shelf: coinShelf{known: []string{"bitcoin"}}},
		{name: "some unknown", shelf: coinShelf{known: []string{"bitcoin"}}, ids: []string{"btc", "bitcoin", "eth"},
			news: 1, calls: 1, code: market.NotFound, says: "btc, eth"},
		{name: "simulated beside real", shelf: coinShelf{known: []string{"bitcoin"}, origin: Simulated, claimed: Real}, ids: []string{"bitcoin"},
			calls: 1, code: market.Conflict, says: "other kind"},
		{name: "none known", shelf: coinShelf{origin: Simulated, claimed: Real}, ids: []string{"bitcoin"},
			calls: 1, code: market.NotFound, says: "bitcoin"},
		{name: "the source fails", shelf: coinShelf{failing: away}, ids: []string{"bitcoin"}, calls: 1, code: market.Unavailable, says: "away"},
		{name: "the store fails", shelf: coinShelf{known: []string{"bitcoin"}, breaking: broken}, ids: []string{"bitcoin"}, calls: 1, code: market.Internal, says: "storing"},
	} {
		shelf := test.shelf
		shelf.origin = cmp.Or(shelf.origin, Real)
		news, err := RefreshCoins(t.Context(), &shelf, &shelf, test.ids)
		if news != test.news || shelf.calls != test.calls || int64(len(shelf.stored)) != test.news {
			t.Errorf("%s: %d news, %d calls, stored %v", test.name, news, shelf.calls, shelf.stored)
		}
		if market.ErrorCode(err) != test.code || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.says)
		}
		if news > 0 && shelf.claimed != shelf.origin {
			t.Errorf("%s: the store is claimed for %q", test.name, shelf.claimed)
		}
	}
}
