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

func TestHashesThatThisServiceWouldNotMakeAreNotComputed(t *testing.T) {
	h, err := newHasher(Cheap)
	if err != nil {
		t.Fatal(err)
	}
	const salt, key = "c2FsdHNhbHRzYWx0c2FsdA", "MDEyMzQ1Njc4OTAxMjM0NQ"
	for hash, good := range map[string]bool{
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key:                    true,
		"$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + key:               false,
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key:           false,
		"$argon2id$v=19$m=99999999999999999999,t=1,p=1$" + salt + "$" + key: false,
		"$argon2id$v=19$m=8,t=17,p=1$" + salt + "$" + key:                   false,
		"$argon2id$v=19$m=8,t=1,p=9$" + salt + "$" + key:                    false,
		"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key:                    false,
		"$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key:                    false,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$":                          false, // any password's
		"$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key:                     false,
		"correct horse battery":                                             false,
	} {
		before := h.computed.Load()
		equal, err := h.compare(t.Context(), "correct horse battery", hash)
		if equal || (err == nil) != good || (h.computed.Load() > before) != good {
			t.Errorf("%s: %t, %v", hash, equal, err)
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
