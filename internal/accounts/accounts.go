// Package accounts says who may use the service: users with their passwords and
// roles, the sessions of their browsers, the tokens of their programs, and the log
// of who did what.
package accounts

import (
	"context"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Role says what a user may do.
type Role string

// The roles.
const (
	Admin  Role = "admin"  // may change the service, its users and its settings
	Viewer Role = "viewer" // may read all that is not about people
)

// ParseRole returns the role of that name, or an Invalid error.
func ParseRole(name string) (Role, error) {
	switch role := Role(strings.ToLower(strings.TrimSpace(name))); role {
	case Admin, Viewer:
		return role, nil
	}
	return "", market.Errorf(market.Invalid, "the role must be admin or viewer")
}

// May reports whether a user of this role may do what one of the other may.
func (r Role) May(other Role) bool { return r == Admin || r == other && r == Viewer }

// User is somebody who may use the service. Passwords are never part of it.
type User struct {
	Username          string                     `json:"username"`
	Email             string                     `json:"email"` // empty where none is known
	Role              Role                       `json:"role"`
	CreatedAt         time.Time                  `json:"created_at"`
	PasswordChangedAt time.Time                  `json:"password_changed_at"`
	LastLoginAt       market.Optional[time.Time] `json:"last_login_at"` // to the minute
}

const (
	mostUsernameBytes        = 64
	mostEmailBytes           = 254 // RFC 5321
	fewestPasswordCharacters = 10  // NIST SP 800-63B asks for 8 at least
	mostPasswordCharacters   = 256 // hashing takes any length, a request does not
)

// A name of letters that look alike is none: it is shown to admins who decide by it.
// Both cases are listed, since what Unicode folds to these letters is not one of them.
var wellFormedUsername = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._@-]*$`)

// ParseUsername returns a name as it is kept, in small letters, or an Invalid error.
// It takes 1 to 64 of the letters a to z, digits, and . _ - @, of which the first is a
// letter or a digit.
func ParseUsername(name string) (string, error) {
	name = strings.TrimSpace(name)
	if len(name) > mostUsernameBytes || !wellFormedUsername.MatchString(name) {
		return "", market.Errorf(market.Invalid,
			"the username must be 1 to %d of a-z, 0-9 and . _ - @, and begin with a letter or digit", mostUsernameBytes)
	}
	return strings.ToLower(name), nil
}

// ParseEmail returns an address as it is kept, or an Invalid error. Empty is none.
func ParseEmail(address string) (string, error) {
	address = strings.TrimSpace(address)
	if address == "" {
		return "", nil
	}
	isOne := len(address) <= mostEmailBytes && !strings.ContainsFunc(address, isControl) // before it is parsed at length
	if isOne {
		parsed, err := mail.ParseAddress(address)
		isOne = err == nil && parsed.Address == address
	}
	if !isOne {
		return "", market.Errorf(market.Invalid, "the email must be an address such as ada@example.org, of at most %d bytes, or empty", mostEmailBytes)
	}
	return address, nil
}

// CheckPassword returns an Invalid error unless the password of a user will do: 10
// to 256 characters, none of them a control character, and not the username.
func CheckPassword(username, password string) error {
	characters := utf8.RuneCountInString(password)
	switch {
	case characters < fewestPasswordCharacters || characters > mostPasswordCharacters:
		return market.Errorf(market.Invalid, "the password must have %d to %d characters", fewestPasswordCharacters, mostPasswordCharacters)
	case strings.ContainsFunc(password, isControl):
		return market.Errorf(market.Invalid, "the password must not hold control characters")
	case strings.EqualFold(password, username):
		return market.Errorf(market.Invalid, "the password must not be the username")
	}
	return nil
}

// Bytes that are no UTF-8 cannot be typed again for certain.
func isControl(r rune) bool { return r < ' ' || r == 0x7F || r == '\uFFFD' }

// Method is how a caller said who it is.
type Method string

// The methods.
const (
	BySession  Method = "session"  // a browser's cookie
	ByToken    Method = "token"    // a personal API token
	ByPassword Method = "password" // HTTP Basic
	ByCommand  Method = "command"  // the command line: whoever has the database has all
)

// Caller is who does something: a user, or with an empty Username nobody that is
// known.
type Caller struct {
	Username string
	Role     Role
	Method   Method
	Address  string // of the client, without its port; empty at a command line
	Session  string // the session's ID, where it is one
	CSRF     string // what a form of the session has to bring along
	// passwordOf is when the password was given, in microseconds, by which or by whose
	// session the caller came; 0 where it is not known.
	passwordOf int64
}

// Known reports whether the caller is a user.
func (c Caller) Known() bool { return c.Username != "" }

type callerKey struct{}

// WithCaller returns a context that says who the caller is.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns who the caller is, nobody where the context does not say.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// CommandLine is the caller of a sub-command.
var CommandLine = Caller{Username: "command line", Role: Admin, Method: ByCommand}
