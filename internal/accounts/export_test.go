package accounts

import (
	"bytes"
	"time"

	"github.com/alexedwards/argon2id"
)

// Cheap hashes passwords at next to no cost.
var Cheap = argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// NewCheapService is NewService with Cheap hashes.
func NewCheapService(store Store, now func() time.Time) (*Service, error) {
	return newService(store, now, Cheap)
}

// Computed returns how many hashes a service has computed.
func (s *Service) Computed() int64 { return s.hasher.computed.Load() }

// ReadUsers returns the number of good and of refused rows of a file.
func ReadUsers(data []byte) (good, refused int, err error) {
	rows, err := readUsers(bytes.NewReader(data))
	for _, row := range rows {
		if row.problem == nil {
			good++
		} else {
			refused++
		}
	}
	return good, refused, err
}
