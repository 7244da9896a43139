// Package jobs says when the scheduled work of the service is done, and keeps the
// record of it: what ran, when, how often it was tried, what became of it. The work
// itself is the domain's.
package jobs

import (
	"context"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Name is the name of a job.
type Name string

// The jobs.
const (
	Ingest   Name = "ingest"   // coins, then candles up to now, then repair of gaps
	Train    Name = "train"    // learn a model anew
	Score    Name = "score"    // score forecasts whose candle has closed
	Maintain Name = "maintain" // refresh, compress, prune, recheck
)

// Definition says what a job is for and how it is run.
type Definition struct {
	Name    Name
	Purpose string // a sentence for people
	// PerSymbol says that each followed symbol has runs of its own.
	PerSymbol bool
	// FirstLate says that the first run is due at once where its instant has passed. It
	// is not where something else has to be done before it, and asks for it then.
	FirstLate bool
	// Attempts is how often a run is tried at most.
	Attempts int
	// Timeout is what one attempt may take.
	Timeout time.Duration
}

// State says where a run stands.
type State string

// The states of a run. The last four are final.
const (
	Queued    State = "queued"    // waits for a worker
	Running   State = "running"   // is being worked
	Retrying  State = "retrying"  // has failed, and is tried again
	Succeeded State = "succeeded" // is done
	Failed    State = "failed"    // is given up
	Cancelled State = "cancelled" // was called off
	Skipped   State = "skipped"   // was due while another run of the same was active
)

// States are all states.
var States = []State{Queued, Running, Retrying, Succeeded, Failed, Cancelled, Skipped}

// Final reports whether a run in this state stays as it is.
func (s State) Final() bool {
	return s == Succeeded || s == Failed || s == Cancelled || s == Skipped
}

// Trigger says why a run exists.
type Trigger string

// The triggers.
const (
	BySchedule Trigger = "schedule" // it was due
	ByCatchUp  Trigger = "catch_up" // it had been due while nobody was there
	ByPerson   Trigger = "person"   // somebody asked for it
	ByChange   Trigger = "change"   // a setting was changed, or a model is missing
)

// jobNames says which jobs there are, for people.
const jobNames = "there are ingest, train, score and maintain"

// ParseName returns the job of that name, or a NotFound error.
func ParseName(name string) (Name, error) {
	for _, d := range definitions {
		if string(d.Name) == name {
			return d.Name, nil
		}
	}
	return "", market.Errorf(market.NotFound, "there is no such job; %s", jobNames)
}

// Definitions returns the jobs in the order in which people read them.
func Definitions() []Definition { return slices.Clone(definitions) }

var definitions = []Definition{
	{Ingest, "Brings coins and candles up to date and repairs gaps.", true, true, 3, 15 * time.Minute},
	{Train, "Trains a model anew, which is put to use if it is good enough.", true, false, 3, 2 * time.Hour},
	{Score, "Scores forecasts that were not when their candle closed.", false, true, 5, 5 * time.Minute},
	{Maintain, "Tidies the database up.", false, true, 3, time.Hour},
}

// definitionOf returns what is known of a job, false where there is none of that name.
func definitionOf(name Name) (Definition, bool) {
	at := slices.IndexFunc(definitions, func(d Definition) bool { return d.Name == name })
	if at < 0 {
		return Definition{}, false
	}
	return definitions[at], true
}

// Task is what one run is to do.
type Task struct {
	// Symbol is empty for a job that is not per symbol.
	Symbol market.Symbol
	// Wanted limits an ingest to candles that open in it, a backfill; a zero range
	// is what the settings say.
	Wanted market.TimeRange
}

// Report is what a run came to: how many rows it wrote or removed, by names such as
// candles_new. Nothing else is in it, so that its sum is the run's rows.
type Report map[string]int64

// Work does a task. It may be called again after a failure or a kill at any moment
// and goes on from what is stored; it ends soon after ctx has. Its report counts
// what was written even where it failed.
type Work func(ctx context.Context, task Task) (Report, error)

// Attempt is one try of a run.
type Attempt struct {
	Number    int       // from 1
	StartedAt time.Time // zero where it is not known
	EndedAt   time.Time // zero while it runs
	Instance  string    // the process that tried
	Error     string    // empty where it did not fail
	Panicked  bool
}

// Run is one occasion of a job.
type Run struct {
	ID      int64
	Job     Name
	Task    Task
	State   State
	Trigger Trigger
	By      string // the user who asked for it, empty where nobody did
	// RetriedBy is who asked last for another attempt, CancelledBy who called it off;
	// empty where nobody did.
	RetriedBy, CancelledBy string
	// ScheduledAt is when it was due: for a run that a schedule made its instant, else
	// when it was asked for. NextAttemptAt is when one that is retrying is tried again.
	ScheduledAt   time.Time
	QueuedAt      time.Time
	StartedAt     market.Optional[time.Time] // of the newest attempt
	EndedAt       market.Optional[time.Time]
	NextAttemptAt market.Optional[time.Time]
	MostAttempts  int
	Attempts      []Attempt // oldest first; those of a list are the newest one only
	Attempted     int       // how many attempts there were
	Report        Report    // nil where it is not known
	Rows          int64     // that were written
	Reason        string    // why it was skipped or cancelled, for people
}
