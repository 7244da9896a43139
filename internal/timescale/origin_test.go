package timescale_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
	"github.com/cryptoboat/cryptoboat/migrations"
)

func TestADatabaseHoldsOneKindOfCandles(t *testing.T) {
	d := timescaletest.Open(t)
	if origin, err := d.Origin(t.Context()); err != nil || origin != "" {
		t.Errorf("before any claim: %q, %v", origin, err)
	}
	for range 2 {
		if err := d.ClaimOrigin(t.Context(), history.Simulated); err != nil {
			t.Fatal(err)
		}
	}
	err := d.ClaimOrigin(t.Context(), history.Real)
	if market.ErrorCode(err) != market.Conflict || !strings.Contains(err.Error(), "real ones need a database of their own") {
		t.Errorf("the other claim: %v", err)
	}
	if origin, err := d.Origin(t.Context()); err != nil || origin != history.Simulated {
		t.Errorf("after that: %q, %v", origin, err)
	}
}

func TestOneClaimWins(t *testing.T) {
	d := timescaletest.Open(t)
	const claims = 8
	for range 10 {
		execute(t, d, `DELETE FROM market_origin`)
		var mutex sync.Mutex
		won := map[history.Origin]int{}
		var working sync.WaitGroup
		for k := range claims {
			working.Go(func() {
				origin := []history.Origin{history.Real, history.Simulated}[k%2]
				err := d.ClaimOrigin(context.WithoutCancel(t.Context()), origin)
				if err != nil && market.ErrorCode(err) != market.Conflict {
					t.Error(err)
				}
				if err == nil {
					mutex.Lock()
					won[origin]++
					mutex.Unlock()
				}
			})
		}
		working.Wait()
		origin, err := d.Origin(t.Context())
		if err != nil || len(won) != 1 || won[origin] != claims/2 {
			t.Errorf("claimed were %v, %q holds (%v)", won, origin, err)
		}
	}
}

func TestCandlesThatWereThereAreReal(t *testing.T) {
	d := timescaletest.Open(t)
	write(t, d, btc15m, walk(market.Minute15, newYear, 1))
	for _, file := range []string{"0007_market_origin.down.sql", "0007_market_origin.up.sql"} {
		sql, err := migrations.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, d, string(sql))
	}
	if origin, err := d.Origin(t.Context()); err != nil || origin != history.Real {
		t.Errorf("got %q, %v", origin, err)
	}
}

func TestACheckClaimsNothing(t *testing.T) {
	d := timescaletest.Open(t)
	for _, origin := range []history.Origin{history.Simulated, history.Real} {
		if err := d.CheckOrigin(t.Context(), origin); err != nil {
			t.Errorf("%s candles in a database without any: %v", origin, err)
		}
	}
	if err := d.ClaimOrigin(t.Context(), history.Simulated); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckOrigin(t.Context(), history.Simulated); err != nil {
		t.Error(err)
	}
	if err := d.CheckOrigin(t.Context(), history.Real); market.ErrorCode(err) != market.Conflict {
		t.Errorf("real candles beside simulated ones: %v", err)
	}
}
