package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// importedURL is the address of a database with real candles.
func importedURL(t testing.TB, folders ...string) string {
	t.Helper()
	var paths []string
	for _, folder := range folders {
		paths = append(paths, realCandles(t, folder))
	}
	url := timescaletest.URL(t)
	for _, arguments := range [][]string{{"migrate", "up"}, append([]string{"import"}, paths...)} {
		if code, _, complaints := cryptoboat(t, url, arguments...); code != 0 {
			t.Fatal(complaints)
		}
	}
	return url
}

func TestABackupIsMadeAndRestoredByCommands(t *testing.T) {
	from := importedURL(t, "BTCUSDT/1d", "BTCUSDT/15m")
	folder := t.TempDir()
	step := func(url string, code int, says string, arguments ...string) {
		t.Helper()
		got, out, complaints := cryptoboat(t, url, arguments...)
		if got != code || !strings.Contains(out+complaints, says) {
			t.Errorf("cryptoboat %s: exit code %d, wanted %d and %q:\n%s%s", strings.Join(arguments, " "), got, code, says, out, complaints)
		}
	}
	step(from, 0, " tables as of ", "backup", folder)
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	file := filepath.Join(folder, files[0].Name())
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v: a backup holds hashes of passwords", info.Mode(), err)
	}
	step(from, 1, "exists: choose another name", "backup", file)
	step(from, 1, "no such file or directory", "backup", filepath.Join(folder, "none", "x.tar"))
	step(from, 2, "name a file to write", "backup")
	step("", 0, "is whole", "restore", "-check", file)
	step(from, 1, "is not empty, table candles has rows", "restore", file)

	to := timescaletest.URL(t) // without a schema
	step(to, 1, "no such file", "restore", file+"x")
	step(to, 2, "name a file", "restore")
	step(to, 0, "everybody logs in anew", "restore", file)
	if a, b := fingerprint(t, from), fingerprint(t, to); a != b {
		t.Errorf("backed up: %s; restored: %s", a, b)
	}

	damaged := filepath.Join(folder, "damaged.tar")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, content[:len(content)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	step("", 2, "the backup is damaged", "restore", "-check", damaged)
	step(timescaletest.URL(t), 2, "the backup is damaged", "restore", damaged)
}

