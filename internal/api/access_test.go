package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// callers are all kinds of callers, by what they send.
var callers = []struct {
	name   string
	role   accounts.Role // empty for nobody
	header []string
}{
	{"nobody", "", nil},
	{"a session that has ended", "", []string{"Cookie", SessionCookie + "=gone"}},
	{"viewer by password", accounts.Viewer, []string{"Authorization", basic(viewerName, adminPassword)}},
	{"viewer by session", accounts.Viewer, []string{"Cookie", SessionCookie + "=" + goodSession}},
	{"admin by a viewer's token", accounts.Viewer, []string{"Authorization", "Bearer " + goodToken}},
	{"admin by password", accounts.Admin, []string{"Authorization", basic(adminName, adminPassword)}},
}

// What each operation is for is written down here once more: one that is added has to
// be thought about.
var (
	openOperations = "list-candles list-indicators export-candles list-coins get-coin get-coin-history get-coverage get-forecast get-health list-models get-model " +
		"get-price get-scores list-forecasts stream get-stream-status list-symbols older-predict older-predict-post older-predict-and-decide " +
		"older-authenticate older-current-price older-characteristics older-historical-data"
	userOperations  = "get-me change-my-password list-my-tokens create-token revoke-token list-jobs list-runs get-run list-settings"
	adminOperations = "promote-model train-model list-users create-user get-user delete-user set-role set-password import-users export-users " +
		"list-audit run-job retry-run cancel-run change-settings older-train older-add-user older-import-users older-delete-user"
)

func TestAccessOfEveryOperation(t *testing.T) {
	needs := map[string]accounts.Role{}
	for role, names := range map[accounts.Role]string{"": openOperations, accounts.Viewer: userOperations, accounts.Admin: adminOperations} {
		for name := range strings.FieldsSeq(names) {
			needs[name] = role
		}
	}
	everyOperation(func(path string, operation *huma.Operation) {
		needed, known := needs[operation.OperationID]
		if !known {
			t.Errorf("nobody has thought about who may call %s %s (%s)", operation.Method, path, operation.OperationID)
			return
		}
		if operation.OperationID == "stream" {
			return // it does not end; TestAClosedStream asks for it
		}
		target, body := requestOf(path, operation)
		for _, closed := range []bool{false, true} {
			f := newService(3)
			f.closed = closed
			s := serveFake(t, f)
			for _, caller := range callers {
				a := s.ask(t, operation.Method, target, body, caller.header...)
				refused := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
				want := 0
				switch {
				case needed == "" && (!closed || caller.role != ""):
				case caller.role == "":
					want = http.StatusUnauthorized
				case needed != "" && !caller.role.May(needed):
					want = http.StatusForbidden
				}
				if operation.OperationID == "older-authenticate" {
					continue // its answer is 401 by itself
				}
				if want != 0 && a.status != want || want == 0 && refused {
					t.Errorf("%s %s as %s, closed %t: status %d, want %d", operation.Method, path, caller.name, closed, a.status, want)
				}
				if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s %s as %s: nothing says how to log in", operation.Method, path, caller.name)
				}
			}
		}
	})
}

func TestAClosedStream(t *testing.T) {
	f := newService(3)
	f.closed = true
	if a := serveFake(t, f).ask(t, http.MethodGet, "/v1/stream", ""); a.status != http.StatusUnauthorized {
		t.Errorf("status %d", a.status)
	}
}

