package accounts

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Credentials are a user and the hash of the password.
type Credentials struct {
	User
	PasswordHash string
}

// Users reads users.
type Users interface {
	// Credentials returns a user with the password's hash, or a NotFound error.
	Credentials(ctx context.Context, username string) (Credentials, error)
	// Users returns users by name from the one that follows after, at most limit.
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// ExistingUsers returns which of these names are taken.
	ExistingUsers(ctx context.Context, usernames []string) ([]string, error)
}

// UserStore keeps users. Each change is written with its entry of the audit log, or
// not at all.
type UserStore interface {
	Users
	// CreateUsers stores all users or none, for which a Conflict error names one that
	// exists already.
	CreateUsers(ctx context.Context, users []Credentials, entries []Entry) error
	// HasAdmin reports whether there is an admin.
	HasAdmin(ctx context.Context) (bool, error)
	// CreateFirstAdmin stores an admin unless there is one already, and reports
	// whether it did, however many processes try at once. A viewer of that name
	// becomes the admin, and its sessions and tokens end.
	CreateFirstAdmin(ctx context.Context, admin Credentials, entry Entry) (bool, error)
	// DeleteUser removes a user with sessions and tokens. It returns a NotFound error
	// where there is none, and a Conflict one for the last admin.
	DeleteUser(ctx context.Context, username string, entry Entry) error
	// SetRole returns the errors of DeleteUser.
	SetRole(ctx context.Context, username string, role Role, entry Entry) error
	// SetPassword replaces the hash and removes the user's sessions and tokens. Unless
	// replaces is empty the hash must be that one still: the error is a Conflict else.
	SetPassword(ctx context.Context, username, hash, replaces string, entry Entry) error
	// Rehash replaces a hash by one of the same password.
	Rehash(ctx context.Context, username, hash, replaces string) error
	// NoteLogin notes when a user was let in by a password, to the minute.
	NoteLogin(ctx context.Context, username string) error
}

// Store is what a Service keeps its facts in.
type Store interface {
	UserStore
	SessionStore
	TokenStore
	AuditLog
}

// Service manages users and says who a caller is. It is safe for concurrent use.
type Service struct {
	store    Store
	hasher   *hasher
	throttle *throttle
	now      func() time.Time
}

// NewService returns a service on a store; now tells the time that sessions and
// tokens end by.
func NewService(store Store, now func() time.Time) (*Service, error) {
	return newService(store, now, hashing)
}

func newService(store Store, now func() time.Time, params argon2id.Params) (*Service, error) {
	hasher, err := newHasher(params)
	if err != nil {
		return nil, fmt.Errorf("prepare the hashing of passwords: %w", err)
	}
	return &Service{store: store, hasher: hasher, throttle: newThrottle(now), now: now}, nil
}

// NewUser is a user to be made.
type NewUser struct {
	Username string
	Email    string // may be empty
	Password string
	Role     Role // a viewer where it is empty
}

// checked returns the user as it would be stored, without the hash.
func (n NewUser) checked() (Credentials, error) {
	username, err := ParseUsername(n.Username)
	if err != nil {
		return Credentials{}, err
	}
	email, err := ParseEmail(n.Email)
	if err != nil {
		return Credentials{}, err
	}
	if err := CheckPassword(username, n.Password); err != nil {
		return Credentials{}, err
	}
	role := n.Role
	if role == "" {
		role = Viewer
	}
	if role, err = ParseRole(string(role)); err != nil {
		return Credentials{}, err
	}
	return Credentials{User: User{Username: username, Email: email, Role: role}}, nil
}

// Create makes a user. Its errors are Invalid, and Conflict where the name is taken.
func (s *Service) Create(ctx context.Context, by Caller, n NewUser) (User, error) {
	c, err := n.checked()
	if err != nil {
		return User{}, err
	}
	if c.PasswordHash, err = s.hasher.hash(ctx, n.Password); err != nil {
		return User{}, err
	}
	if err := s.store.CreateUsers(ctx, []Credentials{c}, []Entry{created(by, c.User)}); err != nil {
		return User{}, err
	}
	return s.User(ctx, c.Username)
}

func created(by Caller, u User) Entry {
	return EntryOf(by, CreateUser, u.Username, Done, map[string]string{"role": string(u.Role)})
}

// User returns a user, or a NotFound error.
func (s *Service) User(ctx context.Context, username string) (User, error) {
	username, err := ParseUsername(username)
	if err != nil {
		return User{}, err
	}
	c, err := s.store.Credentials(ctx, username)
	return c.User, err
}

// MostListed is how many users or entries are returned at once, at most.
const MostListed = 1000

// List returns users by name from the one that follows after, at most limit, which is
// 1 to MostListed.
func (s *Service) List(ctx context.Context, after string, limit int) ([]User, error) {
	return s.store.Users(ctx, after, min(max(limit, 1), MostListed))
}

// Audit returns the log of what was done, the newest first, from before an ID; 0
// begins at the newest.
func (s *Service) Audit(ctx context.Context, before int64, limit int) ([]Entry, error) {
	return s.store.Audit(ctx, before, min(max(limit, 1), MostListed))
}

// Note writes what a caller did beside users into the audit log.
func (s *Service) Note(ctx context.Context, by Caller, action Action, subject string, details map[string]string) error {
	return s.store.WriteAudit(ctx, EntryOf(by, action, subject, Done, details))
}

