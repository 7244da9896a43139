package accounts

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// TokenPrefix begins every token, so that programs that look for leaked secrets
	// find it.
	TokenPrefix = "cbt_"
	// TokenLifetime is how long a token lasts where nobody says, and MostTokenLifetime
	// how long at most.
	TokenLifetime     = 90 * 24 * time.Hour
	MostTokenLifetime = 366 * 24 * time.Hour
	mostTokens        = 50 // of a user
	mostTokenName     = 100
)

// Token is what a program of a user's shows in place of a password.
type Token struct {
	ID        int64                      `json:"id"`
	Username  string                     `json:"username"`
	Name      string                     `json:"name"` // what it is for
	Role      Role                       `json:"role"` // the most it may do, whatever its user may
	CreatedAt time.Time                  `json:"created_at"`
	ExpiresAt time.Time                  `json:"expires_at"`
	UsedAt    market.Optional[time.Time] `json:"used_at"` // to the minute
}

// TokenStore keeps tokens by their hash.
type TokenStore interface {
	// CreateToken stores a token and returns it with its ID. Unless passwordOf is 0, the
	// user's password must be the one still that was given then, in microseconds: the
	// error is Unauthorized else. It is a Conflict where the user has so many tokens
	// already, or one of that name.
	CreateToken(ctx context.Context, hash []byte, t Token, passwordOf int64, most int, entry Entry) (Token, error)
	// UseToken returns the token of that hash, which has not expired, with its user,
	// or a NotFound error. It notes that the token was used.
	UseToken(ctx context.Context, hash []byte, now time.Time) (Token, User, error)
	// Tokens returns the tokens of a user, the newest first.
	Tokens(ctx context.Context, username string) ([]Token, error)
	// DeleteToken removes a token of a user, of anybody where the name is empty, or
	// returns a NotFound error. The entry is made of what is removed.
	DeleteToken(ctx context.Context, username string, id int64, entry func(Token) Entry) error
	// DeleteTokens removes the tokens that have expired and returns how many.
	DeleteTokens(ctx context.Context, now time.Time) (int64, error)
}

// CreateToken makes a token for the caller and returns it with what is to be sent,
// which is not stored and cannot be shown again. An empty role is a viewer's, no
// lifetime is TokenLifetime. Its errors are Invalid, Conflict where there is a token of
// that name or there are too many, Unauthorized where the password was changed since the
// caller gave it, so that nothing outlasts the change, and Forbidden: a token does no more than its user,
// and makes none, which would outlast it.
func (s *Service) CreateToken(ctx context.Context, by Caller, name string, role Role, lifetime time.Duration) (secret string, t Token, err error) {
	return s.CreateTokenFor(ctx, by, by.Username, name, role, lifetime)
}

// CreateTokenFor is CreateToken for another user, which an admin may do.
func (s *Service) CreateTokenFor(ctx context.Context, by Caller, username, name string, role Role, lifetime time.Duration) (secret string, t Token, err error) {
	if by.Method == ByToken {
		return "", Token{}, market.Errorf(market.Forbidden, "a token cannot make tokens: log in with a password")
	}
	owner, err := s.ownerFor(by, username)
	if err != nil {
		return "", Token{}, err
	}
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > mostTokenName || strings.ContainsFunc(name, isControl) {
		return "", Token{}, market.Errorf(market.Invalid, "the name must have 1 to %d characters that can be printed", mostTokenName)
	}
	if role == "" {
		role = Viewer
	}
	if role, err = ParseRole(string(role)); err != nil {
		return "", Token{}, err
	}
	user, err := s.store.Credentials(ctx, owner)
	if err != nil {
		return "", Token{}, err
	}
	if !user.Role.May(role) {
		return "", Token{}, market.Errorf(market.Forbidden, "a token cannot do more than its user: make one with the role %s", user.Role)
	}
	if lifetime == 0 {
		lifetime = TokenLifetime
	}
	if lifetime < time.Minute || lifetime > MostTokenLifetime {
		return "", Token{}, market.Errorf(market.Invalid, "a token must last from a minute to %d days", MostTokenLifetime/(24*time.Hour))
	}
	secret = TokenPrefix + newSecret()
	now := s.now()
	t = Token{Username: owner, Name: name, Role: role, CreatedAt: now, ExpiresAt: now.Add(lifetime)}
	passwordOf := by.passwordOf
	if owner != by.Username {
		passwordOf = 0
	}
	t, err = s.store.CreateToken(ctx, hashSecret(secret), t, passwordOf, mostTokens, tokenEntry(by, CreateToken, t))
	if err != nil {
		return "", Token{}, err
	}
	return secret, t, nil
}

// CallerOfToken returns the caller that a token stands for, or an Unauthorized error.
func (s *Service) CallerOfToken(ctx context.Context, address, secret string) (Caller, error) {
	if !strings.HasPrefix(secret, TokenPrefix) {
		return Caller{}, errNoToken
	}
	token, user, err := s.store.UseToken(ctx, hashSecret(secret), s.now())
	if market.ErrorCode(err) == market.NotFound {
		return Caller{}, errNoToken
	}
	if err != nil {
		return Caller{}, err
	}
	role := Viewer
	if user.Role == Admin && token.Role == Admin {
		role = Admin
	}
	return Caller{Username: user.Username, Role: role, Method: ByToken, Address: address}, nil
}

var errNoToken = market.Errorf(market.Unauthorized, "the token is not known, has expired or was revoked")

// Tokens returns the tokens of a user, the newest first.
func (s *Service) Tokens(ctx context.Context, username string) ([]Token, error) {
	return s.store.Tokens(ctx, username)
}

// RevokeToken ends a token: the caller's own, or with the role Admin anybody's. The
// error is NotFound where there is none that the caller may end.
func (s *Service) RevokeToken(ctx context.Context, by Caller, id int64) error {
	owner := by.Username
	if by.Role == Admin {
		owner = ""
	}
	return s.store.DeleteToken(ctx, owner, id, func(t Token) Entry { return tokenEntry(by, RevokeToken, t) })
}

func tokenEntry(by Caller, action Action, t Token) Entry {
	return EntryOf(by, action, t.Username, Done, map[string]string{"token": t.Name, "role": string(t.Role)})
}

// newSecret returns 256 bits that nobody can guess.
func newSecret() string {
	var secret [32]byte
	rand.Read(secret[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(secret[:])
}
