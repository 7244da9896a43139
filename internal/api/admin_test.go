package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Whoever is not the admin gets to no operation but those declared open, whose
// handlers would panic here.
func TestEveryOperationThatIsNotOpenIsRefusedToNobodies(t *testing.T) {
	count := 0
	everyOperation(func(path string, operation *huma.Operation) {
		if isOpen(operation) {
			return
		}
		count++
		target, body := requestOf(path, operation)
		for name, header := range map[string][]string{
			"nothing":             nil,
			"a wrong password":    {"Authorization", basic("admin", "wrong")},
			"no password":         {"Authorization", basic("admin", "")},
			"a longer password":   {"Authorization", basic("admin", adminPassword+"s")},
			"another name":        {"Authorization", basic("root", adminPassword)},
			"another scheme":      {"Authorization", "Bearer " + adminPassword},
			"what is no base64":   {"Authorization", "Basic " + adminPassword},
			"a name in a capital": {"Authorization", basic("Admin", adminPassword)},
		} {
			f := newService(3)
			f.panics = "nobody comes this far"
			s := serveFake(t, f)
			a := s.ask(t, operation.Method, target, body, header...)
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != adminChallenge {
				t.Errorf("%s with %s: status %d, WWW-Authenticate %q", path, name, a.status, a.header.Get("WWW-Authenticate"))
			}
			if strings.Contains(a.body+s.log.String(), adminPassword) || strings.Contains(s.log.String(), "Basic") {
				t.Errorf("%s with %s: the password is told: %s\n%s", path, name, a.body, s.log)
			}
		}
		f := newService(3)
		if a := serveFake(t, f).ask(t, operation.Method, target, body, "Authorization", basic("admin", adminPassword)); a.status != http.StatusOK {
			t.Errorf("%s as the admin: status %d, %s", path, a.status, a.body)
		}
	})
	if count != 2 {
		t.Errorf("%d operations are closed, want 2", count)
	}
}

func TestWithoutAPasswordNobodyIsTheAdmin(t *testing.T) {
	f := newService(3)
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{History: f, Models: f, Trainer: f, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	s := service{Handler: Wrap(mux, slog.New(slog.DiscardHandler))}
	for _, password := range []string{"", adminPassword} {
		got := decode[problem](t, s.ask(t, http.MethodPost, "/v1/models/train", `{"symbol":"BTCUSDT"}`, "Authorization", basic("admin", password)), http.StatusForbidden)
		if !strings.Contains(got.Detail, "CRYPTOBOAT_ADMIN_PASSWORD") {
			t.Errorf("it is not said what to do: %s", got.Detail)
		}
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	for name, test := range map[string]struct {
		header []string
		status int
	}{
		"a program":              {nil, 200},
		"a page of this site":    {[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		"typed by the user":      {[]string{"Sec-Fetch-Site", "none"}, 200},
		"a page of another site": {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a page of a sibling":    {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"an older browser":       {[]string{"Origin", "https://elsewhere.example"}, 403},
		"an older one, here":     {[]string{"Origin", "http://example.com"}, 200},
	} {
		f := newService(3)
		if a := serveFake(t, f).post(t, "/v1/models/7/promote", `{"reason":"it was better"}`, test.header...); a.status != test.status || (f.reason != "") != (a.status == 200) {
			t.Errorf("%s: status %d, want %d; promoted for %q", name, a.status, test.status, f.reason)
		}
	}
	if a := serveFake(t, newService(3)).get(t, "/v1/symbols", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusOK {
		t.Errorf("reading is refused to other sites: status %d", a.status)
	}
}

// An operation that does not say who may call it is for the admin.
func TestOperationsAreClosedUnlessTheySayOtherwise(t *testing.T) {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("", ""))
	api.UseMiddleware(newGuard(api, adminPassword, time.Now).check)
	handler := func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }
	huma.Register(api, huma.Operation{Method: http.MethodGet, Path: "/silent"}, handler)
	huma.Register(api, huma.Operation{Method: http.MethodGet, Path: "/open", Security: open}, handler)
	for path, want := range map[string]int{"/silent": http.StatusUnauthorized, "/open": http.StatusNoContent} {
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if recorder.Code != want {
			t.Errorf("%s: status %d, want %d", path, recorder.Code, want)
		}
	}
}

func TestWrongPasswordsAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newService(3)
		s := serveFake(t, f)
		from := func(address, password string) *httptest.ResponseRecorder {
			request := httptest.NewRequest(http.MethodPost, "/v1/models/7/promote", strings.NewReader(`{"reason":"it was better"}`))
			request.Header.Set("Content-Type", "application/json")
			request.RemoteAddr = address
			if password != "" {
				request.SetBasicAuth("admin", password)
			}
			recorder := httptest.NewRecorder()
			s.ServeHTTP(recorder, request)
			return recorder
		}
		const attacker, admin = "198.51.100.7:4711", "203.0.113.9:4711"
		for range 2 * wrongTries { // right ones, and none, are not counted
			if a := from(attacker, adminPassword); a.Code != 200 {
				t.Fatalf("the right password: status %d", a.Code)
			}
			if a := from(attacker, ""); a.Code != 401 {
				t.Fatalf("no password: status %d", a.Code)
			}
		}
		time.Sleep(50 * time.Second)
		for k := range wrongTries {
			if a := from(attacker, "wrong"); a.Code != 401 {
				t.Fatalf("try %d: status %d", k, a.Code)
			}
		}
		for _, password := range []string{"wrong", adminPassword} {
			if a := from(attacker, password); a.Code != 429 || a.Header().Get("Retry-After") != "10" {
				t.Errorf("too many tries: status %d, Retry-After %q", a.Code, a.Header().Get("Retry-After"))
			}
		}
		if a := from("198.51.100.7:9999", adminPassword); a.Code != 429 {
			t.Errorf("from another port: status %d", a.Code)
		}
		if a := from(admin, adminPassword); a.Code != 200 {
			t.Errorf("another address has to wait too: status %d", a.Code)
		}
		time.Sleep(10 * time.Second)
		if a := from(attacker, adminPassword); a.Code != 200 {
			t.Errorf("a minute later: status %d", a.Code)
		}
	})
}

func TestTheMemoryForTriesIsBounded(t *testing.T) {
	now := day1
	g := newGuard(nil, adminPassword, func() time.Time { return now })
	g.wait("somebody")
	for k := range 2 * mostTriers {
		g.countTry(fmt.Sprint(k))
	}
	if len(g.tries) > mostTriers+1 {
		t.Errorf("%d clients are remembered", len(g.tries))
	}
	if g.wait("one more") == 0 || g.wait("5") != 0 {
		t.Error("those beyond the bound do not share their tries, or those within do")
	}
	now = now.Add(triesPeriod)
	if g.wait("one more") != 0 || len(g.tries) != 0 {
		t.Error("the tries are not forgotten")
	}
}
