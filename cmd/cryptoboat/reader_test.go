package main

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestAReaderIsMadeByACommand(t *testing.T) {
	address := timescaletest.URL(t)
	timescaletest.OpenAt(t, address)
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Replace(strings.TrimPrefix(parsed.Path, "/"), "test", "reader", 1)
	reader := func(given string, arguments ...string) (code int, out, complaints string) {
		var stdout, stderr bytes.Buffer
		code = run(context.WithoutCancel(t.Context()), environment{out: &stdout, errors: &stderr, get: func(variable string) string {
			return map[string]string{databaseVariable: address, readerPasswordVariable: given}[variable]
		}}, append([]string{"reader", "-name", name}, arguments...))
		return code, stdout.String(), stderr.String()
	}
	t.Cleanup(func() { reader("", "drop") })

	code, password, complaints := reader("", "create")
	password = strings.TrimSpace(password)
	if code != 0 || len(password) < 20 || strings.Contains(password, " ") || !strings.Contains(complaints, "not shown again") {
		t.Fatalf("exit code %d, %q, %s", code, password, complaints)
	}
	for _, step := range []struct {
		given, says, password string
		arguments             []string
	}{
		{"", "the one it had", password, []string{"create"}},
		{"gannet-41", "with the password of CRYPTOBOAT_READER_PASSWORD", "gannet-41", []string{"create"}},
	} {
		code, out, complaints := reader(step.given, step.arguments...)
		if code != 0 || !strings.Contains(out, step.says) || strings.Contains(out+complaints, step.password) {
			t.Errorf("exit code %d, %s%s", code, out, complaints)
		}
		parsed.User = url.UserPassword(name, step.password)
		connection, err := pgx.Connect(t.Context(), parsed.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connection.Exec(t.Context(), `SELECT FROM latest_prices`); err != nil {
			t.Error(err)
		}
		connection.Close(t.Context())
	}
	for _, step := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{"drop"}, 0, "is removed"},
		{[]string{"drop"}, 1, "there is no reader"},
		{[]string{"shrink"}, 2, "say create or drop"},
		{[]string{"create", "-name", "Reader"}, 2, "is no name for a reader"},
	} {
		if code, out, complaints := reader("", step.arguments...); code != step.code || !strings.Contains(out+complaints, step.says) {
			t.Errorf("%v: exit code %d, %s%s", step.arguments, code, out, complaints)
		}
	}
}
