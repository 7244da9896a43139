package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	f := newService(3)
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{History: f, Forecaster: f, Database: f}); err != nil {
		t.Fatal(err)
	}
	// Pages share the mux; a 404 of their own must stay theirs.
	mux.HandleFunc("GET /{symbol}/{interval}", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the page's own words", http.StatusNotFound)
	})
	handler := Wrap(mux, nil, nil, slog.New(slog.DiscardHandler))
	for _, test := range []struct {
		method, path, accept string
		status               int
		contentType, allow   string
	}{
		{"GET", "/nowhere", "", 404, "application/problem+json", ""},
		{"GET", "/nowhere", "application/json, text/html;q=0.1", 404, "application/problem+json", ""},
		{"GET", "/nowhere", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 404, "text/html; charset=utf-8", ""},
		{"GET", "/v1/nowhere", "", 404, "application/problem+json", ""},
		{"GET", "/v1/symbols/BTCUSDT/nowhere", "", 404, "application/problem+json", ""},
		{"GET", "/v1/symbols/BTCUSDT", "", 404, "application/problem+json", ""},
		{"POST", "/v1/symbols", "", 405, "application/problem+json", "GET, HEAD"},
		{"DELETE", "/v1/symbols/BTCUSDT/candles", "text/html", 405, "application/problem+json", "GET, HEAD"},
		{"OPTIONS", "/docs", "", 405, "application/problem+json", "GET, HEAD"},
		{"GET", "/BTCUSDT/7m", "", 404, "text/plain; charset=utf-8", ""},
	} {
		request := httptest.NewRequest(test.method, test.path, nil)
		request.Header.Set("Accept", test.accept)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		name := test.method + " " + test.path
		if recorder.Code != test.status || recorder.Header().Get("Content-Type") != test.contentType || recorder.Header().Get("Allow") != test.allow {
			t.Errorf("%s: got %d, %s, Allow %q; want %+v", name, recorder.Code, recorder.Header().Get("Content-Type"), recorder.Header().Get("Allow"), test)
		}
		if test.contentType != "application/problem+json" {
			continue
		}
		var p problem
		if err := json.Unmarshal(recorder.Body.Bytes(), &p); err != nil || p.Status != test.status || p.RequestID == "" || p.Detail == "" {
			t.Errorf("%s: %v, %s", name, err, recorder.Body)
		}
	}
}

// Without a word on caching a cache may make up how long an answer holds.
func TestAnswersAreNotKeptUnlessTheySaySo(t *testing.T) {
	s := serveFake(t, newService(3))
	for _, target := range []string{"/v1/symbols", "/v1/symbols/BTCUSDT/candles", "/v1/symbols/BTCUSDT/candles?limit=0", "/healthcheck", "/nowhere"} {
		if got := s.get(t, target).header.Values("Cache-Control"); !slices.Equal(got, []string{"no-cache"}) {
			t.Errorf("%s: Cache-Control is %q, want no-cache", target, got)
		}
	}
	const own = "public, max-age=31536000, immutable"
	handler := Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", own)
	}), nil, nil, slog.New(slog.DiscardHandler))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if got := recorder.Header().Values("Cache-Control"); !slices.Equal(got, []string{own}) {
		t.Errorf("an answer that says %q for itself gets %q", own, got)
	}
}

func TestNotFoundPage(t *testing.T) {
	a := serveFake(t, newService(3)).get(t, "/nowhere", "Accept", "Text/HTML")
	if a.status != http.StatusNotFound || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("status %d, %s", a.status, a.header.Get("Content-Type"))
	}
	// A browser asks for /favicon.ico, and finds none, unless the page names an icon.
	for _, want := range []string{`<link rel="icon" href="data:,">`, "<main>", "</main>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %s: %s", want, a.body)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	handler := Wrap(http.NotFoundHandler(), nil, nil, slog.New(slog.DiscardHandler))
	for given, taken := range map[string]bool{
		"":                                     false,
		"short":                                false,
		"0af7651916cd43dd8448eb211c80319c":     true,
		"01890a5d-ac96-774b-bcce-b302099a8057": true,
		strings.Repeat("a", 65):                false,
		"has spaces in it":                     false,
		"new\nline-in-it":                      false,
		"<script>alert(1)</script>":            false,
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Set("X-Request-Id", given)
		first, second := httptest.NewRecorder(), httptest.NewRecorder()
		handler.ServeHTTP(first, request)
		handler.ServeHTTP(second, request)
		got := first.Header().Get("X-Request-Id")
		if (got == given) != taken || !wellFormedID.MatchString(got) {
			t.Errorf("id %q becomes %q, want it taken: %t", given, got, taken)
		}
		if again := second.Header().Get("X-Request-Id"); (got == again) != taken {
			t.Errorf("id %q becomes %q, then %q", given, got, again)
		}
	}
}

