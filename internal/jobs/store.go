package jobs

import (
	"context"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Records reads what is on record of runs.
type Records interface {
	// Runs returns runs, the one queued last first, at most filter.Limit.
	Runs(ctx context.Context, filter Filter) ([]Run, error)
	// Run returns a run with all its attempts, or a NotFound error.
	Run(ctx context.Context, id int64) (Run, error)
	// NewestRuns returns of each job and symbol the run that was queued last.
	NewestRuns(ctx context.Context) ([]Run, error)
}

// Filter says which runs are meant; what is empty does not limit them.
type Filter struct {
	Job    Name
	Symbol market.Symbol
	State  State
	// Before is the place behind which to go on, that of the last run of the page
	// before.
	Before Place
	Limit  int
}

// MostRuns is how many runs are returned at once, at most.
const MostRuns = 500

// Place is where a run stands in a list.
type Place struct {
	QueuedAt time.Time
	ID       int64
}

// PlaceOf returns where a run stands.
func PlaceOf(r Run) Place { return Place{r.QueuedAt, r.ID} }

// Queue keeps what processes have to know of each other.
type Queue interface {
	// Due reports whether a run that was due at an instant is still to be queued: no
	// run of the job and symbol was due at that instant or later, and none is active.
	// One that is active does its work: that is noted as a skip.
	Due(ctx context.Context, job Name, symbol market.Symbol, slot time.Time) (bool, error)
	// Beat notes that a process lives, and gives the runs back of those of which
	// nothing was heard for a while. It returns how many runs these were.
	Beat(ctx context.Context, process string, silent time.Duration) (int64, error)
	// Leave forgets a process.
	Leave(ctx context.Context, process string) error
	// NoteCancel notes who called a run off.
	NoteCancel(ctx context.Context, id int64, by string) error
}

// Store is what a Service needs of the database.
type Store interface {
	Records
	Queue
}
