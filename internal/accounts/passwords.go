package accounts

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/alexedwards/argon2id"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// hashing is what RFC 9106 and OWASP's cheat sheet give for argon2id where memory is
// scarce: 19 MiB, two passes, one lane; some 30 ms.
var hashing = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

const (
	// A stored hash names its own costs. These are the most that are believed: beyond
	// them a row that was tampered with could take the machine down.
	mostMemory      = 256 * 1024 // KiB
	mostIterations  = 16
	mostParallelism = 8
	fewestHashBytes = 16 // an empty hash would be any password's
	// mostWaiting is how many wait for a hash at once; the others are turned away
	// before they pile up.
	mostWaiting = 64
)

// hasher hashes passwords and compares them, a few at once whatever is asked.
type hasher struct {
	params  argon2id.Params
	places  chan struct{}
	waiting atomic.Int64
	decoy   string // the hash of a password that nobody has

	key   [32]byte // of this process, for remembered
	mutex sync.Mutex
	// remembered are passwords that were right, as keyed hashes, by the stored hash
	// they were right for: programs that send HTTP Basic would wait for a hash each time.
	remembered map[string][32]byte
	computed   atomic.Int64 // hashes, for tests
}

// mostRemembered bounds the memory for passwords that were right, 100 bytes each.
const mostRemembered = 1000

func newHasher(params argon2id.Params) (*hasher, error) {
	h := &hasher{params: params, places: make(chan struct{}, runtime.GOMAXPROCS(0)), remembered: map[string][32]byte{}}
	rand.Read(h.key[:]) // never fails
	var err error
	h.decoy, err = argon2id.CreateHash(rand.Text(), &h.params)
	return h, err
}

var errBusy = market.Errorf(market.Unavailable, "too many passwords are being checked: try again in a few seconds")

// enter waits for one of the places. It returns an Unavailable error where too many
// wait already.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	if h.waiting.Add(1) > mostWaiting {
		h.waiting.Add(-1)
		return nil, errBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.places <- struct{}{}:
		return func() { <-h.places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// hash returns what is stored of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	h.computed.Add(1)
	hash, err := argon2id.CreateHash(password, &h.params)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// compare reports whether a password is the one that was hashed. An empty hash is
// nobody's: it takes the time of any other, and is false.
func (h *hasher) compare(ctx context.Context, password, hash string) (bool, error) {
	known := hash != ""
	if !known {
		hash = h.decoy
	}
	proof := h.proof(password, hash)
	if h.remembers(hash, proof) {
		return known, nil
	}
	if err := checkHash(hash); err != nil {
		return false, err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	h.computed.Add(1)
	equal, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare a password: %w", err)
	}
	if equal && known {
		h.remember(hash, proof)
	}
	return equal && known, nil
}

// checkHash returns an error unless a stored hash is one that can be computed at a
// cost that this service would ask for. The zeroes would panic.
func checkHash(hash string) error {
	params, _, _, err := argon2id.DecodeHash(hash)
	switch {
	case err != nil:
		return fmt.Errorf("read a stored password hash: %w", err)
	case params.Memory > mostMemory || params.Iterations > mostIterations || params.Parallelism > mostParallelism,
		params.Iterations == 0 || params.Parallelism == 0 || params.KeyLength < fewestHashBytes:
		return fmt.Errorf("a stored password hash of %d bytes asks for %d KiB, %d passes and %d lanes: it was not made by this service",
			params.KeyLength, params.Memory, params.Iterations, params.Parallelism)
	}
	return nil
}

// outdated reports whether a hash was made with other costs than are asked for now.
func (h *hasher) outdated(hash string) bool {
	params, _, _, err := argon2id.DecodeHash(hash)
	return err == nil && *params != h.params
}

// proof says of a password what can be told apart but not turned back: the key is
// this process's and never leaves it.
func (h *hasher) proof(password, hash string) [32]byte {
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(hash))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	return [32]byte(mac.Sum(nil))
}

func (h *hasher) remembers(hash string, proof [32]byte) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	known, ok := h.remembered[hash]
	return ok && subtle.ConstantTimeCompare(known[:], proof[:]) == 1
}

func (h *hasher) remember(hash string, proof [32]byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(h.remembered) >= mostRemembered {
		clear(h.remembered) // each is made again by one login
	}
	h.remembered[hash] = proof
}
