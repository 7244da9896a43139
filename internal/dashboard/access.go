package dashboard

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// Accounts lets people in, and manages them.
type Accounts interface {
	LogIn(ctx context.Context, address, username, password string) (secret string, caller accounts.Caller, err error)
	LogOut(ctx context.Context, by accounts.Caller, secret string) error
	List(ctx context.Context, after string, limit int) ([]accounts.User, error)
	Create(ctx context.Context, by accounts.Caller, user accounts.NewUser) (accounts.User, error)
	Delete(ctx context.Context, by accounts.Caller, username string) error
	SetRole(ctx context.Context, by accounts.Caller, username string, role accounts.Role) error
	SetPassword(ctx context.Context, by accounts.Caller, username, password string) error
	ChangePassword(ctx context.Context, by accounts.Caller, current, password string) error
	Import(ctx context.Context, by accounts.Caller, file io.Reader, keepGoing bool) (accounts.ImportReport, error)
	CreateToken(ctx context.Context, by accounts.Caller, name string, role accounts.Role, lifetime time.Duration) (secret string, t accounts.Token, err error)
	Tokens(ctx context.Context, username string) ([]accounts.Token, error)
	RevokeToken(ctx context.Context, by accounts.Caller, id int64) error
	Sessions(ctx context.Context, username string) ([]accounts.Session, error)
	Audit(ctx context.Context, before int64, limit int) ([]accounts.Entry, error)
	Note(ctx context.Context, by accounts.Caller, action accounts.Action, subject string, details map[string]string) error
}

// Settings reads and changes settings.
type Settings interface {
	List(ctx context.Context) ([]settings.Setting, error)
	Set(ctx context.Context, by accounts.Caller, values map[settings.Name]*string) error
}

// Jobs asks for runs and calls them off.
type Jobs interface {
	RunNow(ctx context.Context, name jobs.Name, task jobs.Task, by string) (jobs.Run, error)
	Retry(ctx context.Context, id int64, by string) (jobs.Run, error)
	Cancel(ctx context.Context, id int64, by string) (jobs.Run, error)
}

// Schedule says when jobs are due next.
type Schedule interface {
	Upcoming() []jobs.Upcoming
}

// visitor is who looks at a page, as the frame around it shows.
type visitor struct {
	CanLogIn bool   // whether there are users at all
	Username string // empty for nobody
	Admin    bool
	CSRF     string // for forms; empty where none is needed
	LogIn    string // where to log in and come back from
}

func (d *dashboard) visitorOf(r *http.Request) visitor {
	by := accounts.CallerOf(r.Context())
	return visitor{
		CanLogIn: d.Accounts != nil, Username: by.Username, Admin: by.Role == accounts.Admin, CSRF: by.CSRF,
		LogIn: "/login?next=" + url.QueryEscape(r.URL.RequestURI()),
	}
}

// forRole serves a page to those who may what the role may; nobody is sent to the
// login first. What changes something has to come from a form of the caller's session.
func (d *dashboard) forRole(role accounts.Role, serve func(w http.ResponseWriter, r *http.Request, h holdings)) http.HandlerFunc {
	return d.withHoldings(func(w http.ResponseWriter, r *http.Request, h holdings) {
		by := accounts.CallerOf(r.Context())
		switch {
		case !by.Known() && r.Method == http.MethodGet:
			http.Redirect(w, r, d.visitorOf(r).LogIn, http.StatusSeeOther)
		case !by.Known():
			d.refuse(w, r, h, http.StatusUnauthorized, "Your session has ended", "Log in again, and repeat what you did.")
		case !by.Role.May(role):
			d.refuse(w, r, h, http.StatusForbidden, "This is for admins only", "Ask one of them, or log in as one.")
		case r.Method == http.MethodPost && by.Method == accounts.BySession && !by.CheckCSRF(r.PostFormValue("csrf")):
			d.refuse(w, r, h, http.StatusForbidden, "The form is out of date", "It was made for another session. Go back, load the page again, and repeat what you did.")
		default:
			serve(w, r, h)
		}
	})
}

func (d *dashboard) refuse(w http.ResponseWriter, r *http.Request, h holdings, status int, heading, message string) {
	d.render(w, r, status, d.failure, failurePage{layout: newLayout(heading, h, marketSection, market.Series{}), Heading: heading, Message: message})
}

// back sends the visitor to a page after a form was taken.
func back(w http.ResponseWriter, r *http.Request, path string) {
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// problemText is what a page says of an error; the log has what a visitor must not see.
func (d *dashboard) problemText(w http.ResponseWriter, r *http.Request, err error) string {
	if market.ErrorCode(err) == market.Internal {
		return "That failed. " + d.logError(r, requestID(w), "form not taken", err)
	}
	return sentence(market.ErrorMessage(err))
}

// localPath returns a path of this service to go to, the start page for whatever leads
// elsewhere.
func localPath(next string) string {
	target, err := url.Parse(next)
	if err != nil || target.Scheme != "" || target.Host != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
