package timescale_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// TestWhatIsStoredOpensNothing looks for every secret in every row, and sees what is
// left of a user who is removed.
func TestWhatIsStoredOpensNothing(t *testing.T) {
	database := timescaletest.Open(t)
	ctx := t.Context()
	service, err := accounts.NewService(database, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const password, wrong = "correct horse battery", "a guess of somebody's"
	if _, err := service.EnsureAdmin(ctx, password); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Create(ctx, accounts.CommandLine, accounts.NewUser{Username: "ada", Password: password}); err != nil {
		t.Fatal(err)
	}
	session, caller, err := service.LogIn(ctx, "192.0.2.1", "ada", password)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := service.CreateToken(ctx, caller, "robot", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.CallerOfToken(ctx, "192.0.2.1", token); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Authenticate(ctx, "192.0.2.1", wrong, wrong); market.ErrorCode(err) != market.Unauthorized {
		t.Fatal(err)
	}
	rowsOf := func(table string) (rows int, text string) {
		t.Helper()
		err := database.Pool().QueryRow(ctx, `SELECT count(*), coalesce(string_agg(r::text, E'\n'), '') FROM `+table+` AS r`).Scan(&rows, &text)
		if err != nil {
			t.Fatal(err)
		}
		return rows, text
	}
	for table, want := range map[string]int{"users": 2, "sessions": 1, "tokens": 1, "audit_log": 5} {
		rows, text := rowsOf(table)
		if rows != want {
			t.Errorf("%s has %d rows, want %d", table, rows, want)
		}
		for name, secret := range map[string]string{
			"password": password, "wrong password": wrong, "session": session, "token": token, "CSRF token": caller.CSRF,
			"session in hexadecimal": fmt.Sprintf("%x", session), "token in hexadecimal": fmt.Sprintf("%x", token),
		} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the %s:\n%s", table, name, text)
			}
		}
	}

	if err := service.Delete(ctx, accounts.CommandLine, "ada"); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{"users": 1, "sessions": 0, "tokens": 0, "audit_log": 6} {
		if rows, _ := rowsOf(table); rows != want {
			t.Errorf("without the user %s has %d rows, want %d", table, rows, want)
		}
	}
}

// TestASessionIsOfThePasswordThatWasRight: a password that is changed between the look
// at it and the session's beginning opens nothing.
func TestASessionIsOfThePasswordThatWasRight(t *testing.T) {
	database := timescaletest.Open(t)
	ctx := t.Context()
	entry := accounts.EntryOf(accounts.CommandLine, accounts.LogIn, "ada", accounts.Done, nil)
	user := accounts.Credentials{User: accounts.User{Username: "ada", Role: accounts.Viewer}, PasswordHash: "first"}
	if err := database.CreateUsers(ctx, []accounts.Credentials{user}, nil); err != nil {
		t.Fatal(err)
	}
	before, err := database.Credentials(ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	session := accounts.Session{ID: "s", Username: "ada", CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := database.CreateSession(ctx, []byte("one"), session, before.User, 20, entry); err != nil {
		t.Fatal(err)
	}
	if err := database.SetPassword(ctx, "ada", "second", "", entry); err != nil {
		t.Fatal(err)
	}
	err = database.CreateSession(ctx, []byte("two"), session, before.User, 20, entry)
	if market.ErrorCode(err) != market.NotFound {
		t.Errorf("with the password from before: %v", err)
	}
	if sessions, err := database.Sessions(ctx, "ada", now, now.Add(-time.Hour)); err != nil || len(sessions) != 0 {
		t.Errorf("sessions %+v, %v", sessions, err)
	}
}
