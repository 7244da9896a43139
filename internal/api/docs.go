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
	serve(mux, "/openapi.json", jsonType, asJSON)
	serve(mux, "/openapi.yaml", "application/yaml", asYAML)

	page := "static/docs.html"
	script, err := fs.ReadFile(static, viewer)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		page = "static/docs-without-viewer.html"
	case err != nil:
		return fmt.Errorf("reading the viewer of the API documentation: %w", err)
	default:
		serve(mux, "/docs/rapidoc-min.js", scriptType, script)
	}
	for _, file := range []struct{ path, name, contentType string }{
		{"/docs", page, "text/html; charset=utf-8"},
		{"/docs/docs.js", "static/docs.js", scriptType},
		{"/docs/docs.css", "static/docs.css", "text/css; charset=utf-8"},
	} {
		content, err := fs.ReadFile(static, file.name)
		if err != nil {
			return fmt.Errorf("reading the API documentation: %w", err)
		}
		serve(mux, file.path, file.contentType, content)
	}
	return nil
}

const scriptType = "text/javascript; charset=utf-8"

// serve answers a path with bytes that do not change while the service runs. A
// browser keeps them, and asks by their ETag whether they still hold.
func serve(mux *http.ServeMux, path, contentType string, content []byte) {
	sum := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}
