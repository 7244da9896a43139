package timescale_test

import (
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestListings(t *testing.T) {
	d := timescaletest.Open(t)
	if listed, err := d.Listed(t.Context(), "BTCUSDT"); err != nil || listed.Valid {
		t.Errorf("before it is known: %+v, %v", listed, err)
	}
	for _, listed := range []int{3, 0} { // the last one told holds
		want := history.FirstListing.AddDate(0, 0, listed)
		if err := d.SetListed(t.Context(), "BTCUSDT", want); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Listed(t.Context(), "BTCUSDT"); err != nil || got.Value != want {
			t.Errorf("got %+v, %v; want %s", got, err, want)
		}
	}
	if listed, err := d.Listed(t.Context(), "ETHUSDT"); err != nil || listed.Valid {
		t.Errorf("of another symbol: %+v, %v", listed, err)
	}
}
