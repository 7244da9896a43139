package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// static holds the documentation page and, in its vendor folder, the viewer
// that scripts/assets fetches.
//
//go:embed static
var static embed.FS

const viewer = "static/vendor/rapidoc-min.js"

// registerDocs serves the OpenAPI document, encoded once, and its viewer.
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
	return fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		contentType := mime.TypeByExtension(path.Ext(name))
		switch name {
		case "static/docs.html":
		...
		}
		return nil
	})
}
