package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cryptoboat/cryptoboat/internal/settings"
)

const (
	// maxBodyBytes bounds the body of an operation's request, by Huma.
	maxBodyBytes = 1 << 20
	// maxFormBytes bounds every request's body: a page's form brings a file as long as
	// that, and some more.
	maxFormBytes = maxBodyBytes + 64<<10
)

// Wrap puts in front of handler, for the API and for pages alike: a bound on
// bodies, request ids, default headers, compression, the access log, recovery from panics,
// who the caller is, and problem documents for paths and methods that its mux does not
// know. Without an authenticator all callers are nobody; without settings all is open
// that can be.
func Wrap(handler http.Handler, who Authenticator, current func() settings.Settings, logger *slog.Logger) http.Handler {
	handler = problemsOfMux(handler)
	handler = refuseUnreadable(handler)
	handler = guardPages(handler, current)
	handler = identifyCaller(handler, who)
	handler = logAndRecover(handler)
	handler = compress(handler)
	handler = defaultHeaders(handler)
	handler = identify(handler, logger)
	return http.MaxBytesHandler(handler, maxFormBytes)
}

// request is what a request's context carries.
type request struct {
	id     string
	logger *slog.Logger
}

type requestKey struct{}

// requestID returns the id of the request that ctx belongs to, "" outside Wrap.
func requestID(ctx context.Context) string {
	r, _ := ctx.Value(requestKey{}).(request)
	return r.id
}

// logger returns the logger for the request that ctx belongs to, which adds its
// id to each line.
func logger(ctx context.Context) *slog.Logger {
	if r, ok := ctx.Value(requestKey{}).(request); ok {
		return r.logger
	}
	return slog.Default()
}

// wellFormedID is what a request id from outside must look like to be taken on,
// so that nobody writes into the log by it.
var wellFormedID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

func identify(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !wellFormedID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		ctx := context.WithValue(r.Context(), requestKey{}, request{id: id, logger: logger.With("request_id", id)})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// defaultHeaders sets the headers that hold unless an answer sets its own: those
// that restrict what a browser does with it, and no-cache, so that no cache makes
// up a time for which candles and forecasts hold.
func defaultHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-cache")
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// maxLoggedPath keeps an absurd path from filling the log.
const maxLoggedPath = 200

// logAndRecover writes a line for each request, without its query, which may
// hold a secret one day. A panic becomes a problem; where the answer has begun
// it is cut off, so that the client can tell that it is not whole.
func logAndRecover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		recorder := &recorder{ResponseWriter: w}
		defer func() {
			panicked := recover()
			if panicked != nil && panicked != http.ErrAbortHandler {
				logger(r.Context()).ErrorContext(r.Context(), "request panicked",
					"panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
				if recorder.status == 0 {
					writeProblem(recorder, r, internal(r.Context()))
					panicked = nil
				}
			}
			logger(r.Context()).InfoContext(r.Context(), "request",
				"method", r.Method, "path", r.URL.Path[:min(len(r.URL.Path), maxLoggedPath)], "status", recorder.status,
				"duration", time.Since(began), "bytes", recorder.bytes)
			if panicked != nil {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(recorder, r)
	})
}

// refuseUnreadable refuses addresses that hold what is no text: no name is spelt so, and
// the database takes none.
func refuseUnreadable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A query that is not well percent-encoded is the operation's to refuse.
		query, err := url.QueryUnescape(r.URL.RawQuery)
		if err == nil && !readable(query) || !readable(r.URL.Path) {
			writeProblem(w, r, newProblem(r.Context(), http.StatusBadRequest, "the address holds what is no text: write it in UTF-8, without zero bytes"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func readable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// recorder remembers the status and counts the bytes of an answer.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the header is written
	bytes  int64
}

// WriteHeader remembers the first status that is final.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts what was written.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// problemsOfMux replaces the plain text that a mux answers where no pattern
// matches. It must stand right before the mux, which notes on the request
// itself the pattern that matched.
func problemsOfMux(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&muxWriter{ResponseWriter: w, request: r, mux: next}, r)
	})
}

type muxWriter struct {
	http.ResponseWriter
	request  *http.Request
	mux      http.Handler
	replaced bool
}

// WriteHeader writes a problem in place of the mux's own 404 and 405, keeping
// the Allow header.
func (w *muxWriter) WriteHeader(status int) {
	if w.request.Pattern != "" || status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.replaced = true
	if status == http.StatusNotFound && preferredType(w.request.Header.Get("Accept"), jsonType, "text/html") == "text/html" {
		page := w.request.Clone(w.request.Context())
		page.Method, page.URL.Path, page.URL.RawPath = http.MethodGet, notFoundPath, ""
		w.mux.ServeHTTP(w.ResponseWriter, page)
		return
	}
	detail := nothingHere
	if status == http.StatusMethodNotAllowed {
		detail = "this path takes " + w.Header().Get("Allow") + " only"
	}
	writeProblem(w.ResponseWriter, w.request, newProblem(w.request.Context(), status, detail))
}

// Write drops the text of an answer that was replaced.
func (w *muxWriter) Write(b []byte) (int, error) {
	if w.replaced {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *muxWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

const nothingHere = "there is nothing at this path; /docs lists what there is"
