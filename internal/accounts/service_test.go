package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

const password = "correct horse battery"

var boss = accounts.Caller{Username: "boss", Role: accounts.Admin, Method: accounts.ByPassword, Address: "192.0.2.1"}

// clock is a time that stands until it is moved.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := new(clock)
	now := time.Now().UTC().Truncate(time.Second)
	c.now.Store(&now)
	return c
}

func (c *clock) Now() time.Time { return *c.now.Load() }
func (c *clock) move(d time.Duration) {
	now := c.Now().Add(d)
	c.now.Store(&now)
}

func open(t *testing.T) (*accounts.Service, accounts.Store, *clock) {
	t.Helper()
	database, clock := timescaletest.Open(t), newClock()
	service, err := accounts.NewCheapService(database, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	create(t, service, "boss", accounts.Admin)
	return service, database, clock
}

func create(t *testing.T, s *accounts.Service, name string, role accounts.Role) {
	t.Helper()
	if _, err := s.Create(t.Context(), boss, accounts.NewUser{Username: name, Password: password, Role: role}); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want market.Code) {
	t.Helper()
	if got := market.ErrorCode(err); got != want {
		t.Errorf("error %v has the code %q, want %q", err, got, want)
	}
}

func TestUsers(t *testing.T) {
	service, _, _ := open(t)
	ctx := t.Context()
	ada, err := service.Create(ctx, boss, accounts.NewUser{Username: " Ada ", Email: "ada@example.org", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if ada.Username != "ada" || ada.Role != accounts.Viewer || ada.Email != "ada@example.org" || ada.LastLoginAt.Valid {
		t.Errorf("created %+v", ada)
	}
	_, err = service.Create(ctx, boss, accounts.NewUser{Username: "ADA", Password: password})
	wantCode(t, err, market.Conflict)
	for _, bad := range []accounts.NewUser{
		{Username: "", Password: password}, {Username: "аda", Password: password}, // a Cyrillic a
		{Username: "\u212Aim", Password: password}, // a Kelvin sign, of which the small letter is k
		{Username: "-ada", Password: password},
		{Username: strings.Repeat("a", 65), Password: password}, {Username: "x y", Password: password},
		{Username: "bob", Password: "short"}, {Username: "bob", Password: strings.Repeat("p", 257)}, {Username: "bob", Password: "\xFF\xFE not of UTF-8"},
		{Username: "bob-the-builder", Password: "Bob-The-Builder"}, {Username: "bob", Password: "with a \x00 in it"},
		{Username: "bob", Password: password, Email: "nobody"}, {Username: "bob", Password: password, Email: "B <b@example.org>"},
		{Username: "bob", Password: password, Role: "root"},
	} {
		_, err := service.Create(ctx, boss, bad)
		wantCode(t, err, market.Invalid)
		if err != nil && strings.Contains(err.Error(), bad.Password) && bad.Password != "" {
			t.Errorf("the error %q holds the password", err)
		}
	}
	if err := service.SetPassword(ctx, boss, "ada", strings.Repeat("ä", 256)); err != nil {
		t.Errorf("256 characters: %v", err)
	}
	if err := service.SetRole(ctx, boss, "ada", accounts.Admin); err != nil {
		t.Fatal(err)
	}
	if err := service.Delete(ctx, boss, "boss"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, service.Delete(ctx, boss, "boss"), market.NotFound)
	wantCode(t, service.Delete(ctx, boss, "ada"), market.Conflict)
	wantCode(t, service.SetRole(ctx, boss, "ada", accounts.Viewer), market.Conflict)
	users, err := service.List(ctx, "", 10)
	if err != nil || len(users) != 1 || users[0].Username != "ada" || users[0].Role != accounts.Admin {
		t.Errorf("there are %+v, %v", users, err)
	}
	entries, err := service.Audit(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range entries {
		actions = append(actions, string(e.Action)+" "+e.Subject)
	}
	if got, want := strings.Join(actions, ", "), "delete_user boss, change_role ada, change_password ada, create_user ada, create_user boss"; got != want {
		t.Errorf("the audit log has %s, want %s", got, want)
	}
}

func TestTheLastAdminStaysHoweverManyTry(t *testing.T) {
	service, _, _ := open(t)
	for i := range 7 {
		create(t, service, fmt.Sprint("admin", i), accounts.Admin)
	}
	var working sync.WaitGroup
	names := []string{"boss", "admin0", "admin1", "admin2", "admin3", "admin4", "admin5", "admin6"}
	var kept atomic.Int64
	for i, name := range names {
		working.Go(func() {
			var err error
			if i%2 == 0 {
				err = service.Delete(context.Background(), boss, name)
			} else {
				err = service.SetRole(context.Background(), boss, name, accounts.Viewer)
			}
			if err != nil {
				wantCode(t, err, market.Conflict)
				kept.Add(1)
			}
		})
	}
	working.Wait()
	if kept.Load() != 1 {
		t.Errorf("%d admins are left, want 1", kept.Load())
	}
}

func TestEnsureAdmin(t *testing.T) {
	database := timescaletest.Open(t)
	service, err := accounts.NewCheapService(database, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.EnsureAdmin(t.Context(), "short"); market.ErrorCode(err) != market.Invalid {
		t.Errorf("a password that will not do gave %v", err)
	}
	// The name is taken by a viewer, who must neither keep the service without an admin
	// nor become it.
	create(t, service, accounts.FirstAdmin, accounts.Viewer)
	viewer, _, err := service.LogIn(t.Context(), "", accounts.FirstAdmin, password)
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	var made sync.Map
	for range 8 {
		working.Go(func() {
			own, err := service.EnsureAdmin(context.Background(), "")
			if err != nil {
				t.Error(err)
			}
			if own != "" {
				made.Store(own, true)
			}
		})
	}
	working.Wait()
	count := 0
	made.Range(func(own, _ any) bool {
		count++
		caller, err := service.Authenticate(t.Context(), "", accounts.FirstAdmin, own.(string))
		if err != nil || caller.Role != accounts.Admin {
			t.Errorf("the first admin is %+v, %v", caller, err)
		}
		return true
	})
	if count != 1 {
		t.Errorf("%d passwords were made, want 1", count)
	}
	_, err = service.CallerOfSession(t.Context(), "", viewer)
	wantCode(t, err, market.Unauthorized)
	// Where there is an admin, what the environment says does not matter.
	if own, err := service.EnsureAdmin(t.Context(), "short"); own != "" || err != nil {
		t.Errorf("with an admin: %q, %v", own, err)
	}
}

func TestAuthenticate(t *testing.T) {
	service, database, _ := open(t)
	ctx := t.Context()
	caller, err := service.Authenticate(ctx, "192.0.2.2", "BOSS", password)
	if err != nil || caller.Username != "boss" || caller.Role != accounts.Admin || caller.Method != accounts.ByPassword {
		t.Fatalf("caller %+v, %v", caller, err)
	}
	user, err := service.User(ctx, "boss")
	if err != nil || !user.LastLoginAt.Valid {
		t.Errorf("the login was not noted: %+v, %v", user, err)
	}
	// Whoever asks cannot tell by the work who exists.
	before := service.Computed()
	_, wrong := service.Authenticate(ctx, "192.0.2.3", "boss", "not the password")
	known := service.Computed() - before
	_, nobody := service.Authenticate(ctx, "192.0.2.3", "nobody", "not the password")
	_, noName := service.Authenticate(ctx, "192.0.2.3", "no name at all", "not the password")
	if unknown := service.Computed() - before - known; known != 1 || unknown != 2 {
		t.Errorf("a wrong password takes %d hashes, two unknown users %d", known, unknown)
	}
	for _, err := range []error{wrong, nobody, noName} {
		wantCode(t, err, market.Unauthorized)
		if err.Error() != wrong.Error() {
			t.Errorf("the errors differ: %v, %v", err, wrong)
		}
	}
	// What was tried is noted by the names that somebody has: others may be passwords.
	entries, err := service.Audit(ctx, 0, 3)
	if err != nil || len(entries) != 3 || entries[0].Subject != "" || entries[1].Subject != "" || entries[2].Subject != "boss" {
		t.Errorf("the audit log has %+v, %v", entries, err)
	}
	for _, e := range entries {
		if e.Action != accounts.LogIn || e.Outcome != accounts.Refused || e.Actor != "" || e.Address != "192.0.2.3" {
			t.Errorf("the audit log has %+v", e)
		}
	}
	// A right password is hashed once; one that was changed is not remembered.
	before = service.Computed()
	if _, err := service.Authenticate(ctx, "192.0.2.2", "boss", password); err != nil || service.Computed() != before {
		t.Errorf("a password that was right before took %d hashes, %v", service.Computed()-before, err)
	}
	if err := service.SetPassword(ctx, boss, "boss", "another password"); err != nil {
		t.Fatal(err)
	}
	_, err = service.Authenticate(ctx, "192.0.2.2", "boss", password)
	wantCode(t, err, market.Unauthorized)
	// A hash that would take the machine down is not computed.
	c, err := database.Credentials(ctx, "boss")
	if err != nil {
		t.Fatal(err)
	}
	absurd := strings.Replace(c.PasswordHash, "m=8,", "m=4294967295,", 1)
	if absurd == c.PasswordHash {
		t.Fatalf("the hash %s names its memory otherwise", c.PasswordHash)
	}
	if err := database.Rehash(ctx, "boss", absurd, c.PasswordHash); err != nil {
		t.Fatal(err)
	}
	_, err = service.Authenticate(ctx, "192.0.2.2", "boss", "another password")
	wantCode(t, err, market.Internal)
}

func TestAHashOfOtherCostsIsRenewed(t *testing.T) {
	service, database, clock := open(t)
	dear, err := accounts.NewService(database, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dear.Authenticate(t.Context(), "", "boss", password); err != nil {
		t.Fatal(err)
	}
	c, err := database.Credentials(t.Context(), "boss")
	if err != nil || !strings.Contains(c.PasswordHash, "m=19456,t=2,p=1") {
		t.Errorf("the hash is %s, %v", c.PasswordHash, err)
	}
	if _, err := service.Authenticate(t.Context(), "", "boss", password); err != nil {
		t.Error(err)
	}
}

func TestThrottle(t *testing.T) {
	service, _, clock := open(t)
	ctx := t.Context()
	const thief, home = "192.0.2.66", "192.0.2.10"
	if _, err := service.Authenticate(ctx, home, "boss", password); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		_, err := service.Authenticate(ctx, thief, "boss", "guess guess guess")
		wantCode(t, err, market.Unauthorized)
	}
	before := service.Computed()
	_, err := service.Authenticate(ctx, thief, "boss", password)
	wantCode(t, err, market.Throttled)
	throttled, ok := errors.AsType[*accounts.ThrottledError](err)
	if !ok || throttled.Wait <= 0 || service.Computed() != before {
		t.Errorf("the error is %v, after %d hashes", err, service.Computed()-before)
	}
	// Many addresses together come no further, and do not lock the owner out.
	guesses := 0
	for i := range 100 {
		_, err := service.Authenticate(ctx, fmt.Sprint("198.51.100.", i), "boss", "guess guess guess")
		if market.ErrorCode(err) == market.Throttled {
			break
		}
		guesses++
	}
	if guesses > 50 {
		t.Errorf("%d guesses were looked at", guesses)
	}
	if _, err := service.Authenticate(ctx, home, "boss", password); err != nil {
		t.Errorf("the owner is locked out: %v", err)
	}
	clock.move(throttled.Wait)
	if _, err := service.Authenticate(ctx, thief, "boss", password); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestThrottleCountsWhatComesAtOnce(t *testing.T) {
	service, _, clock := open(t)
	tryAtOnce := func(password string) (answers map[market.Code]int) {
		var mutex sync.Mutex
		var working sync.WaitGroup
		answers = map[market.Code]int{}
		for range 40 {
			working.Go(func() {
				_, err := service.Authenticate(context.Background(), "192.0.2.66", "boss", password)
				mutex.Lock()
				defer mutex.Unlock()
				answers[market.ErrorCode(err)]++
			})
		}
		working.Wait()
		return answers
	}
	before := service.Computed()
	if answers := tryAtOnce("guess guess guess"); answers[market.Unauthorized] != 5 || answers[market.Throttled] != 35 {
		t.Errorf("40 guesses at once were answered %v", answers)
	}
	if computed := service.Computed() - before; computed != 5 {
		t.Errorf("40 guesses at once took %d hashes, want 5", computed)
	}
	clock.move(5 * time.Minute)
	if answers := tryAtOnce(password); answers[""] != 40 {
		t.Errorf("40 who know the password were answered %v", answers)
	}
}

func TestThrottleCountsByNetwork(t *testing.T) {
	service, _, _ := open(t)
	var last error
	for i := range 26 { // 25 are looked at, whatever the account and the half that a customer chooses
		_, last = service.Authenticate(t.Context(), fmt.Sprintf("2001:db8::%x:1", i), fmt.Sprint("user", i), "guess guess guess")
		if code := market.ErrorCode(last); i < 25 && code != market.Unauthorized {
			t.Fatalf("guess %d: %v", i, last)
		}
	}
	wantCode(t, last, market.Throttled)
	if _, err := service.Authenticate(t.Context(), "2001:db8:0:1::1", "boss", password); err != nil {
		t.Errorf("from another network: %v", err)
	}
	if _, err := service.Authenticate(t.Context(), "::ffff:192.0.2.1", "boss", password); err != nil {
		t.Errorf("from IPv4: %v", err)
	}
}

func TestSessions(t *testing.T) {
	service, _, clock := open(t)
	ctx := t.Context()
	secret, caller, err := service.LogIn(ctx, "192.0.2.2", "boss", password)
	if err != nil {
		t.Fatal(err)
	}
	again, err := service.CallerOfSession(ctx, "192.0.2.3", secret)
	if err != nil || again.Username != "boss" || again.Session != caller.Session || !again.CheckCSRF(caller.CSRF) {
		t.Errorf("caller %+v, %v", again, err)
	}
	if again.CheckCSRF("") || (accounts.Caller{}).CheckCSRF("") {
		t.Error("an empty form passes")
	}
	if strings.Contains(caller.Session+caller.CSRF, secret) {
		t.Error("what is shown opens the session")
	}
	_, err = service.CallerOfSession(ctx, "", secret+"x")
	wantCode(t, err, market.Unauthorized)
	if sessions, err := service.Sessions(ctx, "boss"); err != nil || len(sessions) != 1 || sessions[0].ID != caller.Session {
		t.Errorf("sessions %+v, %v", sessions, err)
	}

	for range 20 { // in use, it lasts a week
		clock.move(accounts.SessionIdle - time.Minute)
		if _, err = service.CallerOfSession(ctx, "", secret); err != nil {
			break
		}
	}
	wantCode(t, err, market.Unauthorized)
	idle, _, err := service.LogIn(ctx, "", "boss", password)
	if err != nil {
		t.Fatal(err)
	}
	clock.move(accounts.SessionIdle + time.Second)
	_, err = service.CallerOfSession(ctx, "", idle)
	wantCode(t, err, market.Unauthorized)
	if pruned, err := service.Prune(ctx); err != nil || pruned != 2 {
		t.Errorf("%d sessions were removed, %v", pruned, err)
	}

	first, by, err := service.LogIn(ctx, "", "boss", password)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := service.LogIn(ctx, "", "boss", password)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.LogOut(ctx, by, first); err != nil {
		t.Fatal(err)
	}
	_, err = service.CallerOfSession(ctx, "", first)
	wantCode(t, err, market.Unauthorized)
	third, _, err := service.LogIn(ctx, "", "boss", password)
	if err != nil {
		t.Fatal(err)
	}
	create(t, service, "ada", accounts.Viewer)
	of := func(secret string) string {
		caller, err := service.CallerOfSession(ctx, "", secret)
		if err != nil {
			t.Fatal(err)
		}
		return caller.Session
	}
	wantCode(t, service.EndSession(ctx, accounts.Caller{Username: "ada", Role: accounts.Viewer}, "boss", of(third)), market.Forbidden)
	wantCode(t, service.EndSession(ctx, by, "ada", of(third)), market.NotFound) // hers it is not
	if err := service.EndSession(ctx, by, "boss", of(third)); err != nil {
		t.Fatal(err)
	}
	_, err = service.CallerOfSession(ctx, "", third)
	wantCode(t, err, market.Unauthorized)
	wantCode(t, service.ChangePassword(ctx, by, "not the password", "another password"), market.Unauthorized)
	if err := service.ChangePassword(ctx, by, password, "another password"); err != nil {
		t.Fatal(err)
	}
	_, err = service.CallerOfSession(ctx, "", second)
	wantCode(t, err, market.Unauthorized)
}

// Who logs in again and again, or a program that never logs out, does not fill the table.
func TestTheOldestSessionsEnd(t *testing.T) {
	service, store, clock := open(t)
	ctx := t.Context()
	create(t, service, "vera", accounts.Viewer)
	other, _, err := service.LogIn(ctx, "192.0.2.9", "vera", password)
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for range accounts.MostSessions {
		clock.move(time.Second)
		secret, _, err := service.LogIn(ctx, "192.0.2.1", "boss", password)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	if _, err := service.CallerOfSession(ctx, "192.0.2.1", secrets[0]); err != nil {
		t.Errorf("the first of %d: %v", len(secrets), err)
	}
	var logins sync.WaitGroup // however many come at once
	for range 5 {
		logins.Go(func() {
			if _, _, err := service.LogIn(ctx, "192.0.2.1", "boss", password); err != nil {
				t.Error(err)
			}
		})
	}
	logins.Wait()
	sessions, err := service.Sessions(ctx, "boss")
	if err != nil || len(sessions) != accounts.MostSessions {
		t.Errorf("%d sessions, %v", len(sessions), err)
	}
	for i, secret := range secrets {
		_, err := service.CallerOfSession(ctx, "192.0.2.1", secret)
		if want := map[bool]market.Code{true: market.Unauthorized}[i < 5]; market.ErrorCode(err) != want {
			t.Errorf("session %d of %d: %v", i, len(secrets), err)
		}
	}
	if _, err := service.CallerOfSession(ctx, "192.0.2.9", other); err != nil {
		t.Errorf("the session of somebody else: %v", err)
	}
	entries, err := store.Audit(ctx, 0, 1)
	if err != nil || entries[0].Details["older_sessions_ended"] != "1" {
		t.Errorf("the audit log says %+v, %v", entries, err)
	}
}

// Who knows a password may not make a token by it while it is being changed: the token
// would outlast it.
func TestNoTokenOutlastsThePassword(t *testing.T) {
	service, _, _ := open(t)
	ctx := t.Context()
	byPassword, err := service.Authenticate(ctx, "192.0.2.1", "boss", password)
	if err != nil {
		t.Fatal(err)
	}
	_, bySession, err := service.LogIn(ctx, "192.0.2.1", "boss", password)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.CreateToken(ctx, bySession, "in time", "", 0); err != nil {
		t.Error(err)
	}
	if err := service.SetPassword(ctx, boss, "boss", "another "+password); err != nil {
		t.Fatal(err)
	}
	for _, by := range []accounts.Caller{byPassword, bySession} {
		_, _, err := service.CreateToken(ctx, by, "too late", "", 0)
		wantCode(t, err, market.Unauthorized)
	}
	if tokens, err := service.Tokens(ctx, "boss"); err != nil || len(tokens) != 0 {
		t.Errorf("%d tokens are left, %v", len(tokens), err)
	}
}

func TestTokens(t *testing.T) {
	service, _, clock := open(t)
	ctx := t.Context()
	create(t, service, "ada", accounts.Viewer)
	ada := accounts.Caller{Username: "ada", Role: accounts.Viewer}
	_, _, err := service.CreateToken(ctx, ada, "too much", accounts.Admin, 0)
	wantCode(t, err, market.Forbidden)
	for _, name := range []string{"", " ", "a\nb", strings.Repeat("n", 101)} {
		_, _, err := service.CreateToken(ctx, ada, name, "", 0)
		wantCode(t, err, market.Invalid)
	}
	_, _, err = service.CreateToken(ctx, ada, "for ever", "", 10_000*time.Hour)
	wantCode(t, err, market.Invalid)
	secret, token, err := service.CreateToken(ctx, boss, "robot", accounts.Admin, 0)
	if err != nil || !strings.HasPrefix(secret, accounts.TokenPrefix) || !token.ExpiresAt.Equal(clock.Now().Add(accounts.TokenLifetime)) {
		t.Fatalf("token %+v, %v", token, err)
	}
	_, _, err = service.CreateToken(ctx, boss, "robot", "", 0)
	wantCode(t, err, market.Conflict)
	caller, err := service.CallerOfToken(ctx, "192.0.2.9", secret)
	if err != nil || caller.Username != "boss" || caller.Role != accounts.Admin || caller.Method != accounts.ByToken {
		t.Errorf("caller %+v, %v", caller, err)
	}
	// A token does no more than its user may by now.
	create(t, service, "second", accounts.Admin)
	if err := service.SetRole(ctx, boss, "boss", accounts.Viewer); err != nil {
		t.Fatal(err)
	}
	if caller, err = service.CallerOfToken(ctx, "", secret); err != nil || caller.Role != accounts.Viewer {
		t.Errorf("caller %+v, %v", caller, err)
	}
	weak, _, err := service.CreateToken(ctx, accounts.Caller{Username: "second", Role: accounts.Admin}, "reads", accounts.Viewer, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if caller, err = service.CallerOfToken(ctx, "", weak); err != nil || caller.Role != accounts.Viewer {
		t.Errorf("caller %+v, %v", caller, err)
	}
	_, _, err = service.CreateToken(ctx, caller, "offspring", accounts.Viewer, 0)
	wantCode(t, err, market.Forbidden)
	_, _, err = service.CreateTokenFor(ctx, ada, "second", "not hers", accounts.Viewer, 0)
	wantCode(t, err, market.Forbidden)
	_, hers, err := service.CreateTokenFor(ctx, accounts.CommandLine, "ADA", "given", accounts.Viewer, 0)
	if err != nil || hers.Username != "ada" {
		t.Fatalf("token %+v, %v", hers, err)
	}
	_, _, err = service.CreateTokenFor(ctx, accounts.CommandLine, "ada", "too much", accounts.Admin, 0)
	wantCode(t, err, market.Forbidden)
	if err := service.RevokeToken(ctx, accounts.CommandLine, hers.ID); err != nil {
		t.Errorf("an admin's revocation: %v", err)
	}
	clock.move(time.Hour)
	_, err = service.CallerOfToken(ctx, "", weak)
	wantCode(t, err, market.Unauthorized)
	wantCode(t, service.RevokeToken(ctx, ada, token.ID), market.NotFound) // another's
	if err := service.RevokeToken(ctx, boss, token.ID); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{secret, "", "cbt_", "cbt_x", strings.TrimPrefix(secret, accounts.TokenPrefix)} {
		_, err = service.CallerOfToken(ctx, "", secret)
		wantCode(t, err, market.Unauthorized)
	}
}
