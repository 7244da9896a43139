package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

// readDatabaseVariable names a replica of the database, which pages and API read
// history from.
const readDatabaseVariable = "CRYPTOBOAT_READ_DATABASE_URL"

// openReads opens the database that is read from: a replica where the environment names
// one, else the primary. There is no falling back from the one to the other: what a
// replica takes off the primary, the primary may not be able to bear.
func openReads(ctx context.Context, e environment, primary *timescale.Database, log *slog.Logger) (*timescale.Database, error) {
	url := e.get(readDatabaseVariable)
	if url == "" {
		return primary, nil
	}
	reads, err := timescale.Open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("the database of %s: %w", readDatabaseVariable, err)
	}
	status, err := reads.SchemaStatus(ctx)
	if err == nil {
		err = status.Check()
	}
	var replica bool
	if err == nil {
		replica, err = reads.CheckReplica(ctx, primary)
	}
	if err != nil {
		reads.Close()
		return nil, fmt.Errorf("the database of %s, which should follow that of %s: %w", readDatabaseVariable, databaseVariable, err)
	}
	if replica {
		log.Info("history is read from a replica")
	} else {
		log.Warn("history is read from another database, which is no replica: nothing says how old it is")
	}
	return reads, nil
}

// replicaLag tells how far reads are behind writes.
type replicaLag struct{ reads, primary *timescale.Database }

func (l replicaLag) Lag(ctx context.Context) (time.Duration, error) {
	return l.reads.ReplicaLag(ctx, l.primary)
}
