package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// static holds the page of the API's documentation and, in its vendor folder,
// the viewer that scripts/assets fetches.
//
//go:embed static
var static embed.FS

const viewer = "static/vendor/rapidoc-min.js"

// originReader says where the candles come from, "" where that is not known yet.
type originReader interface {
	Origin(ctx context.Context) (history.Origin, error)
}

// notFoundPath is where the page stands that browsers get for every path at
// which there is nothing.
const notFoundPath = "/docs/not-found"

// registerDocs serves the OpenAPI document, encoded once, the page that shows
// it, and the one for paths at which there is nothing. Nothing on those pages
// comes from another host.
func registerDocs(mux *http.ServeMux, document *huma.OpenAPI, from originReader) error {
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
	if err := servePage(mux, "/docs", http.StatusOK, policy, page, from); err != nil {
		return err
	}
	if err := servePage(mux, notFoundPath, http.StatusNotFound, contentSecurityPolicy, "static/not-found.html", from); err != nil {
		return err
	}
	for _, file := range []struct{ path, contentType, policy, name string }{
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

// servePage answers a path with a page that says where its prices come from.
func servePage(mux *http.ServeMux, path string, status int, policy, name string, from originReader) error {
	page, err := template.ParseFS(static, name)
	if err != nil {
		return fmt.Errorf("reading the page %s: %w", name, err)
	}
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if err := page.Execute(&body, marketNotice(r.Context(), from)); err != nil {
			logger(r.Context()).ErrorContext(r.Context(), "page not made", "page", name, "error", err)
			writeProblem(w, r, internal(r.Context()))
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		// Whether the client still listens makes no difference here.
		_, _ = body.WriteTo(w)
	})
	return nil
}

// originTimeout bounds the wait for the origin: what these pages say beside it
// can be read while the database is away.
const originTimeout = 2 * time.Second

// marketNotice returns what a page must say of where its prices come from, ""
// where they are real or there are none yet.
func marketNotice(ctx context.Context, from originReader) string {
	ctx, cancel := context.WithTimeout(ctx, originTimeout)
	defer cancel()
	switch origin, err := from.Origin(ctx); {
	case err != nil:
		logger(ctx).WarnContext(ctx, "origin of the candles not read", "error", err)
		return "It cannot be read at the moment whether the market is simulated."
	case origin == history.Simulated:
		return "Simulated market: the offline exchange makes these prices up; nothing of this is traded anywhere."
	default:
		return ""
	}
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
