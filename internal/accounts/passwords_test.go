package accounts

import (
	"context"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestHashesAreBounded(t *testing.T) {
	h, err := newHasher(Cheap)
	if err != nil {
		t.Fatal(err)
	}
	for range cap(h.places) {
		h.places <- struct{}{} // nobody leaves
	}
	ctx, cancel := context.WithCancel(t.Context())
	failures := make(chan error)
	for range mostWaiting + 5 {
		go func() {
			_, err := h.hash(ctx, "correct horse battery")
			failures <- err
		}()
	}
	for range 5 { // the places to wait at are taken by then
		if err := <-failures; market.ErrorCode(err) != market.Unavailable {
			t.Errorf("beyond those who wait: %v", err)
		}
	}
	cancel()
	for range mostWaiting {
		if err := <-failures; err != context.Canceled {
			t.Errorf("one who waited: %v", err)
		}
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	h, err := newHasher(Cheap)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * mostRemembered {
		h.remember(string(rune(i)), [32]byte{})
	}
	if len(h.remembered) > mostRemembered {
		t.Errorf("%d passwords are remembered", len(h.remembered))
	}
}
