package api

import (
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

const (
	// leastCompressed is the size below which an answer fits a packet or two anyway.
	leastCompressed = 1024
	// gzipSuffix tells the ETag of what is sent compressed: a strong one stands for
	// bytes.
	gzipSuffix = "-gzip"
)

// isCompressed reports whether a media type is text that gets smaller: a Parquet file is
// compressed already, and events have to leave at once.
func isCompressed(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	switch mediaType = strings.ToLower(strings.TrimSpace(mediaType)); mediaType {
	case "application/json", "application/problem+json", "application/yaml", ndjsonType, "image/svg+xml":
		return true
	default:
		return strings.HasPrefix(mediaType, "text/") && mediaType != eventsType
	}
}

// compress answers with gzip where the client takes it. It must stand in front of
// whatever recovers from panics, as it begins an answer that has none when it ends.
func compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(leastCompressed), gzhttp.ContentTypeFilter(isCompressed),
		gzhttp.SuffixETag(gzipSuffix), gzhttp.EnableZstd(false), gzhttp.SetContentType(false),
	)
	if err != nil {
		panic(err) // the options are constants
	}
	compressed := wrap(withoutSuffix(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A stream has to learn from each flush whether its reader took it, which the
		// wrapper does not tell.
		if r.URL.Path == streamPath {
			next.ServeHTTP(w, r)
			return
		}
		compressed.ServeHTTP(w, r)
	})
}

// withoutSuffix lets next know by its own ETag what the client has compressed, and puts
// the suffix back on where the answer is that it still holds.
func withoutSuffix(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := strings.Join(r.Header.Values("If-None-Match"), ", ")
		if !strings.Contains(known, gzipSuffix+`"`) {
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", strings.ReplaceAll(known, gzipSuffix+`"`, `"`))
		next.ServeHTTP(&suffixWriter{ResponseWriter: w, known: known}, r)
	})
}

type suffixWriter struct {
	http.ResponseWriter
	known string // the If-None-Match as the client sent it
}

// WriteHeader names in an answer 304 the representation that the client has.
func (w *suffixWriter) WriteHeader(status int) {
	etag := w.Header().Get("ETag")
	if suffixed := strings.TrimSuffix(etag, `"`) + gzipSuffix + `"`; status == http.StatusNotModified && strings.Contains(w.known, suffixed) {
		w.Header().Set("ETag", suffixed)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *suffixWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
