package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	adminName = "admin"
	// adminChallenge asks a browser for a name and a password (RFC 7617).
	adminChallenge = `Basic realm="CryptoBoat", charset="UTF-8"`
	// wrongTries is how many wrong passwords a client may send within triesPeriod.
	wrongTries  = 10
	triesPeriod = time.Minute
	// mostTriers bounds the memory for clients; those beyond share their tries.
	mostTriers = 10_000
)

// closed marks an operation that asks for the admin's password.
var closed = []map[string][]string{{adminName: {}}}

// isOpen reports whether an operation was declared open. One that does not say
// who may call it is not.
func isOpen(operation *huma.Operation) bool {
	return operation.Security != nil && len(operation.Security) == 0
}

var adminScheme = &huma.SecurityScheme{
	Type: "http", Scheme: "basic",
	Description: "The user admin, with the password that the service was given in CRYPTOBOAT_ADMIN_PASSWORD. Without one, nobody is let in. After " +
		strconv.Itoa(wrongTries) + " wrong ones within a minute an address has to wait.",
}

// guard lets nobody but the admin call operations that were not declared open, and
// no other site's page change anything in the name of a browser that knows the
// password.
type guard struct {
	api      huma.API
	password string // "" lets nobody in
	now      func() time.Time
	sites    *http.CrossOriginProtection

	mutex sync.Mutex
	since time.Time      // of the tries
	tries map[string]int // wrong ones, by client
}

func newGuard(api huma.API, password string, now func() time.Time) *guard {
	return &guard{api: api, password: password, now: now, sites: http.NewCrossOriginProtection(), tries: map[string]int{}}
}

// check is middleware for every operation.
func (g *guard) check(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	if err := g.sites.Check(r); err != nil {
		g.refuse(ctx, http.StatusForbidden, "the request comes from a page of another site: send it from this one, or without a browser")
		return
	}
	if isOpen(ctx.Operation()) {
		next(ctx)
		return
	}
	if g.password == "" {
		g.refuse(ctx, http.StatusForbidden, "this is for the admin only, and no password is set: "+
			"start the service with one in the environment variable CRYPTOBOAT_ADMIN_PASSWORD")
		return
	}
	name, password, given := r.BasicAuth()
	client := clientOf(ctx.RemoteAddr())
	switch wait := g.wait(client); {
	case given && wait > 0:
		ctx.SetHeader("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		g.refuse(ctx, http.StatusTooManyRequests, fmt.Sprintf(
			"%d wrong passwords came from your address within a minute: wait for the time that Retry-After gives, in seconds", wrongTries))
	case !given || !g.isAdmin(name, password):
		if given {
			g.countTry(client)
		}
		ctx.SetHeader("WWW-Authenticate", adminChallenge)
		g.refuse(ctx, http.StatusUnauthorized, "this is for the admin only: give the name admin and the password by HTTP Basic authentication")
	default:
		next(ctx)
	}
}

func (g *guard) refuse(ctx huma.Context, status int, detail string) {
	// A failure to write is Huma's to report; there is nobody left to tell.
	_ = huma.WriteErr(g.api, ctx, status, detail)
}

// isAdmin takes the same time for every name and password of a length: hashes say
// nothing of how much of them is right.
func (g *guard) isAdmin(name, password string) bool {
	equal := func(given, want string) int {
		a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
		return subtle.ConstantTimeCompare(a[:], b[:])
	}
	return equal(name, adminName)&equal(password, g.password) == 1
}

// wait returns how long a client has to wait until it may try again.
func (g *guard) wait(client string) time.Duration {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	now := g.now()
	if passed := now.Sub(g.since); passed < 0 || passed >= triesPeriod {
		clear(g.tries)
		g.since = now
	}
	if g.tries[g.place(client)] < wrongTries {
		return 0
	}
	return g.since.Add(triesPeriod).Sub(now)
}

// countTry counts a wrong password.
func (g *guard) countTry(client string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.tries[g.place(client)]++
}

// place is where the tries of a client are counted.
func (g *guard) place(client string) string {
	if _, known := g.tries[client]; !known && len(g.tries) >= mostTriers {
		return manyClients
	}
	return client
}
