package history

import (
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
	failing  error // of the source
	breaking error // of the store
}

func (s *coinShelf) Coins(_ context.Context, ids []string) ([]market.Coin, error) {
	s.calls++
	var coins []market.Coin
	for _, id := range s.known {
		if slices.Contains(ids, id) {
			coins = append(coins, market.Coin{ID: id})
		}
	}
	return coins, s.failing
}

func (s *coinShelf) WriteCoins(_ context.Context, coins []market.Coin) (int64, error) {
	for _, c := range coins {
		s.stored = append(s.stored, c.ID)
	}
	return int64(len(coins)), s.breaking
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
		{name: "the source fails", shelf: coinShelf{failing: away}, ids: []string{"bitcoin"}, calls: 1, code: market.Unavailable, says: "away"},
		{name: "the store fails", shelf: coinShelf{breaking: broken}, ids: []string{"bitcoin"}, calls: 1, code: market.Internal, says: "storing"},
	} {
		shelf := test.shelf
		news, err := RefreshCoins(t.Context(), &shelf, &shelf, test.ids)
		if news != test.news || shelf.calls != test.calls || int64(len(shelf.stored)) != test.news {
			t.Errorf("%s: %d news, %d calls, stored %v", test.name, news, shelf.calls, shelf.stored)
		}
		if market.ErrorCode(err) != test.code || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.says)
		}
	}
}
