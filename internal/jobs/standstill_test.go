package jobs_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/robfig/cron/v3"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// newBenchAt is newBench on a database of known address.
func newBenchAt(t *testing.T, work func(ctx context.Context, c call) (jobs.Report, error)) (*bench, string) {
	t.Helper()
	address := timescaletest.URL(t)
	return &bench{t: t, database: timescaletest.OpenAt(t, address), calls: make(chan call, 1000), work: work, timing: quick, log: slog.New(slog.DiscardHandler)}, address
}

// execute runs a statement as nobody but a test would.
func execute(t *testing.T, url, statement string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	if _, err := connection.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// When a database or the machine stood still, every sign of life is old. Nobody has
// ended because of that.
func TestAStandstillTakesNoWorkAway(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b, address := newBenchAt(t, func(ctx context.Context, _ call) (jobs.Report, error) {
		select {
		case <-release:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	b.timing.Beat = b.timing.Silent / 4
	first, _ := b.start("works")
	run := runNow(t, first, jobs.Ingest, "BTCUSDT")
	<-b.calls
	b.timing.Beat = quick.Beat // the first to be heard of again
	b.start("judges")
	beats := func() (beats []time.Time) {
		connection, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close(t.Context())
		rows, _ := connection.Query(t.Context(), `SELECT beat_at FROM job_processes ORDER BY beat_at`)
		if beats, err = pgx.CollectRows(rows, pgx.RowTo[time.Time]); err != nil {
			t.Fatal(err)
		}
		return beats
	}
	for len(beats()) < 2 {
	}
	execute(t, address, `
		UPDATE job_processes SET beat_at = beat_at - interval '1 hour', began_at = began_at - interval '1 hour';
		UPDATE river.river_job SET attempted_at = attempted_at - interval '1 hour'`)
	for time.Since(beats()[0]) > time.Minute { // until both have been heard of again
	}
	close(release)
	run = b.until(run.ID, "ended", func(r jobs.Run) bool { return r.State.Final() })
	if run.State != jobs.Succeeded || run.Attempted != 1 || run.Attempts[0].Error != "" {
		t.Errorf("the record says %+v", run)
	}
}

// A run that was cancelled stays so where its process ends before its work did.
func TestACancelledRunOfAProcessThatEndedStaysCancelled(t *testing.T) {
	t.Parallel()
	b, address := newBenchAt(t, func(context.Context, call) (jobs.Report, error) { return nil, nil })
	control, err := jobs.NewControl(b.database.JobDriver(), b.database, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run, err := control.RunNow(t.Context(), jobs.Ingest, jobs.Task{Symbol: "BTCUSDT"}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	execute(t, address, `UPDATE river.river_job SET state = 'running', attempt = 1, attempted_by = '{gone}', attempted_at = now() - interval '1 hour'`)
	if _, err := control.Cancel(t.Context(), run.ID, "eve"); err != nil {
		t.Fatal(err)
	}
	b.start("a")
	if run = b.until(run.ID, "ended", func(r jobs.Run) bool { return r.State.Final() }); run.State != jobs.Cancelled {
		t.Errorf("the record says %+v", run)
	}
}

// freezable is a way to the database that can be made to swallow everything.
type freezable struct {
	mutex  sync.Mutex
	frozen chan struct{} // closed while it is not
}

func newFreezable(t *testing.T, address string) (*freezable, string) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := parsed.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	f := &freezable{frozen: make(chan struct{})}
	close(f.frozen)
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				near.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					_, _ = io.Copy(way[0], readerFunc(func(p []byte) (int, error) {
						n, err := way[1].Read(p)
						f.mutex.Lock()
						frozen := f.frozen
						f.mutex.Unlock()
						<-frozen
						return n, err
					}))
					near.Close()
					far.Close()
				}()
			}
		}
	}()
	parsed.Host = listener.Addr().String()
	return f, parsed.String()
}

func (f *freezable) freeze() (thaw func()) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.frozen = make(chan struct{})
	return sync.OnceFunc(func() { close(f.frozen) })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A database that does not answer keeps nobody from ending, nor from changing the plan.
func TestAFrozenDatabaseHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before the start", "while it runs"} {
		t.Run(when, func(t *testing.T) {
			address := timescaletest.URL(t)
			way, through := newFreezable(t, address)
			b := &bench{t: t, database: timescaletest.OpenAt(t, through), calls: make(chan call, 1000), timing: quick, log: slog.New(slog.DiscardHandler)}
			b.work = func(context.Context, call) (jobs.Report, error) { return nil, nil }
			var thaw func()
			if when == "before the start" {
				thaw = way.freeze()
				defer thaw()
			}
			plan := everyMinute(t, "BTCUSDT", "ETHUSDT")
			b.plan = plan
			service, stop := b.start("a")
			if when == "while it runs" {
				<-b.calls // it leads, and has looked
				thaw = way.freeze()
				defer thaw()
			}
			began := time.Now()
			for range 3 {
				service.Change(plan)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("to change the plan took %v", took)
			}
			began = time.Now()
			stop()
			if took := time.Since(began); took > 3500*time.Millisecond {
				t.Errorf("to end took %v", took)
			}
		})
	}
}

func everyMinute(t *testing.T, symbols ...market.Symbol) jobs.Plan {
	t.Helper()
	schedule, err := cron.ParseStandard("* * * * *")
	if err != nil {
		t.Fatal(err)
	}
	return jobs.Plan{Symbols: symbols, Schedules: map[jobs.Name]cron.Schedule{jobs.Ingest: schedule, jobs.Train: schedule, jobs.Score: schedule}}
}
