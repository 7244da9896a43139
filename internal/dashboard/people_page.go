package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/httpstatus"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// peoplePage lists users for admins to change.
type peoplePage struct {
	layout
	Users   []userRow
	Next    string // the page behind, empty on the last
	Problem string
	Done    string
	Import  *accounts.ImportReport
	Me      string
}

type userRow struct {
	accounts.User
	Created, LastLogin string
}

func (d *dashboard) servePeople(w http.ResponseWriter, r *http.Request, h holdings) {
	d.renderPeople(w, r, http.StatusOK, h, peoplePage{})
}

func (d *dashboard) renderPeople(w http.ResponseWriter, r *http.Request, status int, h holdings, page peoplePage) {
	page.layout = newLayout("People", h, marketSection, market.Series{})
	page.Me = accounts.CallerOf(r.Context()).Username
	const shown = 100
	users, err := d.Accounts.List(r.Context(), r.URL.Query().Get("after"), shown)
	if err != nil {
		d.fail(w, r, h, fmt.Errorf("listing users: %w", err))
		return
	}
	for _, u := range users {
		last := instantOrNothing(u.LastLoginAt.Value)
		if last == "" {
			last = "never"
		}
		page.Users = append(page.Users, userRow{u, u.CreatedAt.UTC().Format(time.DateOnly), last})
	}
	if len(users) == shown {
		page.Next = users[shown-1].Username
	}
	d.render(w, r, status, d.people, page)
}

// takePeople does one of the things that admins do with users.
func (d *dashboard) takePeople(w http.ResponseWriter, r *http.Request, h holdings) {
	by, username := accounts.CallerOf(r.Context()), r.PostFormValue("username")
	var page peoplePage
	var err error
	switch r.PathValue("action") {
	case "create":
		var u accounts.User
		u, err = d.Accounts.Create(r.Context(), by, accounts.NewUser{
			Username: username, Email: r.PostFormValue("email"), Password: r.PostFormValue("password"), Role: accounts.Role(r.PostFormValue("role")),
		})
		page.Done = fmt.Sprintf("%s is a new %s.", u.Username, u.Role)
	case "delete":
		if r.PostFormValue("confirm") == "" {
			err = market.Errorf(market.Invalid, "tick the box to delete %s: it cannot be undone", username)
			break
		}
		err = d.Accounts.Delete(r.Context(), by, username)
		page.Done = username + " is deleted."
	case "role":
		err = d.Accounts.SetRole(r.Context(), by, username, accounts.Role(r.PostFormValue("role")))
		page.Done = fmt.Sprintf("%s is %s now.", username, r.PostFormValue("role"))
	case "password":
		err = d.Accounts.SetPassword(r.Context(), by, username, r.PostFormValue("password"))
		page.Done = fmt.Sprintf("%s has another password, and has to log in again.", username)
	case "import":
		page, err = d.importUsers(r, by)
	default:
		err = market.Errorf(market.NotFound, "there is nothing of that kind to do")
	}
	status := http.StatusOK
	if err != nil {
		status, page.Problem, page.Done = httpstatus.Of(err), d.problemText(w, r, err), ""
	}
	d.renderPeople(w, r, status, h, page)
}

func (d *dashboard) importUsers(r *http.Request, by accounts.Caller) (peoplePage, error) {
	file, _, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) {
		return peoplePage{}, market.Errorf(market.Invalid, "choose a file")
	}
	if err != nil {
		return peoplePage{}, market.Errorf(market.Invalid, "the file could not be taken: it may be longer than a megabyte")
	}
	defer file.Close()
	report, err := d.Accounts.Import(r.Context(), by, file, r.PostFormValue("keep_going") != "")
	page := peoplePage{Done: fmt.Sprintf("%d users are new, %d rows were refused.", report.Created, report.Refused)}
	if len(report.Rows) > 0 {
		page.Import = &report
	}
	return page, err
}

// mePage is what a user may change of his own.
type mePage struct {
	layout
	Me       accounts.Caller
	Tokens   []tokenRow
	Sessions []sessionRow
	Secret   string // of a token that was just made
	Problem  string
}

