package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// newReplica makes a physical replica of a server, which follows it.
func newReplica(t *testing.T, primary *ownServer) *ownServer {
	t.Helper()
	s := newOwnFolder(t, primary.root)
	out, err := s.command(t.Context(), "pg_basebackup", "--host="+primary.folder, "--username=cryptoboat", "--pgdata="+s.folder+"/data",
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	s.start(t)
	return s
}

// replicated is a service whose history is read from a replica.
type replicated struct {
	handler          http.Handler
	primary, replica *pgx.Conn
	serving          *serving
	crashReplica     func()
}

func serveReplicated(t *testing.T) replicated {
	t.Helper()
	root, found := privateRoot()
	if !found {
		t.Skip("a replica needs a PostgreSQL server of the test's own, which scripts/database runs from a private Debian root; here is none")
	}
	first := newOwnServer(t, root)
	first.start(t)
	second := newReplica(t, first)
	connect := func(url string) *pgx.Conn {
		connection, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close(context.Background()) })
		return connection
	}
	r := replicated{crashReplica: func() { second.crash(t) }}
	r.primary, r.replica = connect(first.url()), connect(second.url())
	database := timescaletest.OpenAt(t, first.url())
	r.insert(t, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	r.catchUp(t)

	e := environment{out: io.Discard, errors: io.Discard, get: func(name string) string {
		return map[string]string{readDatabaseVariable: second.url()}[name]
	}}
	var err error
	if r.serving, err = newServing(t.Context(), e, database, false, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.serving.reads.Close)
	if r.handler, err = newHandler(t.Context(), r.serving); err != nil {
		t.Fatal(err)
	}
	return r
}

// insert stores a candle in the primary.
func (r replicated) insert(t *testing.T, open time.Time) {
	t.Helper()
	if _, err := r.primary.Exec(t.Context(), `INSERT INTO candles VALUES ('BTCUSDT', '15m', $1, 1, 2, 1, 2, 3)`, open); err != nil {
		t.Fatal(err)
	}
}

// catchUp returns when the replica has replayed all that was written to the primary.
func (r replicated) catchUp(t *testing.T) {
	t.Helper()
	var written string
	if err := r.primary.QueryRow(t.Context(), `SELECT pg_current_wal_flush_lsn()::text`).Scan(&written); err != nil {
		t.Fatal(err)
	}
	for range time.Tick(10 * time.Millisecond) {
		var there bool
		if err := r.replica.QueryRow(t.Context(), `SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, written).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if there {
			return
		}
	}
}

func (r replicated) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	answer := httptest.NewRecorder()
	r.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

// lag is what the health check says, in seconds.
func (r replicated) lag(t *testing.T) float64 {
	t.Helper()
	status, body := r.get(t, "/healthcheck")
	var health struct {
		Lag *float64 `json:"replica_lag_seconds"`
	}
	if err := json.Unmarshal([]byte(body), &health); err != nil || status != http.StatusOK || health.Lag == nil {
		t.Fatalf("status %d, %v: %s", status, err, body)
	}
	return *health.Lag
}

func TestHistoryIsReadFromAReplica(t *testing.T) {
	r := serveReplicated(t)
	const newest = "/v1/symbols/BTCUSDT/candles?limit=1"
	says := func(when, path, want string) {
		t.Helper()
		if status, body := r.get(t, path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %s is %d and does not say %s: %.300s", when, path, status, want, body)
		}
	}
	says("in step", newest, `"open_time":"2024-01-01T00:00:00Z"`)
	if lag := r.lag(t); lag != 0 {
		t.Errorf("in step, the replica is %g s behind", lag)
	}

	// What the replica does not replay is not to be seen, so that reads come from there.
	if _, err := r.replica.Exec(t.Context(), `SELECT pg_wal_replay_pause()`); err != nil {
		t.Fatal(err)
	}
	r.insert(t, time.Date(2024, 1, 1, 0, 15, 0, 0, time.UTC))
	says("held up", newest, `"open_time":"2024-01-01T00:00:00Z"`)
	says("held up", "/v1/symbols", `"last":"2024-01-01T00:00:00Z"`)
	says("held up", "/v1/symbols/BTCUSDT/coverage", `"rows":1,`)
	if lag := r.lag(t); lag <= 0 || lag > 60 {
		t.Errorf("held up, the replica is %g s behind", lag)
	}
	// Writes, and reads of people, go to the primary: who was made just now logs in.
	user := accounts.NewUser{Username: "ann", Password: "gannet-41-gannet", Role: accounts.Viewer}
	if _, err := r.serving.accounts.Create(t.Context(), accounts.CommandLine, user); err != nil {
		t.Error(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/me", nil)
	request.SetBasicAuth(user.Username, user.Password)
	answer := httptest.NewRecorder()
	if r.handler.ServeHTTP(answer, request); answer.Code != http.StatusOK {
		t.Errorf("a new user is answered %d %s", answer.Code, answer.Body)
	}
	var there bool
	if err := r.replica.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM users WHERE username = 'ann')`).Scan(&there); err != nil || there {
		t.Errorf("the replica knows of ann: %t, %v", there, err)
	}

	if _, err := r.replica.Exec(t.Context(), `SELECT pg_wal_replay_resume()`); err != nil {
		t.Fatal(err)
	}
	r.catchUp(t)
	says("in step again", newest, `"open_time":"2024-01-01T00:15:00Z"`)
	if lag := r.lag(t); lag != 0 {
		t.Errorf("in step again, the replica is %g s behind", lag)
	}

	// Without the replica, reads fail and say so, and writes go on.
	r.crashReplica()
	if status, body := r.get(t, newest); status != http.StatusServiceUnavailable {
		t.Errorf("without the replica: %d %s", status, body)
	}
	if status, _ := r.get(t, "/healthcheck"); status != http.StatusServiceUnavailable {
		t.Errorf("without the replica the health check is %d", status)
	}
	r.insert(t, time.Date(2024, 1, 1, 0, 30, 0, 0, time.UTC))
}

func TestAReadDatabaseThatCannotServeIsRefused(t *testing.T) {
	primary := timescaletest.Open(t)
	for name, test := range map[string]struct {
		url, says string
		code      market.Code
	}{
		"nobody there": {"postgres://cryptoboat:hunter2@127.0.0.1:1/none?connect_timeout=2", "the database of CRYPTOBOAT_READ_DATABASE_URL", market.Unavailable},
		"no address":   {"postgres://cryptoboat:hunter2@127.0.0.1:port/none", "cannot be read", market.Invalid},
		"no schema":    {timescaletest.URL(t), "which should follow that of CRYPTOBOAT_DATABASE_URL: the schema is at 0", market.Unavailable},
	} {
		e := environment{get: func(string) string { return test.url }}
		_, err := openReads(t.Context(), e, primary, slog.New(slog.DiscardHandler))
		if market.ErrorCode(err) != test.code || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHistoryIsReadFromTheDatabaseItself(t *testing.T) {
	primary := timescaletest.Open(t)
	reads, err := openReads(t.Context(), environment{get: func(string) string { return "" }}, primary, slog.New(slog.DiscardHandler))
	if err != nil || reads != primary {
		t.Errorf("%p, %v", reads, err)
	}
	handler, err := handlerOf(t, primary, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthcheck", nil))
	if answer.Code != http.StatusOK || strings.Contains(answer.Body.String(), "replica") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
