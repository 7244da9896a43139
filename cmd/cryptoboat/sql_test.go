package main

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// documentedQuery is a block of ```sql in docs/sql.md; its first line may say that
// there is a reason for no rows.
type documentedQuery struct {
	line       int
	sql        string
	mayBeEmpty bool
}

func documentedQueries(t *testing.T) []documentedQuery {
	t.Helper()
	page, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	var queries []documentedQuery
	inside := false
	for k, line := range strings.Split(string(page), "\n") {
		switch {
		case strings.HasPrefix(line, "```sql"):
			note := strings.TrimSpace(strings.TrimPrefix(line, "```sql"))
			if note != "" && note != "may be empty" {
				t.Errorf("line %d: a query %q", k+1, note)
			}
			queries = append(queries, documentedQuery{line: k + 1, mayBeEmpty: note != ""})
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			queries[len(queries)-1].sql += line + "\n"
		}
	}
	return queries
}

func TestTheDocumentedQueriesRun(t *testing.T) {
	folders := []string{realCandles(t, "BTCUSDT/15m"), realCandles(t, "ETHUSDT/15m"), realCandles(t, "BTCUSDT/1d")}
	address := timescaletest.URL(t)
	for _, arguments := range [][]string{{"migrate", "up"}, append([]string{"import"}, folders...)} {
		if code, _, complaints := cryptoboat(t, address, arguments...); code != 0 {
			t.Fatal(complaints)
		}
	}
	owner, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close(context.Background()) })
	// Forecasts by a rule of thumb, scored by what really happened, and a run of a job.
	if _, err := owner.Exec(t.Context(), `
		INSERT INTO models (symbol, interval, window_start, window_end, rows, skipped, data_hash, features, metrics, importance, promoted, verdict)
		VALUES ('BTCUSDT', '15m', '2023-01-01', '2024-01-01', 1, 0, 'x', '{}', '{}', '[]', true, 'for the test');
		INSERT INTO forecasts (symbol, interval, open_time, as_of, model_id, close_time, elapsed, open, last, point,
			low_80, high_80, low_90, high_90, probability_up, probability_above_open, companion_missing, baselines,
			scored_at, actual_open, actual_close, probability_analytic)
		SELECT symbol, interval, open_time, open_time, m.id, open_time + INTERVAL '15 minutes', 0, open, open, open * 1.0001,
			open * 0.997, open * 1.003, open * 0.995, open * 1.005, 0.5 + 0.2 * sin(k), 0.5 + 0.2 * sin(k), false,
			jsonb_build_array(jsonb_build_object('name', 'HAR', 'point', open, 'low_80', open * 0.998, 'high_80', open * 1.002,
				'low_90', open * 0.996, 'high_90', open * 1.004, 'probability_up', 0.5)),
			now(), open, close, 0.5
		FROM (SELECT *, row_number() OVER () AS k FROM candles WHERE interval = '15m' AND open_time >= '2024-01-01' AND open_time < '2024-01-08') AS c,
			(SELECT id FROM models) AS m;
		INSERT INTO river.river_job (state, attempt, attempted_at, finalized_at, args, kind, metadata)
		VALUES ('completed', 1, now() - INTERVAL '2 seconds', now(), '{"job": "ingest", "symbol": "BTCUSDT", "trigger": "schedule"}', 'run', '{"output": {"candles": 7}}')`); err != nil {
		t.Fatal(err)
	}

	name := strings.Replace(strings.TrimPrefix(mustParse(t, address).Path, "/"), "test", "reader", 1)
	code, password, complaints := cryptoboat(t, address, "reader", "create", "-name", name)
	if code != 0 {
		t.Fatal(complaints)
	}
	t.Cleanup(func() {
		if _, err := owner.Exec(context.Background(), "DROP OWNED BY "+name+"; DROP ROLE "+name); err != nil {
			t.Error(err)
		}
	})
	own := mustParse(t, address)
	own.User = url.UserPassword(name, strings.TrimSpace(password))
	reader, err := pgx.Connect(t.Context(), own.String())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())

	queries := documentedQueries(t)
	if len(queries) < 20 {
		t.Fatalf("only %d queries are documented", len(queries))
	}
	for _, query := range queries {
		began := time.Now()
		tag, err := reader.Exec(t.Context(), query.sql)
		switch {
		case err != nil:
			t.Errorf("docs/sql.md:%d: %v", query.line, err)
		case tag.RowsAffected() == 0 && !query.mayBeEmpty:
			t.Errorf("docs/sql.md:%d gives no row", query.line)
		}
		t.Logf("docs/sql.md:%d: %d rows in %s", query.line, tag.RowsAffected(), time.Since(began).Round(time.Millisecond))
	}
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
