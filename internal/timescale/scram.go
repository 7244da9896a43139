package timescale

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// As PostgreSQL has them: https://www.postgresql.org/docs/17/protocol-authentication.html
const (
	scramIterations = 4096
	scramSalt       = 16
)

// scramVerifier returns what the server keeps of a password. It is made here so that
// the password itself goes into no statement, and with it into no log of the server's.
// Characters beyond printable ASCII, which would have to be normalised first, are
// refused with an Invalid error.
func scramVerifier(password string) (string, error) {
	for _, c := range password {
		if c <= ' ' || c > '~' {
			return "", market.Errorf(market.Invalid, "a reader's password is made of letters, digits and signs of ASCII, without spaces")
		}
	}
	salt := make([]byte, scramSalt)
	_, _ = rand.Read(salt) // it never fails
	return scramVerifierOf(password, salt, scramIterations)
}

// scramVerifierOf is SCRAM-SHA-256's StoredKey and ServerKey (RFC 5802, RFC 7677) in
// the form of pg_authid.rolpassword.
func scramVerifierOf(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive a key from the password: %w", err)
	}
	keyed := func(message string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(message))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(keyed("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(keyed("Server Key"))), nil
}
