package dashboard

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/httpstatus"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// sessionCookie holds what opens a session; the API looks for it under this name.
const sessionCookie = "cryptoboat_session"

// loginPage asks who somebody is.
type loginPage struct {
	layout
	Username string // as it was given
	Next     string // where to go then
	Problem  string
}

func (d *dashboard) serveLogin(w http.ResponseWriter, r *http.Request, h holdings) {
	d.renderLogin(w, r, http.StatusOK, h, "", r.URL.Query().Get("next"), "")
}

func (d *dashboard) renderLogin(w http.ResponseWriter, r *http.Request, status int, h holdings, username, next, problem string) {
	d.render(w, r, status, d.login, loginPage{
		layout: newLayout("Log in", h, marketSection, market.Series{}), Username: username, Next: localPath(next), Problem: problem,
	})
}

func (d *dashboard) takeLogin(w http.ResponseWriter, r *http.Request, h holdings) {
	username, next := r.PostFormValue("username"), localPath(r.PostFormValue("next"))
	secret, _, err := d.Accounts.LogIn(r.Context(), accounts.CallerOf(r.Context()).Address, username, r.PostFormValue("password"))
	if err != nil {
		problem := d.problemText(w, r, err)
		if throttled, ok := errors.AsType[*accounts.ThrottledError](err); ok {
			seconds := int(math.Ceil(throttled.Wait.Seconds()))
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
			problem = fmt.Sprintf("There were too many wrong passwords. Wait for %d seconds.", seconds)
		}
		d.renderLogin(w, r, httpstatus.Of(err), h, username, next, problem)
		return
	}
	setSession(w, r, secret, accounts.SessionLifetime)
	back(w, r, next)
}

func (d *dashboard) takeLogout(w http.ResponseWriter, r *http.Request, _ holdings) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if err := d.Accounts.LogOut(r.Context(), accounts.CallerOf(r.Context()), cookie.Value); err != nil {
			d.logError(r, requestID(w), "session not ended", err)
		}
	}
	setSession(w, r, "", -1)
	back(w, r, "/")
}

// setSession sets the cookie of a session, or with a negative lifetime removes it.
func setSession(w http.ResponseWriter, r *http.Request, secret string, lifetime time.Duration) {
	age := -1
	if lifetime > 0 {
		age = int(lifetime / time.Second)
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: secret, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		// A proxy in front ends TLS and says so. Somebody else who does only keeps the
		// cookie from a connection of his own.
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}
