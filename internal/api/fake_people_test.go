package api

import (
	"context"
	"io"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

const (
	adminName     = "admin"
	adminPassword = "a password for tests"
	viewerName    = "viewer"
	goodToken     = accounts.TokenPrefix + "good"
	goodSession   = "session-of-the-viewer"
)

// current are the settings that hold.
func (f *fakeService) current() settings.Settings {
	s := settings.Defaults()
	if f.closed {
		s.Open = nil
	}
	return s
}

// fakePeople are an admin and a viewer, both with adminPassword.
type fakePeople struct{ *fakeService }

func (p fakePeople) Authenticate(_ context.Context, address, username, password string) (accounts.Caller, error) {
	switch {
	case username == "trouble":
		return accounts.Caller{Username: username, Role: accounts.Viewer, Method: accounts.ByPassword}, p.fail()
	case password == "throttled":
		return accounts.Caller{}, &accounts.ThrottledError{Wait: 90 * time.Second}
	case password == adminPassword && (username == adminName || username == viewerName):
		return accounts.Caller{Username: username, Role: accounts.Role(username), Method: accounts.ByPassword, Address: address}, nil
	}
	return accounts.Caller{}, market.Errorf(market.Unauthorized, "the username or the password is wrong")
}

func (p fakePeople) CallerOfToken(_ context.Context, address, token string) (accounts.Caller, error) {
	if token != goodToken {
		return accounts.Caller{}, market.Errorf(market.Unauthorized, "the token is not known, has expired or was revoked")
	}
	return accounts.Caller{Username: adminName, Role: accounts.Viewer, Method: accounts.ByToken, Address: address}, nil
}

func (p fakePeople) CallerOfSession(_ context.Context, address, secret string) (accounts.Caller, error) {
	if secret != goodSession {
		return accounts.Caller{}, market.Errorf(market.Unauthorized, "the session has ended: log in again")
	}
	return accounts.Caller{Username: viewerName, Role: accounts.Viewer, Method: accounts.BySession, Address: address}, nil
}

var someUser = accounts.User{Username: "ada", Role: accounts.Viewer}

func (p fakePeople) Create(context.Context, accounts.Caller, accounts.NewUser) (accounts.User, error) {
	return someUser, p.fail()
}
func (p fakePeople) User(context.Context, string) (accounts.User, error) { return someUser, p.fail() }
func (p fakePeople) List(context.Context, string, int) ([]accounts.User, error) {
	return []accounts.User{someUser}, p.fail()
}
func (p fakePeople) Delete(context.Context, accounts.Caller, string) error { return p.fail() }
func (p fakePeople) SetRole(context.Context, accounts.Caller, string, accounts.Role) error {
	return p.fail()
}
func (p fakePeople) SetPassword(context.Context, accounts.Caller, string, string) error {
	return p.fail()
}
func (p fakePeople) ChangePassword(context.Context, accounts.Caller, string, string) error {
	return p.fail()
}
func (p fakePeople) Import(context.Context, accounts.Caller, io.Reader, bool) (accounts.ImportReport, error) {
	return accounts.ImportReport{}, p.fail()
}
func (p fakePeople) Export(_ context.Context, _ accounts.Caller, w io.Writer) error {
	if err := p.fail(); err != nil {
		return err
	}
	_, err := io.WriteString(w, "username\n")
	return err
}
func (p fakePeople) CreateToken(_ context.Context, _ accounts.Caller, name string, role accounts.Role, _ time.Duration) (string, accounts.Token, error) {
	return goodToken, accounts.Token{ID: 1, Name: name, Role: role}, p.fail()
}
func (p fakePeople) Tokens(context.Context, string) ([]accounts.Token, error) {
	return []accounts.Token{{ID: 1, Name: "robot", Role: accounts.Viewer}}, p.fail()
}
func (p fakePeople) RevokeToken(context.Context, accounts.Caller, int64) error { return p.fail() }
func (p fakePeople) Audit(context.Context, int64, int) ([]accounts.Entry, error) {
	return []accounts.Entry{{ID: 1, Action: accounts.LogIn, Outcome: accounts.Done}}, p.fail()
}
func (p fakePeople) Note(context.Context, accounts.Caller, accounts.Action, string, map[string]string) error {
	return p.fail()
}

type fakeSettings struct{ *fakeService }

func (s fakeSettings) List(context.Context) ([]settings.Setting, error) {
	var list []settings.Setting
	for _, d := range settings.Definitions() {
		list = append(list, settings.Setting{Definition: d, Value: d.Default})
	}
	return list, s.fail()
}
func (s fakeSettings) Set(context.Context, accounts.Caller, map[settings.Name]*string) error {
	return s.fail()
}

type fakeJobs struct{ *fakeService }

func (j fakeJobs) RunNow(_ context.Context, name jobs.Name, task jobs.Task, by string) (jobs.Run, error) {
	return jobs.Run{ID: 3, Job: name, Task: task, State: jobs.Queued, Trigger: jobs.ByPerson, By: by}, j.fail()
}
func (j fakeJobs) run() jobs.Run {
	return jobs.Run{
		ID: 3, Job: jobs.Ingest, State: jobs.Failed, Trigger: jobs.BySchedule, Report: jobs.Report{"candles_new": 2},
		Attempted: 1, Attempts: []jobs.Attempt{{Number: 1, Error: "the exchange is away"}},
	}
}
func (j fakeJobs) Retry(_ context.Context, _ int64, by string) (jobs.Run, error) {
	run := j.run()
	run.RetriedBy = by
	return run, j.fail()
}
func (j fakeJobs) Cancel(_ context.Context, _ int64, by string) (jobs.Run, error) {
	run := j.run()
	run.CancelledBy = by
	return run, j.fail()
}
func (fakeJobs) Upcoming() []jobs.Upcoming {
	at := time.Date(2024, time.May, 6, 10, 15, 5, 0, time.UTC)
	return []jobs.Upcoming{{Job: jobs.Ingest, Symbol: "BTCUSDT", At: at}, {Job: jobs.Ingest, Symbol: "ETHUSDT", At: at}, {Job: jobs.Score, At: at.Add(time.Minute)}}
}
func (j fakeJobs) Runs(context.Context, jobs.Filter) ([]jobs.Run, error) {
	return []jobs.Run{j.run()}, j.fail()
}
func (j fakeJobs) Run(context.Context, int64) (jobs.Run, error) { return j.run(), j.fail() }
func (j fakeJobs) NewestRuns(context.Context) ([]jobs.Run, error) {
	return []jobs.Run{j.run()}, j.fail()
}