type tokenRow struct {
	accounts.Token
	Expires, Used string
}

type sessionRow struct {
	accounts.Session
	Began, Used string
	Current     bool
}

func (d *dashboard) serveMe(w http.ResponseWriter, r *http.Request, h holdings) {
	d.renderMe(w, r, http.StatusOK, h, mePage{})
}

func (d *dashboard) renderMe(w http.ResponseWriter, r *http.Request, status int, h holdings, page mePage) {
	page.layout, page.Me = newLayout("Your account", h, marketSection, market.Series{}), accounts.CallerOf(r.Context())
	tokens, err := d.Accounts.Tokens(r.Context(), page.Me.Username)
	if err != nil {
		d.fail(w, r, h, fmt.Errorf("listing tokens: %w", err))
		return
	}
	for _, t := range tokens {
		used := instantOrNothing(t.UsedAt.Value)
		if used == "" {
			used = "never"
		}
		page.Tokens = append(page.Tokens, tokenRow{t, instantOrNothing(t.ExpiresAt), used})
	}
	sessions, err := d.Accounts.Sessions(r.Context(), page.Me.Username)
	if err != nil {
		d.fail(w, r, h, fmt.Errorf("listing sessions: %w", err))
		return
	}
	for _, s := range sessions {
		page.Sessions = append(page.Sessions, sessionRow{s, instantOrNothing(s.CreatedAt), instantOrNothing(s.UsedAt), s.ID == page.Me.Session})
	}
	d.render(w, r, status, d.me, page)
}

func (d *dashboard) takeMe(w http.ResponseWriter, r *http.Request, h holdings) {
	by := accounts.CallerOf(r.Context())
	var page mePage
	var err error
	switch r.PathValue("action") {
	case "password":
		err = d.Accounts.ChangePassword(r.Context(), by, r.PostFormValue("current"), r.PostFormValue("password"))
		if err == nil {
			setSession(w, r, "", -1) // all sessions have ended
			back(w, r, "/login")
			return
		}
	case "token":
		var days int
		if days, err = strconv.Atoi(r.PostFormValue("days")); err != nil || days < 1 || days > 366 {
			err = market.Errorf(market.Invalid, "give 1 to 366 days")
			break
		}
		page.Secret, _, err = d.Accounts.CreateToken(r.Context(), by, r.PostFormValue("name"), accounts.Role(r.PostFormValue("role")), time.Duration(days)*24*time.Hour)
	case "revoke":
		var id int64
		if id, err = strconv.ParseInt(r.PostFormValue("id"), 10, 64); err != nil {
			err = market.Errorf(market.NotFound, "there is no such token")
			break
		}
		err = d.Accounts.RevokeToken(r.Context(), by, id)
	default:
		err = market.Errorf(market.NotFound, "there is nothing of that kind to do")
	}
	status := http.StatusOK
	if err != nil {
		status, page.Problem = httpstatus.Of(err), d.problemText(w, r, err)
	}
	d.renderMe(w, r, status, h, page)
}

// auditPage shows who did what.
type auditPage struct {
	layout
	Entries []auditRow
	Next    string
}

type auditRow struct {
	accounts.Entry
	When string
}

func (d *dashboard) serveAudit(w http.ResponseWriter, r *http.Request, h holdings) {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // anything else begins at the newest
	const shown = 100
	entries, err := d.Accounts.Audit(r.Context(), max(before, 0), shown)
	if err != nil {
		d.fail(w, r, h, fmt.Errorf("reading the audit log: %w", err))
		return
	}
	page := auditPage{layout: newLayout("Audit log", h, marketSection, market.Series{})}
	for _, e := range entries {
		page.Entries = append(page.Entries, auditRow{e, instantOrNothing(e.At)})
	}
	if len(entries) == shown {
		page.Next = "/audit?before=" + strconv.FormatInt(entries[shown-1].ID, 10)
	}
	d.render(w, r, http.StatusOK, d.audit, page)
}