// Delete removes a user, whose sessions and tokens end. Its errors are NotFound, and
// Conflict for the last admin.
func (s *Service) Delete(ctx context.Context, by Caller, username string) error {
	username, err := ParseUsername(username)
	if err != nil {
		return err
	}
	return s.store.DeleteUser(ctx, username, EntryOf(by, DeleteUser, username, Done, nil))
}

// SetRole changes what a user may do, from the next request on. Its errors are those
// of Delete.
func (s *Service) SetRole(ctx context.Context, by Caller, username string, role Role) error {
	username, err := ParseUsername(username)
	if err != nil {
		return err
	}
	if role, err = ParseRole(string(role)); err != nil {
		return err
	}
	return s.store.SetRole(ctx, username, role, EntryOf(by, ChangeRole, username, Done, map[string]string{"role": string(role)}))
}

// SetPassword gives a user another password, whose sessions and tokens end.
func (s *Service) SetPassword(ctx context.Context, by Caller, username, password string) error {
	username, err := ParseUsername(username)
	if err != nil {
		return err
	}
	return s.setPassword(ctx, by, username, password, "")
}

func (s *Service) setPassword(ctx context.Context, by Caller, username, password, replaces string) error {
	if err := CheckPassword(username, password); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.store.SetPassword(ctx, username, hash, replaces, EntryOf(by, ChangePassword, username, Done, nil))
}

// ChangePassword gives the caller another password, who knows the present one. Its
// sessions and tokens end, the one it asks by too.
func (s *Service) ChangePassword(ctx context.Context, by Caller, current, password string) error {
	c, err := s.authenticate(ctx, by.Username, by.Address, current)
	if err != nil {
		return err
	}
	return s.setPassword(ctx, by, c.Username, password, c.PasswordHash)
}

const auditPatience = 10 * time.Second

// errWrong does not say whether there is such a user.
var errWrong = market.Errorf(market.Unauthorized, "the username or the password is wrong")

// Authenticate returns the caller that a username and a password stand for. Its
// errors are Unauthorized, for a name that nobody has after the same work as for a
// wrong password; a *ThrottledError after too many of them; and Unavailable where too
// many wait for theirs to be looked at.
func (s *Service) Authenticate(ctx context.Context, address, username, password string) (Caller, error) {
	c, err := s.authenticate(ctx, username, address, password)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Username: c.Username, Role: c.Role, Method: ByPassword, Address: address, passwordOf: c.PasswordChangedAt.UnixMicro()}, nil
}

func (s *Service) authenticate(ctx context.Context, name, address, password string) (Credentials, error) {
	// A name that nobody can have is looked for like any other.
	username, err := ParseUsername(name)
	if err != nil {
		username = "-"
	}
	c, found, err := s.judge(ctx, username, address, password)
	if err != nil {
		return Credentials{}, err
	}
	if found == wrong {
		// Nobody is known to have done it. Only a name that somebody has is noted: any
		// other may be a password in the wrong field.
		// Who goes away before the answer is noted all the same.
		staying, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditPatience)
		defer cancel()
		if err := s.store.WriteAudit(staying, EntryOf(Caller{Address: address}, LogIn, c.Username, Refused, nil)); err != nil {
			return Credentials{}, err
		}
		return Credentials{}, errWrong
	}
	if s.hasher.outdated(c.PasswordHash) {
		hash, err := s.hasher.hash(ctx, password)
		if err != nil {
			return Credentials{}, err
		}
		if err := s.store.Rehash(ctx, username, hash, c.PasswordHash); err != nil {
			return Credentials{}, err
		}
		c.PasswordHash = hash
	}
	return c, s.store.NoteLogin(ctx, username)
}

// judge looks at a password when its turn has come. The credentials are those of the
// username, none where nobody has it.
func (s *Service) judge(ctx context.Context, username, address, password string) (c Credentials, found verdict, err error) {
	try, err := s.throttle.enter(ctx, username, address)
	if err != nil {
		return Credentials{}, undecided, err
	}
	defer func() { try.settle(found) }()
	c, err = s.store.Credentials(ctx, username)
	if err != nil && market.ErrorCode(err) != market.NotFound {
		return Credentials{}, undecided, err
	}
	equal, err := s.hasher.compare(ctx, password, c.PasswordHash)
	switch {
	case err != nil:
		return Credentials{}, undecided, err
	case equal:
		return c, right, nil
	}
	return c, wrong, nil
}

// FirstAdmin is the name of the admin that is made where there is none.
const FirstAdmin = "admin"

// EnsureAdmin makes an admin where there is none, with the password, or one of its own
// where that is empty, which it returns: nobody can find it out later. It returns "" in
// every other case. The error is Invalid where the password is needed and will not do.
func (s *Service) EnsureAdmin(ctx context.Context, password string) (made string, err error) {
	if has, err := s.store.HasAdmin(ctx); has || err != nil {
		return "", err
	}
	own := ""
	if password == "" {
		own = rand.Text()
		password = own
	}
	c, err := NewUser{Username: FirstAdmin, Password: password, Role: Admin}.checked()
	if err != nil {
		return "", err
	}
	if c.PasswordHash, err = s.hasher.hash(ctx, password); err != nil {
		return "", err
	}
	entry := EntryOf(CommandLine, CreateUser, FirstAdmin, Done, map[string]string{"role": string(Admin), "why": "there was no admin"})
	first, err := s.store.CreateFirstAdmin(ctx, c, entry)
	if err != nil || !first {
		return "", err
	}
	return own, nil
}
