package timescale

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// CheckReplica returns a Conflict error where the database is a replica of another
// server than the primary's, and reports whether it is a replica at all.
func (d *Database) CheckReplica(ctx context.Context, primary *Database) (replica bool, err error) {
	var system, primarySystem int64
	const sql = `SELECT system_identifier, pg_is_in_recovery() FROM pg_control_system()`
	err = d.pool.QueryRow(ctx, sql).Scan(&system, &replica)
	if err == nil {
		err = primary.pool.QueryRow(ctx, `SELECT system_identifier FROM pg_control_system()`).Scan(&primarySystem)
	}
	if err != nil {
		return false, fmt.Errorf("look at the replica: %w", err)
	}
	if replica && system != primarySystem {
		return true, market.Errorf(market.Conflict, "it is a replica of another server")
	}
	return replica, nil
}

// A replica that has all of the primary's log within this while is not behind: the log
// grows a little even where nothing is written, and the age of the last transaction
// says nothing then.
const (
	replayTries = 5
	replayPause = 20 * time.Millisecond
)

// ReplicaLag returns how old what the database shows is at most: 0 for a replica that
// has replayed all that its primary had written when it was asked, else the time since
// the last transaction that it has replayed.
func (d *Database) ReplicaLag(ctx context.Context, primary *Database) (time.Duration, error) {
	var written string
	if err := primary.pool.QueryRow(ctx, `SELECT pg_current_wal_lsn()::text`).Scan(&written); err != nil {
		return 0, fmt.Errorf("ask how far the primary is: %w", err)
	}
	for try := 1; ; try++ {
		var caughtUp bool
		var age pgtype.Float8
		// A replica that has replayed no transaction yet is at least as old as its start.
		err := d.pool.QueryRow(ctx, `
			SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, true),
				extract(epoch FROM clock_timestamp() - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))::double precision`,
			written).Scan(&caughtUp, &age)
		switch {
		case err != nil:
			return 0, fmt.Errorf("ask how far the replica is: %w", err)
		case caughtUp:
			return 0, nil
		case try == replayTries:
			return time.Duration(age.Float64 * float64(time.Second)), nil
		}
		select {
		case <-time.After(replayPause):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
