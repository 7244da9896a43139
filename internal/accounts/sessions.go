package accounts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// SessionLifetime is how long a session lasts at most.
	SessionLifetime = 7 * 24 * time.Hour
	// SessionIdle is how long a session lasts that is not used.
	SessionIdle = 12 * time.Hour
	// MostSessions is how many sessions a user has at once: another login ends the one
	// that was begun first.
	MostSessions = 20
)

// Session is a browser that a user logged in by.
type Session struct {
	ID        string    `json:"id"` // names the session, and does not open it
	Username  string    `json:"username"`
	Address   string    `json:"address"` // that it was begun from
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at"` // to the minute
	ExpiresAt time.Time `json:"expires_at"`
}

// SessionStore keeps sessions by the hash of what opens them.
type SessionStore interface {
	// CreateSession stores a session of a user, whose password must be the one still
	// that it was when the user was read: the error is NotFound else. Of the user's
	// sessions the newest stay, so many of them with this one, and the others end, which
	// the entry tells.
	CreateSession(ctx context.Context, hash []byte, s Session, of User, most int, entry Entry) error
	// UseSession returns the user of the session that has not ended, was used after
	// idleSince, and is opened by what has that hash; or a NotFound error. It notes
	// that the session was used.
	UseSession(ctx context.Context, hash []byte, now, idleSince time.Time) (User, error)
	// DeleteSession removes a session; it is no error where there is none.
	DeleteSession(ctx context.Context, hash []byte, entry Entry) error
	// DeleteSessionOf removes the session of a user that has that ID, or returns a
	// NotFound error.
	DeleteSessionOf(ctx context.Context, username, id string, entry Entry) error
	// Sessions returns the sessions of a user that have not ended, the newest first.
	Sessions(ctx context.Context, username string, now, idleSince time.Time) ([]Session, error)
	// DeleteSessions removes the sessions that are over and returns how many.
	DeleteSessions(ctx context.Context, now, idleSince time.Time) (int64, error)
}

// LogIn begins a session and returns what opens it, which is not stored. Beyond
// MostSessions the user's oldest one ends. Its errors are those of Authenticate.
func (s *Service) LogIn(ctx context.Context, address, username, password string) (secret string, caller Caller, err error) {
	c, err := s.authenticate(ctx, username, address, password)
	if err != nil {
		return "", Caller{}, err
	}
	caller = Caller{Username: c.Username, Role: c.Role, Address: address, passwordOf: c.PasswordChangedAt.UnixMicro()}
	secret = newSecret()
	hash := hashSecret(secret)
	now := s.now()
	session := Session{
		ID: sessionID(hash), Username: caller.Username, Address: address,
		CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(SessionLifetime),
	}
	err = s.store.CreateSession(ctx, hash, session, c.User, MostSessions, EntryOf(caller, LogIn, caller.Username, Done, nil))
	if market.ErrorCode(err) == market.NotFound { // a moment ago it was right
		return "", Caller{}, errWrong
	}
	if err != nil {
		return "", Caller{}, err
	}
	return secret, ofSession(caller, secret), nil
}

// CallerOfSession returns the caller whose session a secret opens, or an Unauthorized
// error.
func (s *Service) CallerOfSession(ctx context.Context, address, secret string) (Caller, error) {
	now := s.now()
	user, err := s.store.UseSession(ctx, hashSecret(secret), now, now.Add(-SessionIdle))
	if market.ErrorCode(err) == market.NotFound {
		return Caller{}, market.Errorf(market.Unauthorized, "the session has ended: log in again")
	}
	if err != nil {
		return Caller{}, err
	}
	return ofSession(Caller{
		Username: user.Username, Role: user.Role, Address: address, passwordOf: user.PasswordChangedAt.UnixMicro(),
	}, secret), nil
}

// LogOut ends the session that a secret opens.
func (s *Service) LogOut(ctx context.Context, by Caller, secret string) error {
	return s.store.DeleteSession(ctx, hashSecret(secret), EntryOf(by, LogOut, by.Username, Done, nil))
}

// EndSession ends a session by its ID: the caller's own, or with the role Admin
// anybody's. The error is NotFound where the user has none of that ID, and Forbidden.
func (s *Service) EndSession(ctx context.Context, by Caller, username, id string) error {
	username, err := s.ownerFor(by, username)
	if err != nil {
		return err
	}
	return s.store.DeleteSessionOf(ctx, username, id, EntryOf(by, LogOut, username, Done, map[string]string{"session": id}))
}

// ownerFor returns the name of a user whose sessions and tokens the caller may end or
// make, or a Forbidden error.
func (s *Service) ownerFor(by Caller, username string) (string, error) {
	username, err := ParseUsername(username)
	if err == nil && username != by.Username && by.Role != Admin {
		err = market.Errorf(market.Forbidden, "only an admin may do this for somebody else")
	}
	return username, err
}

// Sessions returns a user's sessions, the newest first.
func (s *Service) Sessions(ctx context.Context, username string) ([]Session, error) {
	now := s.now()
	return s.store.Sessions(ctx, username, now, now.Add(-SessionIdle))
}

// Prune removes sessions and tokens that are over and returns how many.
func (s *Service) Prune(ctx context.Context) (int64, error) {
	now := s.now()
	sessions, err := s.store.DeleteSessions(ctx, now, now.Add(-SessionIdle))
	if err != nil {
		return 0, err
	}
	tokens, err := s.store.DeleteTokens(ctx, now)
	return sessions + tokens, err
}

// CheckCSRF reports whether a form was made for the caller's session.
func (c Caller) CheckCSRF(given string) bool {
	return c.CSRF != "" && subtle.ConstantTimeCompare([]byte(given), []byte(c.CSRF)) == 1
}

func ofSession(c Caller, secret string) Caller {
	c.Method, c.Session = BySession, sessionID(hashSecret(secret))
	// From the secret, so that whoever reads the database cannot make it.
	sum := sha256.Sum256([]byte("csrf " + secret))
	c.CSRF = base64.RawURLEncoding.EncodeToString(sum[:])
	return c
}

func sessionID(hash []byte) string { return hex.EncodeToString(hash[:8]) }

// hashSecret is what is stored of a secret of 256 bits: no guessing finds it, so that
// a fast hash will do.
func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
