package api

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// Authenticator says who a caller is.
type Authenticator interface {
	Authenticate(ctx context.Context, address, username, password string) (accounts.Caller, error)
	CallerOfToken(ctx context.Context, address, token string) (accounts.Caller, error)
	CallerOfSession(ctx context.Context, address, secret string) (accounts.Caller, error)
}

// The ways to say who one is, in the OpenAPI document.
const (
	basicScheme   = "basic"
	tokenScheme   = "token"
	sessionScheme = "session"
)

// SessionCookie is the name of the cookie that holds a session's secret.
const SessionCookie = "cryptoboat_session"

var securitySchemes = map[string]*huma.SecurityScheme{
	basicScheme: {Type: "http", Scheme: "basic", Description: "Username and password. Wrong ones have to wait after a few tries."},
	tokenScheme: {Type: "http", Scheme: "bearer", Description: "A personal API token, which begins with " + accounts.TokenPrefix + ": POST /v1/me/tokens makes one."},
	sessionScheme: {Type: "apiKey", In: "cookie", Name: SessionCookie,
		Description: "The session of a browser that logged in at /login."},
}

// Who may call an operation. Each operation states it, so that one which forgets to is
// noticed; that one is for admins.
var (
	// open is for everybody, unless the setting open_access closes its area.
	open = []map[string][]string{}
	// forUsers is for whoever has logged in.
	forUsers = []map[string][]string{{basicScheme: {}}, {tokenScheme: {}}, {sessionScheme: {}}}
	// forAdmins is for admins. That an admin is needed stands as a role in place of a
	// scope, as OpenAPI 3.1 has it.
	forAdmins = []map[string][]string{
		{basicScheme: {string(accounts.Admin)}}, {tokenScheme: {string(accounts.Admin)}}, {sessionScheme: {string(accounts.Admin)}},
	}
)

// isOpen reports whether an operation was declared open.
func isOpen(operation *huma.Operation) bool {
	return operation.Security != nil && len(operation.Security) == 0
}

// neededRole returns the role that an operation which is not open asks for.
func neededRole(operation *huma.Operation) accounts.Role {
	for _, way := range operation.Security {
		for _, roles := range way {
			if len(roles) == 0 {
				return accounts.Viewer
			}
		}
	}
	return accounts.Admin
}

// areaKey is where an operation's metadata says to which area it belongs.
const areaKey = "area"

// areaOf returns the area that an open operation belongs to, "" for one that cannot be
// closed.
func areaOf(operation *huma.Operation) settings.Area {
	if area, told := operation.Metadata[areaKey].(settings.Area); told {
		return area
	}
	switch {
	case slices.Contains(operation.Tags, "market"):
		return settings.MarketArea
	case slices.Contains(operation.Tags, "forecast"):
		return settings.ForecastsArea
	}
	return settings.HealthArea
}

const (
	// challenge asks a program for a name and a password (RFC 7617). Browsers have a
	// page for that.
	challenge   = `Basic realm="CryptoBoat", charset="UTF-8"`
	logInFirst  = "log in first: give a username and a password by HTTP Basic authentication, a token as Bearer, or use /login"
	onlyAdmins  = "this is for admins only"
	otherOrigin = "the request comes from a page of another site: send it from this one, or without a browser"
)

// guardOperations is middleware for every operation that lets in whoever may call it.
func guardOperations(api huma.API, current func() settings.Settings) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		caller := accounts.CallerOf(ctx.Context())
		refuse := func(status int, detail string) {
			// A failure to write is Huma's to report; there is nobody left to tell.
			_ = huma.WriteErr(api, ctx, status, detail)
		}
		operation := ctx.Operation()
		switch {
		case isOpen(operation) && (caller.Known() || current == nil || areaOf(operation) == "" || current().IsOpen(areaOf(operation))):
			next(ctx)
		case !caller.Known():
			if r, _ := humago.Unwrap(ctx); r.Header.Get("Sec-Fetch-Mode") == "" || r.Header.Get("Authorization") != "" {
				ctx.SetHeader("WWW-Authenticate", challenge) // a browser would ask in a window of its own
			}
			refuse(http.StatusUnauthorized, logInFirst)
		case isOpen(operation) || caller.Role.May(neededRole(operation)):
			next(ctx)
		default:
			refuse(http.StatusForbidden, onlyAdmins)
		}
	}
}