// A restore that is killed leaves a database that is as empty as it was, and can be
// restored again; a backup that is killed leaves no file by its name.
func TestAKilledRestoreLeavesNothing(t *testing.T) {
	from := importedURL(t, "BTCUSDT/15m")
	folder := t.TempDir()
	file := filepath.Join(folder, "whole.tar")
	if code, _, complaints := cryptoboat(t, from, "backup", file); code != 0 {
		t.Fatal(complaints)
	}
	to := timescaletest.URL(t)
	if code, _, complaints := cryptoboat(t, to, "migrate", "up"); code != 0 {
		t.Fatal(complaints)
	}
	rows := func() (n int) {
		connection, err := pgx.Connect(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close(t.Context())
		if err := connection.QueryRow(t.Context(), `SELECT count(*) FROM candles`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// killed runs the program as a process and ends it after a while; it reports whether
	// that was before its end.
	killed := func(url string, after time.Duration, arguments ...string) bool {
		command := exec.CommandContext(t.Context(), os.Args[0], arguments...)
		command.Env = append(os.Environ(), asCommand+"=1", databaseVariable+"="+url)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- command.Wait() }()
		select {
		case <-time.After(after):
			killed := command.Process.Kill() == nil
			<-exited
			return killed
		case <-exited:
			return false
		}
	}
	kills := 0
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for range 10 {
		if rows() != 0 { // one was whole before it was killed
			break
		}
		if killed(to, time.Duration(random.IntN(300))*time.Millisecond, "restore", file) {
			kills++
		}
	}
	if kills == 0 {
		t.Error("no restore was killed: the test proved nothing")
	}
	t.Logf("%d restores were killed", kills)
	if rows() == 0 {
		if code, _, complaints := cryptoboat(t, to, "restore", file); code != 0 {
			t.Fatal(complaints)
		}
	}
	if a, b := fingerprint(t, from), fingerprint(t, to); a != b {
		t.Errorf("backed up: %s; restored: %s", a, b)
	}

	for k := range 5 {
		half := filepath.Join(folder, "half.tar")
		if !killed(from, time.Duration(40+20*k)*time.Millisecond, "backup", half) {
			break
		}
		if _, err := os.Stat(half); err == nil {
			if code, _, complaints := cryptoboat(t, "", "restore", "-check", half); code != 0 {
				t.Errorf("a backup that was killed: %s", complaints)
			}
			break
		}
	}
}

// BenchmarkBackup compares a backup, on the disk to its end, with COPY of the same
// candles to nowhere.
func BenchmarkBackup(b *testing.B) {
	url := importedURL(b, "BTCUSDT/15m", "ETHUSDT/15m", "BTCUSDT/5m", "ETHUSDT/5m", "BTCUSDT/1m")
	connection, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close(b.Context())
	var whole, raw []time.Duration
	var text, file int64
	for b.Loop() {
		began := time.Now()
		var n counter
		if _, err := connection.PgConn().CopyTo(b.Context(), &n, `COPY (SELECT * FROM candles) TO STDOUT`); err != nil {
			b.Fatal(err)
		}
		raw, text = append(raw, time.Since(began)), int64(n)
		path := filepath.Join(b.TempDir(), "x.tar")
		began = time.Now()
		if code, _, complaints := cryptoboat(b, url, "backup", path); code != 0 {
			b.Fatal(complaints)
		}
		whole = append(whole, time.Since(began))
		if info, err := os.Stat(path); err == nil {
			file = info.Size()
		}
	}
	b.ReportMetric(medianRatio(whole, raw), "x-COPY")
	b.ReportMetric(float64(text)/1e6/median(whole).Seconds(), "MB/s")
	b.ReportMetric(float64(text)/1e6/median(raw).Seconds(), "MB/s-COPY")
	b.ReportMetric(float64(text)/1e6, "MB-text")
	b.ReportMetric(float64(file)/1e6, "MB-file")
}

type counter int64

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}

// BenchmarkRestore compares a restore into an empty, migrated database with COPY of the
// same candles into another one.
func BenchmarkRestore(b *testing.B) {
	from := importedURL(b, "BTCUSDT/15m", "ETHUSDT/15m", "BTCUSDT/5m", "ETHUSDT/5m", "BTCUSDT/1m")
	path := filepath.Join(b.TempDir(), "x.tar")
	if code, _, complaints := cryptoboat(b, from, "backup", path); code != 0 {
		b.Fatal(complaints)
	}
	connection, err := pgx.Connect(b.Context(), from)
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close(b.Context())
	var text bytes.Buffer
	if _, err := connection.PgConn().CopyTo(b.Context(), &text, `COPY (SELECT * FROM candles) TO STDOUT`); err != nil {
		b.Fatal(err)
	}
	empty := func() string {
		url := timescaletest.URL(b)
		if code, _, complaints := cryptoboat(b, url, "migrate", "up"); code != 0 {
			b.Fatal(complaints)
		}
		return url
	}
	var whole, raw []time.Duration
	for b.Loop() {
		into, err := pgx.Connect(b.Context(), empty())
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if _, err := into.PgConn().CopyFrom(b.Context(), io.NewSectionReader(bytes.NewReader(text.Bytes()), 0, int64(text.Len())), `COPY candles FROM STDIN`); err != nil {
			b.Fatal(err)
		}
		raw = append(raw, time.Since(began))
		into.Close(b.Context())
		url := empty()
		began = time.Now()
		if code, _, complaints := cryptoboat(b, url, "restore", path); code != 0 {
			b.Fatal(complaints)
		}
		whole = append(whole, time.Since(began))
	}
	b.ReportMetric(medianRatio(whole, raw), "x-COPY")
	b.ReportMetric(float64(text.Len())/1e6/median(whole).Seconds(), "MB/s")
	b.ReportMetric(float64(text.Len())/1e6/median(raw).Seconds(), "MB/s-COPY")
}
