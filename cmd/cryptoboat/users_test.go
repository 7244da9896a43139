package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// usersShell runs "cryptoboat users" with a standard input and a password in the
// environment, and fails where one of them is shown.
type usersShell struct {
	t   *testing.T
	url string
}

func (s usersShell) run(input, variable string, words ...string) (code int, out, complaints string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	variables := map[string]string{databaseVariable: s.url, passwordVariable: variable}
	code = run(s.t.Context(), environment{
		out: &stdout, errors: &stderr, in: strings.NewReader(input),
		get: func(name string) string { return variables[name] },
	}, append([]string{"users"}, words...))
	for _, secret := range []string{strings.TrimSpace(input), variable} {
		if secret != "" && strings.Contains(stdout.String()+stderr.String(), secret) {
			s.t.Errorf("users %s shows a password:\n%s%s", strings.Join(words, " "), stdout.String(), stderr.String())
		}
	}
	return code, stdout.String(), stderr.String()
}

func TestUsersFromTheCommandLine(t *testing.T) {
	url := timescaletest.URL(t)
	shell := usersShell{t, url}
	if code, _, complaints := cryptoboat(t, url, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}
	file := filepath.Join(t.TempDir(), "users.csv")
	write := func(rows string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("username,email,password,role\r\n"+rows), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		input, variable, words string
		code                   int
		says                   string
	}{
		{"correct horse battery\r\n", "", "create Ada -role admin -email ada@example.org", 0, "ada is a new admin"},
		{"", "another password", "create -role viewer bob", 0, "bob is a new viewer"},
		{"correct horse battery\n", "", "create bob", 1, "there is a user bob already"},
		{"", "", "create eve", 2, "give the password at a terminal"},
		{"eve-is-here", "", "create eve -role root", 2, "the role must be admin or viewer"},
		{"short", "", "create eve", 2, "10 to 256 characters"},
		{"", "", "create -x", 2, "-x"},
		{"", "", "create éve", 2, "the username must be"},
		{"", "", "", 0, "ada       admin   ada@example.org"},
		{"", "", "list", 0, "bob       viewer  -"},
		{"", "", "list ada", 2, "say users list"},
		{"", "", "role bob", 2, "say users role NAME ROLE"},
		{"", "", "sink", 2, "there is no users sink"},
		{"", "", "delete bob -email b@example.org", 2, "-email says nothing to users delete"},
		{"", "", "delete ada", 1, "ada is the last admin"},
		{"", "", "role ada viewer", 1, "ada is the last admin"},
		{"", "", "role bob admin", 0, "bob is admin now"},
		{"", "", "password nobody", 1, "there is no such user"},
		{"a third password\n", "", "password bob", 0, "bob has another password"},
		{"", "", "tokens bob -days 400 -create x", 2, "1 to 366 days"},
		{"", "", "tokens bob -revoke 99", 1, "bob has no token 99"},
		{"", "", "delete ada", 0, "ada is removed"},
		{"", "", "export", 0, "username,email,role,created_at,last_login_at\nbob,,admin,"},
	} {
		var words []string
		if step.words != "" {
			words = strings.Split(step.words, " ")
		}
		code, out, complaints := shell.run(step.input, step.variable, words...)
		if code != step.code || !strings.Contains(out+complaints, step.says) {
			t.Errorf("users %s: exit code %d, wanted %d and %q:\n%s%s", step.words, code, step.code, step.says, out, complaints)
		}
	}

	write("cyd,c@example.org,\"a pass, \"\"quoted\"\"\",viewer\r\ndee,,tiny,viewer\r\n")
	code, out, complaints := shell.run("", "", "import", file)
	if code != 2 || !strings.Contains(out, "line 3: dee REFUSED: the password must have") || !strings.Contains(out, "0 users created, 1 rows refused") {
		t.Errorf("all or nothing: exit code %d:\n%s%s", code, out, complaints)
	}
	code, out, complaints = shell.run("", "", "import", "-keep-going", file)
	if code != 1 || !strings.Contains(out, "line 2: cyd is created\n") || strings.Contains(out+complaints, "tiny") || strings.Contains(out+complaints, "quoted") {
		t.Errorf("the good rows: exit code %d:\n%s%s", code, out, complaints)
	}
	if code, _, complaints := shell.run("", "", "import", file+".none"); code != 1 || !strings.Contains(complaints, "no such file") {
		t.Errorf("without a file: exit code %d: %s", code, complaints)
	}
	if code, out, complaints := shell.run("username,password\nfay,correct horse battery\n", "", "import", "-"); code != 0 || !strings.Contains(out, "1 users created") {
		t.Errorf("from standard input: exit code %d:\n%s%s", code, out, complaints)
	}

	database, err := timescale.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	people, err := accounts.NewService(database, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]string{"bob": "a third password", "cyd": `a pass, "quoted"`} {
		if _, err := people.Authenticate(t.Context(), "192.0.2.1", name, password); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	code, secret, complaints := shell.run("", "", "tokens", "bob", "-create", "robot", "-role", "admin", "-days", "1")
	if code != 0 || !regexp.MustCompile(`^cbt_[\w-]{43}\n$`).MatchString(secret) {
		t.Fatalf("exit code %d: %q %s", code, secret, complaints)
	}
	caller, err := people.CallerOfToken(t.Context(), "192.0.2.1", strings.TrimSpace(secret))
	if err != nil || caller.Username != "bob" || caller.Role != accounts.Admin {
		t.Errorf("caller %+v, %v", caller, err)
	}
	code, out, _ = shell.run("", "", "tokens", "bob")
	if code != 0 || !strings.Contains(out, "robot  admin") || strings.Contains(out, "never") || strings.Contains(out, strings.TrimSpace(secret)) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	id := regexp.MustCompile(`(?m)^\d+`).FindString(out)
	if code, _, complaints := shell.run("", "", "tokens", "bob", "-revoke", id); code != 0 {
		t.Error(complaints)
	}
	if _, err := people.CallerOfToken(t.Context(), "192.0.2.1", strings.TrimSpace(secret)); err == nil {
		t.Error("a token that was revoked opens still")
	}
	entries, err := people.Audit(t.Context(), 0, 1)
	if err != nil || entries[0].Actor != "command line" || entries[0].Action != accounts.RevokeToken || entries[0].Subject != "bob" {
		t.Errorf("the audit log has %+v, %v", entries, err)
	}
}
