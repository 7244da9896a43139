package timescale_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// Pages that anybody may look at, again and again, list the newest of tens of thousands
// of runs: they are found by the indexes.
func TestTheNewestRunsAreFoundByTheIndexes(t *testing.T) {
	d := timescaletest.Open(t)
	ctx := t.Context()
	for _, statement := range []string{`
		INSERT INTO river.river_job (kind, args, max_attempts, state, finalized_at, created_at, attempted_at, attempt, metadata)
		SELECT 'run', jsonb_build_object('job', job, 'symbol', symbol, 'trigger', 'schedule', 'by', '', 'scheduled_at', at), 3, 'completed', at, at, at, 1,
			'{"output": {"candles_new": 1}}'
		FROM (VALUES ('ingest', 'BTCUSDT', INTERVAL '15 min'), ('ingest', 'ETHUSDT', '15 min'), ('score', '', '5 min'), ('train', 'BTCUSDT', '30 days')) AS j (job, symbol, every),
			LATERAL generate_series(now() - INTERVAL '40 days', now() - INTERVAL '1 hour', every) AS at`, `
		INSERT INTO job_skips (job, symbol, scheduled_at, skipped_at, active_run) VALUES
			('ingest', 'ETHUSDT', now(), now(), 1), ('maintain', '', now() - INTERVAL '1 day', now() - INTERVAL '1 day', 2)`,
		`ANALYZE river.river_job`, `ANALYZE job_skips`,
	} {
		if _, err := d.Pool().Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	newest, err := d.NewestRuns(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, run := range newest {
		got = append(got, run.ID)
	}
	want := ask[int64](t, d, `SELECT id FROM (SELECT DISTINCT ON (job, symbol) * FROM job_runs ORDER BY job, symbol, queued_at DESC, id DESC) AS r ORDER BY job, symbol`)
	if len(want) != 5 || !slices.Equal(got, want) {
		t.Errorf("the newest runs are %v, want %v", got, want)
	}
	for _, statement := range []string{
		`SELECT * FROM job_runs ORDER BY queued_at DESC, id DESC LIMIT 40`,
		`SELECT * FROM job_runs WHERE job = 'train' AND symbol = 'BTCUSDT' ORDER BY queued_at DESC, id DESC LIMIT 40`,
	} {
		if plan := strings.Join(ask[string](t, d, "EXPLAIN "+statement), "\n"); strings.Contains(plan, "Seq Scan on river_job") || !strings.Contains(plan, "job_runs_") {
			t.Errorf("%s reads all runs:\n%s", statement, plan)
		}
	}
	// Page by page, with and without conditions, each run comes once.
	for _, filter := range []jobs.Filter{{Job: jobs.Ingest, Limit: 500}, {Symbol: "ETHUSDT", State: jobs.Succeeded, Limit: 499}} {
		seen := map[int64]bool{}
		for {
			runs, err := d.Runs(ctx, filter)
			if err != nil {
				t.Fatal(err)
			}
			for _, run := range runs {
				if seen[run.ID] {
					t.Fatalf("run %d comes twice", run.ID)
				}
				seen[run.ID] = true
			}
			if len(runs) < filter.Limit {
				break
			}
			filter.Before = jobs.PlaceOf(runs[len(runs)-1])
		}
		want := ask[int64](t, d, `SELECT count(*) FROM job_runs WHERE ($1 = '' OR job = $1) AND ($2 = '' OR symbol = $2) AND ($3 = '' OR state = $3)`,
			filter.Job, filter.Symbol, filter.State)
		if int64(len(seen)) != want[0] {
			t.Errorf("%+v finds %d of %d runs", filter, len(seen), want[0])
		}
	}
}

// A run keeps no word of how attempts are told apart.
func TestTheFenceLeavesNoTrace(t *testing.T) {
	d := timescaletest.Open(t)
	ctx := t.Context()
	seed := func(id int64) {
		t.Helper()
		_, err := d.Pool().Exec(ctx, `
			INSERT INTO river.river_job (id, kind, args, max_attempts, state, attempt, attempted_at, attempted_by)
			OVERRIDING SYSTEM VALUE VALUES ($1, 'run', '{"job": "score", "symbol": "", "trigger": "person", "by": "ada", "scheduled_at": "2024-05-06T00:00:00Z"}', 3,
				'running', 2, $2, '{first,second}')`, id, time.Now())
		if err != nil {
			t.Fatal(err)
		}
	}
	for id, ends := range map[int64]string{
		1: `{"instance": "second", "attempt": 2}`, 2: `{"instance": "first", "attempt": 2}`, 3: `{"instance": "second", "attempt": 1}`,
		4: `{}`, 5: `null`, 6: `"second"`,
	} {
		seed(id)
		_, err := d.Pool().Exec(ctx, `UPDATE river.river_job SET state = 'completed', finalized_at = now(),
			metadata = metadata || jsonb_build_object('ends', $2::jsonb, 'output', '{"scores_new": 7}'::jsonb) WHERE id = $1`, id, ends)
		if err != nil {
			t.Fatal(err)
		}
		run, err := d.Run(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if isOurs := id == 1; isOurs != (run.State == jobs.Succeeded) || isOurs != (run.Rows == 7) {
			t.Errorf("after the end by %s the run is %+v", ends, run)
		}
	}
	if left := ask[int64](t, d, `SELECT count(*) FROM river.river_job WHERE metadata ? 'ends'`); left[0] != 0 {
		t.Errorf("%d runs say who ended them", left[0])
	}
}
