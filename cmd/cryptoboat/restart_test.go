package main

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// restartable is an empty database that a test takes away, as a crash of the
// server does, and brings back.
type restartable struct {
	url     string
	crash   func()
	restart func()
}

// openRestartable returns a database on a server of the test's own, which really
// crashes, where scripts/database runs one from a private Debian root. Another
// server is shared with other tests, or somebody else's: there, the test's
// database alone is closed and everybody in it thrown out.
func openRestartable(t *testing.T) restartable {
	t.Helper()
	root, found := privateRoot()
	if !found {
		t.Log("no server can be restarted here: its database is closed and opened instead")
		return openClosable(t)
	}
	t.Log("the database is on a server of its own, which is killed and restarted")
	server := newOwnServer(t, root)
	server.start(t)
	return restartable{
		url:     server.url(),
		crash:   func() { server.crash(t) },
		restart: func() { server.start(t) },
	}
}

// privateRoot returns the Debian root of scripts/database where the tests'
// server runs in it, and we may run another one there.
func privateRoot() (path string, found bool) {
	caches, err := os.UserCacheDir()
	if err != nil || os.Geteuid() != 0 {
		return "", false
	}
	path = filepath.Join(caches, "cryptoboat", "database", "root")
	written, err := os.ReadFile(filepath.Join(path, "var/lib/cryptoboat/data/postmaster.pid"))
	if err != nil {
		return "", false
	}
	const portLine = 3
	lines := strings.Split(string(written), "\n")
	server, err := url.Parse(os.Getenv(databaseVariable))
	return path, err == nil && len(lines) > portLine && server.Host == "127.0.0.1:"+lines[portLine]
}

// ownServer is a PostgreSQL server with TimescaleDB that one test has for
// itself. It listens on a socket in a folder that only its user and root enter.
type ownServer struct {
	root    string
	folder  string // in root
	process *exec.Cmd
}

// As scripts/database has them.
const (
	serverID       = "54329"
	serverPrograms = "/usr/lib/postgresql/17/bin/"
)

func newOwnServer(t *testing.T, root string) *ownServer {
	t.Helper()
	s := newOwnFolder(t, root)
	out, err := s.command(context.WithoutCancel(t.Context()), "initdb", "--pgdata="+s.folder+"/data", "--username=cryptoboat", "--auth=trust",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--set=dynamic_shared_memory_type=mmap").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	return s
}

// newOwnFolder makes the place of a server that has no data yet.
func newOwnFolder(t *testing.T, root string) *ownServer {
	t.Helper()
	path, err := os.MkdirTemp(filepath.Join(root, "tmp"), "restart-")
	if err != nil {
		t.Fatal(err)
	}
	s := &ownServer{root: root, folder: strings.TrimPrefix(path, root)}
	t.Cleanup(func() {
		if s.process != nil {
			s.crash(t)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Error(err)
		}
	})
	if err := exec.Command("chown", serverID+":"+serverID, path).Run(); err != nil {
		t.Fatal(err)
	}
	return s
}

// url is the address of the server's first database.
func (s *ownServer) url() string {
	return "postgres://cryptoboat@/postgres?host=" + url.QueryEscape(s.root+s.folder)
}

// command is one of the server's programs, which dies with the test.
func (s *ownServer) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "chroot", append([]string{
		s.root, "setpriv", "--reuid=" + serverID, "--regid=" + serverID, "--clear-groups", "--pdeathsig=QUIT",
		serverPrograms + program,
	}, arguments...)...)
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	return command
}

// start returns once the server takes connections.
func (s *ownServer) start(t *testing.T) {
	t.Helper()
	arguments := []string{"-D", s.folder + "/data", "-k", s.folder}
	for _, setting := range []string{
		"listen_addresses=", "shared_preload_libraries=timescaledb", "timescaledb.telemetry_level=off",
		"timescaledb.max_background_workers=0", "jit=off", "timezone=UTC", "lc_messages=C", "logging_collector=off",
	} {
		arguments = append(arguments, "-c", setting)
	}
	// Its end is crash's, in clean-up too, when the test's context has ended.
	s.process = s.command(context.WithoutCancel(t.Context()), "postgres", arguments...)
	log, err := s.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	ready, last := make(chan bool, 1), ""
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			last = lines.Text()
			if strings.Contains(last, "ready to accept") { // a replica says that it accepts read-only connections
				ready <- true
			}
		}
		close(ready)
	}()
	select {
	case up := <-ready:
		if !up {
			t.Fatalf("the server did not start: %s", last)
		}
	case <-time.After(time.Minute):
		t.Fatal("the server did not start within a minute")
	}
}

// crash ends the server in PostgreSQL's immediate mode: it writes nothing more,
// and recovers from its log when it starts anew.
func (s *ownServer) crash(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Error(err)
	}
	_ = s.process.Wait() // such an end counts as a failure
	s.process = nil
}

// openClosable returns a database on the tests' common server, of which the
// crash is that nobody gets in and whoever was in is thrown out.
func openClosable(t *testing.T) restartable {
	t.Helper()
	address := timescaletest.URL(t)
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(parsed.Path, "/")
	administrator, err := pgx.Connect(t.Context(), os.Getenv(databaseVariable))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { administrator.Close(context.Background()) })
	execute := func(statement string, arguments ...any) {
		t.Helper()
		if _, err := administrator.Exec(t.Context(), statement, arguments...); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", statement, err))
		}
	}
	allow := "ALTER DATABASE " + pgx.Identifier{name}.Sanitize() + " ALLOW_CONNECTIONS "
	return restartable{
		url: address,
		crash: func() {
			execute(allow + "false")
			execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
		},
		restart: func() { execute(allow + "true") },
	}
}