func TestWrongCredentialsAreRefusedEverywhere(t *testing.T) {
	s := serveFake(t, newService(3))
	for _, target := range []string{"/healthcheck", "/v1/symbols", "/docs", "/nowhere"} {
		for _, given := range []string{
			basic(adminName, "wrong"), basic("nobody", adminPassword), "Bearer cbt_wrong", "Bearer", "Digest x", "x",
		} {
			a := s.ask(t, http.MethodGet, target, "", "Authorization", given)
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != challenge {
				t.Errorf("%s with %.12s: status %d, %q", target, given, a.status, a.header.Get("WWW-Authenticate"))
			}
			if strings.Contains(a.body+s.log.String(), "wrong") && !strings.Contains(a.body, "is wrong") {
				t.Errorf("%s: an answer or the log holds what was given: %s", target, a.body)
			}
		}
	}
	a := s.ask(t, http.MethodGet, "/v1/symbols", "", "Authorization", basic(adminName, "throttled"))
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "90" {
		t.Errorf("status %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	s := serveFake(t, newService(3))
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		a := s.post(t, "/v1/models/7/promote", `{"reason":"x"}`, header...)
		if a.status != http.StatusForbidden {
			t.Errorf("%q: status %d", header, a.status)
		}
	}
}

func TestClosedPagesLeadToTheLogin(t *testing.T) {
	f := newService(3)
	f.closed = true
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{page...}", func(http.ResponseWriter, *http.Request) {})
	handler := Wrap(mux, fakePeople{f}, f.current, slog.New(slog.DiscardHandler))
	for _, test := range []struct {
		path, accept, cookie string
		status               int
		location             string
	}{
		{"/BTCUSDT/15m?days=3", "text/html", "", http.StatusSeeOther, "/login?next=%2FBTCUSDT%2F15m%3Fdays%3D3"},
		{"/docs", "text/html", "", http.StatusSeeOther, "/login?next=%2Fdocs"},
		{"/openapi.json", "*/*", "", http.StatusUnauthorized, ""},
		{"/login", "text/html", "", http.StatusOK, ""},
		{"/static/style.css", "text/css", "", http.StatusOK, ""},
		{"/BTCUSDT/15m", "text/html", goodSession, http.StatusOK, ""},
	} {
		request := httptest.NewRequest(http.MethodGet, test.path, nil)
		request.Header.Set("Accept", test.accept)
		if test.cookie != "" {
			request.AddCookie(&http.Cookie{Name: SessionCookie, Value: test.cookie})
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != test.status || recorder.Header().Get("Location") != test.location {
			t.Errorf("%s: status %d to %q, want %d to %q", test.path, recorder.Code, recorder.Header().Get("Location"), test.status, test.location)
		}
	}
}

// Who guesses passwords gains nothing by saying that each comes from elsewhere.
func TestAForgedAddressIsThrottledAllTheSame(t *testing.T) {
	for name, test := range map[string]struct{ remote, forwarded string }{
		"from outside":         {"198.51.100.7:4711", "203.0.113.%d"},
		"through a proxy":      {"127.0.0.1:4711", "203.0.113.%d, 198.51.100.7"},
		"through a far proxy":  {"10.0.0.5:4711", "203.0.113.%d, 198.51.100.7"},
		"as a private address": {"198.51.100.7:4711", "10.0.0.%d"},
	} {
		t.Run(name, func(t *testing.T) {
			people, err := accounts.NewService(timescaletest.Open(t), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			handler := Wrap(http.NewServeMux(), people, nil, slog.New(slog.DiscardHandler))
			statuses := map[int]int{}
			for k := range 40 {
				request := httptest.NewRequest(http.MethodGet, "/v1/me", nil)
				request.RemoteAddr = test.remote
				request.Header.Set("X-Forwarded-For", fmt.Sprintf(test.forwarded, k))
				request.SetBasicAuth(fmt.Sprint("somebody", k), "guess "+fmt.Sprint(k))
				recorder := httptest.NewRecorder()
				handler.ServeHTTP(recorder, request)
				statuses[recorder.Code]++
			}
			if statuses[http.StatusUnauthorized] != 25 || statuses[http.StatusTooManyRequests] != 15 {
				t.Errorf("of 40 guesses came %v", statuses)
			}
		})
	}
}

func TestAddressOf(t *testing.T) {
	for _, test := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:4711", "", "192.0.2.1"},
		{"192.0.2.1:4711", "198.51.100.7", "192.0.2.1"}, // anybody can say so
		{"127.0.0.1:4711", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		{"[::1]:4711", "2001:db8::1", "2001:db8::1"},
		{"127.0.0.1:4711", "no address", "127.0.0.1"},
		{"172.18.0.5:4711", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		{"[fd00::5]:4711", "198.51.100.7", "198.51.100.7"},
		{"169.254.1.1:4711", "198.51.100.7", "169.254.1.1"},
		{"172.18.0.5:4711", "", "172.18.0.5"},
		{"172.18.0.5:4711", "198.51.100.7,", "172.18.0.5"},
		{"[2001:db8::5]:4711", "198.51.100.7", "2001:db8::5"},
		{"@", "", ""},
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.RemoteAddr = test.remote
		if test.forwarded != "" {
			request.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := addressOf(request); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}
