package market

import (
	"testing"
	"time"
)

func TestCoinStale(t *testing.T) {
	coin := Coin{AsOf: time.Date(2026, time.February, 17, 15, 56, 31, 0, time.UTC)}
	for age, stale := range map[time.Duration]bool{
		-time.Minute: false, 0: false, time.Hour: false, time.Hour + 1: true, 100 * 24 * time.Hour: true,
	} {
		if got := coin.Stale(coin.AsOf.Add(age)); got != stale {
			t.Errorf("after %s stale is %t, want %t", age, got, stale)
		}
	}
}
