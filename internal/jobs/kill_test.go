package jobs_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/robfig/cron/v3"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// What a test tells the process that it is going to kill.
const (
	killedAt   = "CRYPTOBOAT_TEST_DATABASE"
	neverTrain = "CRYPTOBOAT_TEST_NEVER_TRAINS"
)

// TestBeKilled is a process of TestTheScheduleSurvivesTheKilledLeader: it scores every
// second, and may never end a training.
func TestBeKilled(t *testing.T) {
	address := os.Getenv(killedAt)
	if address == "" {
		t.Skip("it is for another test to start, and to kill")
	}
	database := timescaletest.OpenAt(t, address)
	everySecond, err := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse("* * * * * *")
	if err != nil {
		t.Fatal(err)
	}
	done := func(context.Context, jobs.Task) (jobs.Report, error) { return jobs.Report{}, nil }
	train := done
	if os.Getenv(neverTrain) != "" {
		train = func(ctx context.Context, _ jobs.Task) (jobs.Report, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	service, err := jobs.NewService(jobs.Config{
		Driver: database.JobDriver(), Store: database,
		Works: map[jobs.Name]jobs.Work{jobs.Ingest: done, jobs.Train: train, jobs.Score: done, jobs.Maintain: done},
		Plan:  jobs.Plan{Schedules: map[jobs.Name]cron.Schedule{jobs.Score: everySecond}},
		Now:   time.Now, Timing: jobs.Timing{Beat: 100 * time.Millisecond, Silent: 2 * time.Second, Retry: 0.001},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Error(service.Run(t.Context()))
}

// A process is killed that leads and works: another one keeps to the schedule, and ends
// what was begun.
func TestTheScheduleSurvivesTheKilledLeader(t *testing.T) {
	t.Parallel()
	b, address := newBenchAt(t, nil)
	control, err := jobs.NewControl(b.database.JobDriver(), b.database, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	connection, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	process := func(more ...string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBeKilled$")
		command.Env = append(append(os.Environ(), killedAt+"="+address), more...)
		command.Stderr = os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command
	}
	train, err := control.RunNow(t.Context(), jobs.Train, jobs.Task{Symbol: "BTCUSDT"}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	first := process(neverTrain + "=1")
	train = b.untilState(train.ID, jobs.Running)
	worker := train.Attempts[0].Instance
	scored := b.untilNewest(jobs.Score, func(r jobs.Run) bool { return r.State == jobs.Succeeded })
	var leader string
	if err := connection.QueryRow(t.Context(), `SELECT leader_id FROM river.river_leader`).Scan(&leader); err != nil || leader != worker {
		t.Fatalf("%s works and %s leads, %v", worker, leader, err)
	}
	second := process()
	defer func() {
		_ = second.Process.Kill()
		_ = second.Wait()
	}()
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	killed := time.Now()

	next := b.untilNewest(jobs.Score, func(r jobs.Run) bool { return r.State == jobs.Succeeded && r.ScheduledAt.After(killed) })
	t.Logf("the schedule stood still for %v", next.QueuedAt.Sub(scored.QueuedAt).Round(time.Millisecond))
	train = b.untilState(train.ID, jobs.Succeeded)
	if len(train.Attempts) != 2 || train.Attempts[0].Instance != worker || !strings.Contains(train.Attempts[0].Error, "ended while it worked on this") ||
		train.Attempts[1].Instance == worker || train.Attempts[1].Error != "" {
		t.Errorf("the record says %+v", train)
	}
}

// untilNewest looks at the newest run of a job until it is as wanted.
func (b *bench) untilNewest(job jobs.Name, isSo func(jobs.Run) bool) jobs.Run {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		runs, err := b.database.Runs(ctx, jobs.Filter{Job: job, Limit: 1})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(runs) == 1 && isSo(runs[0]) {
			return runs[0]
		}
		<-tick.C
	}
}
