package dashboard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// contentTypes are those of the files that are served; any other file stays
// inside. The system's table of types may lack them or differ.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets are the static files by name.
type assets map[string]asset

type asset struct {
	content     []byte
	contentType string
	hash        string // of the content
}

func loadAssets(files fs.FS) (assets, error) {
	loaded := make(assets)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		contentType, served := contentTypes[path.Ext(name)]
		if err != nil || entry.IsDir() || !served {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		loaded[name] = asset{content, contentType, hex.EncodeToString(sum[:8])}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard's static files: %w", err)
	}
	return loaded, nil
}

func (a assets) has(name string) bool {
	_, found := a[name]
	return found
}

// url returns the address of a file, which changes with its content: a browser
// may keep what it has fetched from there for ever.
func (a assets) url(name string) (string, error) {
	file, found := a[name]
	if !found {
		return "", fmt.Errorf("there is no static file %s", name)
	}
	return "/static/" + name + "?v=" + file.hash, nil
}

// register serves every file under a path of its own: a wildcard below /static/
// would clash with the path of the market page.
func (a assets) register(mux *http.ServeMux) {
	for name, file := range a {
		mux.Handle("GET /static/"+name, file)
	}
}

// ServeHTTP serves the file.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caching := "no-cache"
	if r.URL.Query().Get("v") == a.hash {
		caching = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("ETag", `"`+a.hash+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}
