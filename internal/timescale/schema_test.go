package timescale_test

import (
	"testing"

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
