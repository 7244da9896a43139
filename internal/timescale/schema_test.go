package timescale_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func TestMigrationsGoUpAndDown(t *testing.T) {
	ctx := t.Context()
	database, err := timescale.Open(ctx, timescaletest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	for range 2 { // up again after down: nothing is left behind
		if err := database.MigrateUp(ctx); err != nil {
			t.Fatal(err)
		}
		status, err := database.SchemaStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if status.Version == 0 || status.Version != status.Newest || status.Dirty {
			t.Fatalf("after up: %+v", status)
		}
		if err := database.MigrateUp(ctx); err != nil {
			t.Fatalf("up with nothing to do: %v", err)
		}
		if err := database.MigrateDown(ctx); err != nil {
			t.Fatal(err)
		}
		if status, err = database.SchemaStatus(ctx); err != nil || status.Version != 0 {
			t.Fatalf("after down: %+v, %v", status, err)
		}
	}
}

func TestAMigrationThatIsStoppedSaysSo(t *testing.T) {
	d := timescaletest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.MigrateDown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestSchemaStatusSaysWhatToDo(t *testing.T) {
	for says, status := range map[string]timescale.SchemaStatus{
		"run cryptoboat migrate up": {Version: 3, Newest: 5},
		"use a newer cryptoboat":    {Version: 9, Newest: 5},
		"failed halfway":            {Version: 5, Newest: 5, Dirty: true},
	} {
		if err := status.Check(); market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", status, err)
		}
	}
	if err := (timescale.SchemaStatus{Version: 5, Newest: 5}).Check(); err != nil {
		t.Error(err)
	}
}

func TestOldReleasesAreRefused(t *testing.T) {
	for version, accepted := range map[string]bool{
		"2.18.0": true, "2.19.3": true, "2.23.0-dev": true, "3.0.0": true, "2.18": true,
		"2.17.2": false, "1.7.5": false, "2.9.0": false, "": false, "unknown": false, "2": false,
	} {
		if timescale.RecentEnough(version) != accepted {
			t.Errorf("release %q: accepted is %t", version, !accepted)
		}
	}
}

// People read the tables in psql: each of them, and each column, says what it is.
func TestEverythingInTheSchemaIsDescribed(t *testing.T) {
	d := timescaletest.Open(t)
	silent := ask[string](t, d, `
		SELECT c.relname || coalesce('.' || a.attname, '')
		FROM pg_class AS c
		LEFT JOIN LATERAL (
			SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
			UNION ALL SELECT NULL, 0) AS a ON true
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'schema_migrations'
		  AND (CASE a.attnum WHEN 0 THEN obj_description(c.oid, 'pg_class') ELSE col_description(c.oid, a.attnum) END) IS NULL
		UNION ALL
		SELECT p.oid::regprocedure::text FROM pg_proc AS p
		WHERE p.pronamespace = 'public'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
		  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND classid = 'pg_proc'::regclass AND deptype = 'e')`)
	if len(silent) > 0 {
		t.Errorf("without a COMMENT: %s", strings.Join(silent, ", "))
	}
}
