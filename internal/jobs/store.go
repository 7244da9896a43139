package jobs

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

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
const MostRuns = 1000

// Place is where a run stands in a list.
type Place struct {
	QueuedAt time.Time
	ID       int64
}

// PlaceOf returns where a run stands.
func PlaceOf(r Run) Place { return Place{r.QueuedAt, r.ID} }

// InTransaction is what is done to the queue together with something else, or not at
// all.
type InTransaction func(ctx context.Context, tx pgx.Tx) error

// Queue decides together with all processes on what is put into the queue.
type Queue interface {
	// QueueIfDue calls queue where a run that was due at an instant is still to be
	// queued, at most once however many processes ask: no run of the job and symbol was
	// due at that instant or later, and none is active. One that is active does its
	// work, which is noted as a skip; but a back-fill does not, so that the run stays due
	// until that has ended.
	QueueIfDue(ctx context.Context, job Name, symbol market.Symbol, slot time.Time, queue InTransaction) error
	// Request notes who asks something of a run and does it, and reports whether it did:
	// not where the run is in none of the states by then.
	Request(ctx context.Context, id int64, request Request, by string, states []State, do InTransaction) (bool, error)
}

// Request is what is asked of a run.
type Request string

// The requests, as a run's metadata has who asked.
const (
	RequestRetry  Request = "retried_by"
	RequestCancel Request = "cancelled_by" // the first one counts
)

// Processes keeps what processes have to know of each other.
type Processes interface {
	// Beat notes that a process lives, and gives the runs back, which it returns, of
	// those of which nothing was heard for a while.
	Beat(ctx context.Context, process string, silent time.Duration) ([]GivenBack, error)
	// Held returns the number of the attempt of each run that a process has.
	Held(ctx context.Context, process string) (map[int64]int, error)
	// GiveBack gives back a run that a process has in that attempt, and reports whether
	// it had it still. What the attempt failed of is recorded.
	GiveBack(ctx context.Context, process string, id int64, attempt int, failure string) (bool, error)
	// Leave forgets a process.
	Leave(ctx context.Context, process string) error
}

// GivenBack is a run whose process had ended.
type GivenBack struct {
	ID      int64
	Job     Name
	Symbol  market.Symbol
	Attempt int
	Process string
}

// Store is what a Service needs of the database.
type Store interface {
	Records
	Queue
	Processes
}
