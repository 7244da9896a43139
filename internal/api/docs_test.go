package api

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

func TestDocumentsAreServedOnceUntilTheyChange(t *testing.T) {
	s := serveFake(t, newService(1))
	for path, contentType := range map[string]string{
		"/openapi.json":  "application/json",
		"/openapi.yaml":  "application/yaml",
		"/docs/docs.js":  "text/javascript; charset=utf-8",
		"/docs/docs.css": "text/css; charset=utf-8",
	} {
		a := s.get(t, path)
		etag := a.header.Get("ETag")
		if a.status != http.StatusOK || a.header.Get("Content-Type") != contentType || etag == "" || a.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d, %v", path, a.status, a.header)
		}
		if again := s.get(t, path, "If-None-Match", etag); again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: with its ETag %d and %d bytes, want 304 and none", path, again.status, len(again.body))
		}
		if other := s.get(t, path, "If-None-Match", `"other"`); other.status != http.StatusOK || other.body != a.body {
			t.Errorf("%s: with another ETag %d and %d bytes", path, other.status, len(other.body))
		}
	}
	document, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	if s.get(t, "/openapi.yaml").body != string(document) {
		t.Error("/openapi.yaml is not the committed document")
	}
	var parsed struct{ OpenAPI string }
	if err := json.Unmarshal([]byte(s.get(t, "/openapi.json").body), &parsed); err != nil || parsed.OpenAPI != "3.1.0" {
		t.Errorf("/openapi.json is of version %q, %v", parsed.OpenAPI, err)
	}
}

func TestDocsPage(t *testing.T) {
	s := serveFake(t, newService(1))
	page := s.get(t, "/docs")
	_, err := fs.Stat(static, viewer)
	if err != nil {
		if !strings.Contains(page.body, "make assets") {
			t.Errorf("the page does not say what is missing: %s", page.body)
		}
		t.Skipf("the viewer is not in this build, run `make assets`: %v", err)
	}
	if page.status != http.StatusOK || !strings.Contains(page.body, "<rapi-doc") {
		t.Errorf("%d: %s", page.status, page.body)
	}
	if a := s.get(t, "/docs/rapidoc-min.js"); a.status != http.StatusOK || len(a.body) < 100_000 {
		t.Errorf("the viewer: %d, %d bytes", a.status, len(a.body))
	}
}

// Pages name no other host, and hold no script or style of their own, which the
// policy would refuse.
func TestPagesKeepToThePolicy(t *testing.T) {
	for _, name := range []string{"static/docs.html", "static/docs-without-viewer.html", "static/not-found.html", "static/docs.css", "static/docs.js"} {
		content, err := fs.ReadFile(static, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, forbidden := range []string{"http:", "https:", "//cdn", "<style", "<script>", " style=", " onload=", " onclick="} {
			if strings.Contains(string(content), forbidden) {
				t.Errorf("%s has %q", name, forbidden)
			}
		}
	}
}

func TestSimulatedMarketSaysSoOnEveryPage(t *testing.T) {
	for _, test := range []struct {
		name   string
		origin history.Origin
		err    error
		want   string // of the page, "" for no notice
	}{
		{"simulated", history.Simulated, nil, "Simulated market: the offline exchange makes these prices up; nothing of this is traded anywhere."},
		{"real", history.Real, nil, ""},
		{"not known yet", "", nil, ""},
		{"database away", "", errors.New("dial tcp 10.0.0.1:5432: refused"), "It cannot be read at the moment whether the market is simulated."},
	} {
		f := newService(1)
		f.origin, f.err = test.origin, test.err
		s := serveFake(t, f)
		for path, status := range map[string]int{"/docs": http.StatusOK, "/nowhere": http.StatusNotFound, "/a/b/c": http.StatusNotFound} {
			a := s.get(t, path, "Accept", "text/html")
			if a.status != status || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s, %s: %d, %s", test.name, path, a.status, a.header.Get("Content-Type"))
			}
			want := `<p class="notice" role="note">` + test.want + `</p>`
			if test.want == "" && strings.Contains(a.body, "notice") || test.want != "" && !strings.Contains(a.body, want) {
				t.Errorf("%s: %s says %s", test.name, path, a.body)
			}
			if strings.Contains(a.body, "10.0.0.1") {
				t.Errorf("%s: %s shows an internal error's text", test.name, path)
			}
		}
	}
}
