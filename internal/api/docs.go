package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// static holds the page of the API's documentation and, in its vendor folder,
// the viewer that scripts/assets fetches.
//
//go:embed static
var static embed.FS

const viewer = "static/vendor/rapidoc-min.js"

// registerDocs serves the OpenAPI document, encoded once, and the page that
// shows it. Nothing on that page comes from another host.
func registerDocs(mux *http.ServeMux, document *huma.OpenAPI) error {
	asJSON, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encoding the OpenAPI document: %w", err)
	}
	asYAML, err := document.YAML()
	if err != nil {
		return fmt.Errorf("encoding the OpenAPI document: %w", err)
	}
	serve(mux, "/openapi.json", jsonType, contentSecurityPolicy, asJSON)
	serve(mux, "/openapi.yaml", "application/yaml", contentSecurityPolicy, asYAML)

	page, policy := "static/docs.html", viewerPolicy
	switch script, err := fs.ReadFile(static, viewer); {
	case errors.Is(err, fs.ErrNotExist):
		page, policy = "static/docs-without-viewer.html", contentSecurityPolicy
	case err != nil:
		return fmt.Errorf("reading the viewer of the API documentation: %w", err)
	default:
		serve(mux, "/docs/rapidoc-min.js", scriptType, contentSecurityPolicy, script)
	}
	for _, file := range []struct{ path, contentType, policy, name string }{
		{"/docs", "text/html; charset=utf-8", policy, page},
		{"/docs/docs.js", scriptType, contentSecurityPolicy, "static/docs.js"},
		{"/docs/docs.css", "text/css; charset=utf-8", contentSecurityPolicy, "static/docs.css"},
	} {
		content, err := fs.ReadFile(static, file.name)
		if err != nil {
			return fmt.Errorf("reading the API documentation: %w", err)
		}
		serve(mux, file.path, file.contentType, file.policy, content)
	}
	return nil
}

const scriptType = "text/javascript; charset=utf-8"

// viewerPolicy lets the viewer style what it draws, which it does with inline
// styles; scripts stay as restricted as anywhere.
var viewerPolicy = strings.Replace(contentSecurityPolicy, "style-src 'self'", "style-src 'self' 'unsafe-inline'", 1)

// serve answers a path with bytes that do not change while the service runs. A
// browser keeps them, and asks by their ETag whether they still hold.
func serve(mux *http.ServeMux, path, contentType, policy string, content []byte) {
	sum := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}