func TestSecurityHeadersAreOnEveryAnswer(t *testing.T) {
	f := newService(3)
	s := serveFake(t, f)
	for _, target := range []string{"/", "/healthcheck", "/v1/symbols?x=1", "/docs", "/openapi.json", "/v1/symbols/BTCUSDT/candles?format=csv"} {
		header := s.get(t, target).header
		for name, want := range map[string]string{
			"Content-Security-Policy":    "default-src 'none'",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Permissions-Policy":         "camera=()",
			"Referrer-Policy":            "same-origin",
			"X-Content-Type-Options":     "nosniff",
		} {
			if got := header.Values(name); len(got) != 1 || !strings.HasPrefix(got[0], want) {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
	if strings.Contains(contentSecurityPolicy, "unsafe") || strings.Contains(contentSecurityPolicy, "*") {
		t.Errorf("the policy is not strict: %s", contentSecurityPolicy)
	}
}

func TestAccessLog(t *testing.T) {
	s := serveFake(t, newService(3))
	a := s.get(t, "/v1/symbols?token=hunter2")
	var line struct {
		Level, Msg, Method, Path string
		Status, Bytes, Duration  int
		RequestID                string `json:"request_id"`
	}
	if err := json.Unmarshal(s.log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, s.log)
	}
	if line.Method != "GET" || line.Path != "/v1/symbols" || line.Status != 422 || line.Bytes != len(a.body) ||
		line.Duration <= 0 || line.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("the line is %s", s.log)
	}
	if strings.Contains(s.log.String(), "hunter2") {
		t.Errorf("the query is in the log: %s", s.log)
	}
	s.log.Reset()
	s.get(t, "/"+strings.Repeat("a", 10_000))
	if s.log.Len() > 1000 {
		t.Errorf("a long path takes %d bytes of log", s.log.Len())
	}
}

// An answer that has begun when the panic comes is cut off: whoever reads it
// must not take it for whole.
func TestPanicAfterTheAnswerHasBegun(t *testing.T) {
	log := new(bytes.Buffer)
	server := httptest.NewServer(Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("half an answer ", 1000))
		panic("out of paper")
	}), nil, nil, slog.New(slog.NewTextHandler(log, nil))))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err == nil {
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
	}
	if err == nil {
		t.Error("the client takes half an answer for whole")
	}
	server.Close() // waits for the handler, which logs last
	if !strings.Contains(log.String(), "out of paper") || !strings.Contains(log.String(), "msg=request ") {
		t.Errorf("the log lacks the panic or the access: %s", log)
	}
}

func TestAbortIsNotLoggedAsAPanic(t *testing.T) {
	log := new(bytes.Buffer)
	handler := Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), nil, nil, slog.New(slog.NewTextHandler(log, nil)))
	defer func() {
		if recover() != http.ErrAbortHandler || strings.Contains(log.String(), "panicked") {
			t.Errorf("the abort is swallowed or logged as a panic: %s", log)
		}
	}()
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}

func TestBodiesAreBounded(t *testing.T) {
	var read int64
	var err error
	handler := Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		read, err = io.Copy(io.Discard, r.Body)
	}), nil, nil, slog.New(slog.DiscardHandler))
	body := bytes.NewReader(make([]byte, 2*maxBodyBytes))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", body))
	if err == nil || read != maxFormBytes {
		t.Errorf("read %d bytes, error %v", read, err)
	}
}

func TestWrappedWriterCanFlush(t *testing.T) {
	recorder := httptest.NewRecorder()
	handler := Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	}), nil, nil, slog.New(slog.DiscardHandler))
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if !recorder.Flushed {
		t.Error("Flush does not reach the connection")
	}
}

var discard = slog.New(slog.DiscardHandler)
