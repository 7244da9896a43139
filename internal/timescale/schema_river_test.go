package timescale_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// The schema that the library would make itself, and ours, must be the same.
func TestRiverSchemaIsTheLibrarysOwn(t *testing.T) {
	ctx := t.Context()
	pool := timescaletest.Open(t).Pool()
	if _, err := pool.Exec(ctx, `CREATE SCHEMA expected`); err != nil {
		t.Fatal(err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: "expected"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	describe := func(schema string) []string {
		rows, _ := pool.Query(ctx, `
			SELECT replace(line, $1 || '.', '') FROM (
				SELECT format('column %s.%s %s %s %s', table_name, column_name, CASE data_type WHEN 'USER-DEFINED' THEN udt_name ELSE data_type END,
					is_nullable, column_default) AS line
				FROM information_schema.columns WHERE table_schema = $1 AND table_name <> 'river_migration'
				UNION ALL SELECT 'index ' || indexdef FROM pg_indexes
				WHERE schemaname = $1 AND tablename <> 'river_migration' AND indexname NOT LIKE 'job_runs%'
				UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(c.oid))
				FROM pg_constraint AS c WHERE connamespace = $1::regnamespace AND conrelid::regclass::text NOT LIKE '%river_migration' AND contype <> 'n'
				UNION ALL SELECT 'label ' || enumlabel || ' ' || row_number() OVER (ORDER BY enumsortorder)
				FROM pg_enum JOIN pg_type AS t ON t.oid = enumtypid WHERE typnamespace = $1::regnamespace
				UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = $1::regnamespace
				UNION ALL SELECT format('table %s %s', relname, relpersistence)
				FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relname <> 'river_migration'
			) AS lines ORDER BY 1`, schema)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	want, got := describe("expected"), describe("river")
	if len(want) < 30 {
		t.Fatalf("only %d lines describe the library's schema", len(want))
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("ours lacks %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("the library's lacks %s", line)
		}
	}
}