// identifyCaller notes in the request's context who the caller is. Who says so wrongly
// is refused, whatever was asked for, but for a session that has ended, which is
// nobody's. What a page of another site sends is refused where it changes something.
func identifyCaller(next http.Handler, who Authenticator) http.Handler {
	sites := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := sites.Check(r); err != nil {
			writeProblem(w, r, newProblem(r.Context(), http.StatusForbidden, otherOrigin))
			return
		}
		caller, err := callerOf(r, who)
		if err != nil {
			if throttled, ok := errors.AsType[*accounts.ThrottledError](err); ok {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(throttled.Wait.Seconds()))))
			}
			p := problemOf(r.Context(), err)
			if p.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			writeProblem(w, r, p)
			return
		}
		if caller.Known() {
			w.Header().Set("Cache-Control", cachingFor(caller, openCaching))
			w.Header().Add("Vary", "Authorization, Cookie")
		}
		next.ServeHTTP(w, r.WithContext(accounts.WithCaller(r.Context(), caller)))
	})
}

func callerOf(r *http.Request, who Authenticator) (accounts.Caller, error) {
	address := addressOf(r)
	nobody := accounts.Caller{Address: address}
	if who == nil {
		return nobody, nil
	}
	if given := r.Header.Get("Authorization"); given != "" {
		if username, password, ok := r.BasicAuth(); ok {
			return who.Authenticate(r.Context(), address, username, password)
		}
		scheme, token, _ := strings.Cut(given, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nobody, market.Errorf(market.Unauthorized, logInFirst)
		}
		return who.CallerOfToken(r.Context(), address, strings.TrimSpace(token))
	}
	cookie, err := r.Cookie(SessionCookie)
	if err != nil {
		return nobody, nil
	}
	caller, err := who.CallerOfSession(r.Context(), address, cookie.Value)
	switch market.ErrorCode(err) {
	case "":
		return caller, nil
	case market.Unauthorized:
		return nobody, nil
	case market.Unavailable:
		// What everybody may see is served while the database is away.
		logger(r.Context()).WarnContext(r.Context(), "session not looked up", "error", err)
		return nobody, nil
	}
	return nobody, err
}

// addressOf returns where a request comes from: what a proxy on this machine, or on a
// private network, says of it, else the connection's other end. What anybody else says
// is not believed: wrong passwords are counted by address.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsPrivate()) {
		forwarded := r.Header.Values("X-Forwarded-For")
		if len(forwarded) > 0 {
			// The last one is the proxy's own word, those before it anybody's.
			entries := strings.Split(forwarded[len(forwarded)-1], ",")
			if last := net.ParseIP(strings.TrimSpace(entries[len(entries)-1])); last != nil {
				return last.String()
			}
		}
	}
	return host
}

// guardPages sends those who have not logged in to the login page where the pages, or
// the documentation, are closed to them. What is no page guards itself.
func guardPages(next http.Handler, current func() settings.Settings) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accounts.CallerOf(r.Context()).Known() || current == nil {
			next.ServeHTTP(w, r)
			return
		}
		area, isPage := pageArea(r.URL.Path)
		if !isPage || current().IsOpen(area) {
			next.ServeHTTP(w, r)
			return
		}
		if preferredType(r.Header.Get("Accept"), jsonType, "text/html") == "text/html" && r.Method == http.MethodGet {
			http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		w.Header().Set("WWW-Authenticate", challenge)
		writeProblem(w, r, newProblem(r.Context(), http.StatusUnauthorized, logInFirst))
	})
}

// pageArea returns the area of a path, false for those of operations, for the login
// and for what every page is made with.
func pageArea(path string) (settings.Area, bool) {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "docs", "openapi.json", "openapi.yaml":
		return settings.DocsArea, true
	case "v1", "login", "logout", "static", "favicon.ico":
		return "", false
	}
	if slices.Contains(olderPaths, "/"+first) {
		return "", false
	}
	return settings.PagesArea, true
}
