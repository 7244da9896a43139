package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/browsertest"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

const goodPassword = "correct horse battery"

// servicePages are the pages of the service on a real database, with the admin boss
// and the viewer vera.
type servicePages struct {
	t       *testing.T
	handler http.Handler
	people  *accounts.Service
	control *jobs.Control
	cookies map[string]*http.Cookie // by username
}

var morning = time.Date(2024, time.May, 6, 10, 12, 0, 0, time.UTC)

// soon is a schedule of ingest and train only.
type soon struct{}

func (soon) Upcoming() []jobs.Upcoming {
	return []jobs.Upcoming{
		{Job: jobs.Ingest, Symbol: "BTCUSDT", At: morning.Add(3*time.Minute + 5*time.Second)},
		{Job: jobs.Ingest, Symbol: "ETHUSDT", At: morning.Add(45 * time.Second)},
		{Job: jobs.Train, Symbol: "BTCUSDT", At: morning.Add(50 * time.Hour)},
	}
}

func openServicePages(t *testing.T) *servicePages {
	t.Helper()
	database := timescaletest.Open(t)
	people, err := accounts.NewService(database, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	root := accounts.Caller{Username: "root", Role: accounts.Admin}
	for name, role := range map[string]accounts.Role{"boss": accounts.Admin, "vera": accounts.Viewer} {
		if _, err := people.Create(t.Context(), root, accounts.NewUser{Username: name, Password: goodPassword, Role: role}); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	control, err := jobs.NewControl(database.JobDriver(), database, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	dependencies := month()
	dependencies.Accounts, dependencies.Settings = people, settings.NewService(database, log)
	dependencies.Jobs, dependencies.Runs, dependencies.Log = control, database, log
	dependencies.Schedule, dependencies.Now = soon{}, func() time.Time { return morning }
	mux := http.NewServeMux()
	if err := Register(mux, dependencies); err != nil {
		t.Fatal(err)
	}
	p := &servicePages{t: t, people: people, control: control, cookies: map[string]*http.Cookie{}}
	// What the API's middleware does.
	p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by := accounts.Caller{Address: "192.0.2.1"}
		if cookie, err := r.Cookie(sessionCookie); err == nil {
			if known, err := people.CallerOfSession(r.Context(), by.Address, cookie.Value); err == nil {
				by = known
			}
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'")
		mux.ServeHTTP(w, r.WithContext(accounts.WithCaller(r.Context(), by)))
	})
	return p
}

// logIn logs a user in by the page.
func (p *servicePages) logIn(username string) {
	p.t.Helper()
	a := p.post("", "/login", url.Values{"username": {username}, "password": {goodPassword}})
	for _, cookie := range a.Result().Cookies() {
		if cookie.Name == sessionCookie {
			p.cookies[username] = cookie
		}
	}
	if p.cookies[username] == nil {
		p.t.Fatalf("%s got no session: status %d", username, a.Code)
	}
}

func (p *servicePages) do(username string, request *http.Request) *httptest.ResponseRecorder {
	if cookie := p.cookies[username]; cookie != nil {
		request.AddCookie(cookie)
	}
	recorder := httptest.NewRecorder()
	p.handler.ServeHTTP(recorder, request)
	return recorder
}

func (p *servicePages) get(username, path string) *httptest.ResponseRecorder {
	return p.do(username, httptest.NewRequest(http.MethodGet, path, nil))
}

func (p *servicePages) post(username, path string, form url.Values) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.do(username, request)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// submit posts a form with what its page says against forgery.
func (p *servicePages) submit(username, path string, pairs ...string) *httptest.ResponseRecorder {
	p.t.Helper()
	form := url.Values{}
	if found := csrfField.FindStringSubmatch(p.get(username, "/me").Body.String()); found != nil {
		form.Set("csrf", html.UnescapeString(found[1]))
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return p.post(username, path, form)
}

func (p *servicePages) want(a *httptest.ResponseRecorder, status int, says string) {
	p.t.Helper()
	if a.Code != status || !strings.Contains(a.Body.String(), says) && a.Header().Get("Location") != says {
		p.t.Errorf("status %d to %q, want %d and %q:\n%.1500s", a.Code, a.Header().Get("Location"), status, says, a.Body)
	}
}

func TestLogin(t *testing.T) {
	p := openServicePages(t)
	p.want(p.get("", "/login?next=/jobs"), 200, `name="next" value="/jobs"`)
	for next, want := range map[string]string{
		"/jobs?x=1": "/jobs?x=1", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "javascript:alert(1)": "/", "jobs": "/",
	} {
		p.want(p.post("", "/login", url.Values{"username": {"vera"}, "password": {goodPassword}, "next": {next}}), 303, want)
	}
	a := p.post("", "/login", url.Values{"username": {"<b>vera"}, "password": {"wrong-password"}})
	p.want(a, 401, "The username or the password is wrong")
	if strings.Contains(a.Body.String(), "<b>vera") || strings.Contains(a.Body.String(), "wrong-password") {
		t.Error("the page repeats what was given")
	}
	for range 5 {
		p.post("", "/login", url.Values{"username": {"boss"}, "password": {"wrong-password"}})
	}
	a = p.post("", "/login", url.Values{"username": {"boss"}, "password": {goodPassword}})
	p.want(a, 429, "too many wrong passwords")
	if a.Header().Get("Retry-After") == "" {
		t.Error("nothing says how long to wait")
	}
	p.logIn("vera")
	cookie := p.cookies["vera"]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure || cookie.Path != "/" {
		t.Errorf("the cookie is %+v", cookie)
	}
	p.want(p.get("vera", "/me"), 200, "vera")
	p.want(p.post("vera", "/logout", nil), 403, "The form is out of date")
	p.want(p.submit("vera", "/logout"), 303, "/")
	p.want(p.get("vera", "/me"), 303, "/login?next=%2Fme")
}

func TestACookieBehindTLSIsSecure(t *testing.T) {
	p := openServicePages(t)
	request := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader("username=vera&password="+url.QueryEscape(goodPassword)))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Forwarded-Proto", "https")
	if cookies := p.do("", request).Result().Cookies(); len(cookies) != 1 || !cookies[0].Secure {
		t.Errorf("cookies %v", cookies)
	}
}

func TestAccessOfThePagesOfTheService(t *testing.T) {
	p := openServicePages(t)
	p.logIn("boss")
	p.logIn("vera")
	run, err := p.control.RunNow(t.Context(), jobs.Ingest, jobs.Task{Symbol: "BTCUSDT"}, "boss")
	if err != nil {
		t.Fatal(err)
	}
	one := runPath(run.ID)
	for _, test := range []struct {
		path                  string
		nobody, viewer, admin int
	}{
		{"/jobs", 200, 200, 200}, {one, 200, 200, 200}, {"/jobs/runs/999", 404, 404, 404}, {"/jobs/runs/x", 404, 404, 404},
		{"/settings", 303, 200, 200}, {"/me", 303, 200, 200}, {"/people", 303, 403, 200}, {"/audit", 303, 403, 200},
	} {
		for username, want := range map[string]int{"": test.nobody, "vera": test.viewer, "boss": test.admin} {
			if got := p.get(username, test.path).Code; got != want {
				t.Errorf("GET %s as %q: status %d, want %d", test.path, username, got, want)
			}
		}
	}
	for path, viewer := range map[string]int{
		"/jobs/ingest/run": 403, one + "/retry": 403, one + "/cancel": 403, "/settings": 403, "/people/create": 403, "/people/delete": 403,
		"/people/import": 403, "/me/token": 422,
	} {
		if got := p.post("", path, nil).Code; got != 401 {
			t.Errorf("POST %s as nobody: status %d", path, got)
		}
		if got := p.submit("vera", path).Code; got != viewer {
			t.Errorf("POST %s as a viewer: status %d, want %d", path, got, viewer)
		}
		if got := p.post("boss", path, nil).Code; got != 403 {
			t.Errorf("POST %s as an admin without the form's word: status %d", path, got)
		}
	}
}

func TestJobsPage(t *testing.T) {
	p := openServicePages(t)
	p.want(p.get("", "/jobs"), 200, "It has not run yet.")
	p.logIn("boss")
	p.logIn("vera")
	a := p.submit("boss", "/jobs/ingest/run", "symbol", "btcusdt", "start", "2024-01-01", "end", "2024-02-01")
	p.want(a, 303, "/jobs/runs/1")
	p.want(p.get("boss", "/jobs/runs/1"), 200, "2024-02-01 00:00:00")
	p.want(p.submit("boss", "/jobs/ingest/run", "symbol", "BTCUSDT"), 409, "Run 1 of ingest is active")
	p.want(p.submit("boss", "/jobs/ingest/run"), 422, "name one")
	p.want(p.submit("boss", "/jobs/ingest/run", "symbol", "BTCUSDT", "start", "yesterday"), 422, "must be a day")
	p.want(p.submit("boss", "/jobs/nothing/run"), 404, "There is no such job")
	p.want(p.submit("boss", "/jobs/runs/1/retry"), 409, "Run 1 is queued")
	p.want(p.submit("boss", "/jobs/runs/1/cancel"), 303, "/jobs/runs/1")
	p.want(p.get("vera", "/jobs/runs/1"), 200, "cancelled by boss")
	p.want(p.get("", "/jobs"), 200, `class="run cancelled"`)
	p.want(p.submit("boss", "/jobs/runs/1/retry"), 303, "/jobs/runs/1")
	p.want(p.get("vera", "/jobs/runs/1"), 200, "Retried by")
	p.submit("boss", "/jobs/runs/1/cancel")
	if page := p.get("", "/jobs/runs/1").Body.String(); strings.Contains(page, "boss") {
		t.Errorf("everybody can read who has a name here:\n%s", page)
	}
	for _, next := range []string{"next in 3 min, 10:15:05 UTC", "next in 45 s, 10:12:45 UTC", "next in 2 days, 2024-05-08 12:12:00 UTC"} {
		p.want(p.get("", "/jobs"), 200, next)
	}
	p.want(p.get("boss", "/audit"), 200, "cancel_job")
}

func TestSettingsPage(t *testing.T) {
	p := openServicePages(t)
	p.logIn("boss")
	p.want(p.submit("boss", "/settings", "name", "symbols", "value", "BTCUSDT,SOLUSDT"), 303, "/settings?saved=symbols#symbols")
	p.want(p.get("boss", "/settings?saved=symbols"), 200, `value="BTCUSDT,SOLUSDT"`)
	a := p.submit("boss", "/settings", "name", "symbols", "value", `"><script>alert(1)</script>`)
	p.want(a, 422, "&lt;script&gt;")
	if strings.Contains(a.Body.String(), "<script>alert") {
		t.Error("foreign text became a script")
	}
	p.want(p.submit("boss", "/settings", "name", "symbols", "reset", "1"), 303, "/settings?saved=symbols#symbols")
	p.want(p.get("boss", "/settings"), 200, `value="BTCUSDT,ETHUSDT"`)
}

func TestPeoplePage(t *testing.T) {
	p := openServicePages(t)
	p.logIn("boss")
	p.want(p.submit("boss", "/people/create", "username", "Ada", "password", goodPassword, "role", "viewer"), 200, "ada is a new viewer.")
	p.want(p.submit("boss", "/people/create", "username", "ada", "password", goodPassword), 409, "There is a user ada already")
	p.want(p.submit("boss", "/people/create", "username", "eve", "password", "tiny"), 422, "The password must have")
	p.want(p.submit("boss", "/people/role", "username", "ada", "role", "admin"), 200, "ada is admin now.")
	p.want(p.submit("boss", "/people/delete", "username", "ada"), 422, "Tick the box")
	p.want(p.submit("boss", "/people/delete", "username", "ada", "confirm", "yes"), 200, "ada is deleted.")
	p.want(p.submit("boss", "/people/delete", "username", "boss", "confirm", "yes"), 409, "is the last admin")
	p.logIn("vera")
	p.want(p.submit("boss", "/people/password", "username", "vera", "password", "another long password"), 200, "vera has another password")
	p.want(p.get("vera", "/me"), 303, "/login?next=%2Fme")

	csrf := html.UnescapeString(csrfField.FindStringSubmatch(p.get("boss", "/me").Body.String())[1])
	upload := func(content string, fields ...string) *httptest.ResponseRecorder {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		for i := 0; i < len(fields); i += 2 {
			form.WriteField(fields[i], fields[i+1])
		}
		file, err := form.CreateFormFile("file", "users.csv")
		if err != nil {
			t.Fatal(err)
		}
		file.Write([]byte(content))
		form.Close()
		request := httptest.NewRequest(http.MethodPost, "/people/import", &body)
		request.Header.Set("Content-Type", form.FormDataContentType())
		return p.do("boss", request)
	}
	const good, bad = "kim,,a long enough one,viewer\n", "lee,,tiny,viewer\n"
	const header = "username,email,password,role\n"
	p.want(upload(header+good), 403, "The form is out of date")
	a := upload(header+good+bad, "csrf", csrf)
	p.want(a, 422, "the password must have")
	if strings.Contains(a.Body.String(), "long enough one") || strings.Contains(a.Body.String(), "tiny") {
		t.Error("the page holds a password")
	}
	p.want(upload(header+good+bad, "csrf", csrf, "keep_going", "yes"), 200, "1 users are new, 1 rows were refused.")
	p.want(p.get("boss", "/people"), 200, "kim")
}

func TestMePage(t *testing.T) {
	p := openServicePages(t)
	p.logIn("vera")
	p.want(p.submit("vera", "/me/token", "name", "robot", "role", "admin", "days", "3"), 403, "A token cannot do more")
	a := p.submit("vera", "/me/token", "name", "robot", "role", "viewer", "days", "3")
	p.want(a, 200, accounts.TokenPrefix)
	if again := p.get("vera", "/me").Body.String(); strings.Contains(again, accounts.TokenPrefix) || !strings.Contains(again, "robot") {
		t.Error("the token is shown twice, or not listed")
	}
	p.want(p.submit("vera", "/me/revoke", "id", "1"), 200, "There are none.")
	p.want(p.submit("vera", "/me/password", "current", "wrong-password", "password", "another long password"), 401, "wrong")
	p.want(p.submit("vera", "/me/password", "current", goodPassword, "password", "another long password"), 303, "/login")
	p.want(p.get("vera", "/me"), 303, "/login?next=%2Fme")
}

// TestBrowserServicePages opens the pages of the service as an admin.
func TestBrowserServicePages(t *testing.T) {
	browser := browsertest.Start(t, "")
	p := openServicePages(t)
	p.logIn("boss")
	if _, err := p.control.RunNow(t.Context(), jobs.Train, jobs.Task{Symbol: "BTCUSDT"}, "boss"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p.handler)
	defer server.Close()
	for _, view := range []struct {
		scheme string
		width  int64
	}{{"light", 1280}, {"dark", 1280}, {"light", 390}} {
		for _, path := range []string{"/login", "/jobs", "/jobs/runs/1", "/settings", "/people", "/me", "/audit"} {
			name := fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(path[1:], "/", "-"), view.scheme, view.width)
			t.Run(name, func(t *testing.T) {
				ctx, cancel := chromedp.NewContext(browser)
				t.Cleanup(cancel)
				browsertest.Watch(t, ctx, server.URL)
				cookie := chromedp.ActionFunc(func(ctx context.Context) error {
					return network.SetCookie(sessionCookie, p.cookies["boss"].Value).WithURL(server.URL).WithHTTPOnly(true).Do(ctx)
				})
				var width float64
				err := chromedp.Run(ctx, chromedp.EmulateViewport(view.width, 900), emulation.SetEmulatedMedia().WithFeatures(
					[]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: view.scheme}}), cookie, chromedp.Navigate(server.URL+path),
					chromedp.WaitVisible("h1"), chromedp.Evaluate(`document.documentElement.scrollWidth`, &width))
				if err != nil {
					t.Fatal(err)
				}
				if width > float64(view.width) {
					t.Errorf("the page is %v pixels wide and scrolls sideways", width)
				}
				browsertest.Screenshot(t, ctx, name)
			})
		}
	}
}
