package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
)

const jobsSynopsis = "[next|run NAME|retry ID|cancel ID|show ID]"

func runJobs(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	symbol := flags.String("symbol", "", "run, or list, for that symbol only")
	job := flags.String("job", "", "list runs of that job only")
	state := flags.String("state", "", "list runs in that state only, such as failed")
	limit := flags.Int("limit", 20, "list so many runs at most")
	from := addTimeFlag(flags, "from", time.Time{}, "of an ingest, fetch candles from that instant only")
	to := addTimeFlag(flags, "to", time.Time{}, "of an ingest, fetch candles before that instant only")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	of := market.Symbol("")
	if *symbol != "" {
		var err error
		if of, err = market.ParseSymbol(*symbol); err != nil {
			return err
		}
	}
	filter, err := filterOf(*job, of, *state, *limit)
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	control, err := jobs.NewControl(database.JobDriver(), database, time.Now, slog.New(slog.NewTextHandler(e.errors, nil)))
	if err != nil {
		return err
	}
	people, err := accounts.NewService(database, time.Now)
	if err != nil {
		return err
	}
	note := func(action accounts.Action, run jobs.Run) error {
		return people.Note(ctx, accounts.CommandLine, action, string(run.Job), map[string]string{"run": strconv.FormatInt(run.ID, 10)})
	}
	var runs []jobs.Run
	switch words := flags.Args(); {
	case len(words) == 1 && words[0] == "next":
		return tellUpcoming(ctx, e, database, filter, *asJSON)
	case len(words) == 0:
		if runs, err = database.Runs(ctx, filter); err != nil {
			return err
		}
		if !*asJSON {
			if err := tellUpcoming(ctx, e, database, filter, false); err != nil {
				return err
			}
			fmt.Fprintln(e.out)
		}
	case len(words) == 2 && words[0] == "run":
		name, err := jobs.ParseName(words[1])
		if err != nil {
			return err
		}
		task := jobs.Task{Symbol: of, Wanted: market.TimeRange{Start: *from, End: *to}}
		run, err := control.RunNow(ctx, name, task, accounts.CommandLine.Username)
		if err != nil {
			return err
		}
		if err := note(accounts.RunJob, run); err != nil {
			return err
		}
		runs = []jobs.Run{run}
	case len(words) == 2:
		id, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return market.Errorf(market.Invalid, "%q is no number of a run; %s lists them", words[1], "cryptoboat jobs")
		}
		var run jobs.Run
		var done accounts.Action
		switch words[0] {
		case "show":
			run, err = database.Run(ctx, id)
		case "retry":
			run, err = control.Retry(ctx, id, accounts.CommandLine.Username)
			done = accounts.RetryJob
		case "cancel":
			run, err = control.Cancel(ctx, id, accounts.CommandLine.Username)
			done = accounts.CancelJob
		default:
			return fmt.Errorf("there is no cryptoboat jobs %s; %w", words[0], errUsage)
		}
		if err != nil {
			return err
		}
		if done != "" {
			if err := note(done, run); err != nil {
				return err
			}
		}
		runs = []jobs.Run{run}
	default:
		return fmt.Errorf("give %s; %w", jobsSynopsis, errUsage)
	}
	if *asJSON {
		return printJSON(e.out, runs)
	}
	return printRuns(e.out, runs)
}

// tellUpcoming says when the jobs of a filter are due next by the settings that hold.
func tellUpcoming(ctx context.Context, e environment, database *timescale.Database, filter jobs.Filter, asJSON bool) error {
	log := slog.New(slog.NewTextHandler(e.errors, nil))
	holds, err := settings.NewService(database, log).Get(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	upcoming := slices.DeleteFunc(planOf(holds).Upcoming(now), func(u jobs.Upcoming) bool {
		return filter.Job != "" && u.Job != filter.Job || filter.Symbol != "" && u.Symbol != filter.Symbol
	})
	if asJSON {
		return printJSON(e.out, upcoming)
	}
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tSYMBOL\tNEXT DUE\tIN")
	for _, u := range upcoming {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", u.Job, symbolOrDash(u.Symbol), u.At.Format(time.RFC3339), u.At.Sub(now).Round(time.Second))
	}
	return table.Flush()
}

func printJSON(w io.Writer, content any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(content)
}

func symbolOrDash(symbol market.Symbol) string {
	if symbol == "" {
		return "-"
	}
	return string(symbol)
}

// filterOf returns which runs are to be listed.
func filterOf(job string, symbol market.Symbol, state string, limit int) (jobs.Filter, error) {
	filter := jobs.Filter{Symbol: symbol, State: jobs.State(state), Limit: limit}
	if job != "" {
		name, err := jobs.ParseName(job)
		if err != nil {
			return jobs.Filter{}, err
		}
		filter.Job = name
	}
	if state != "" && !slices.Contains(jobs.States, filter.State) {
		return jobs.Filter{}, market.Errorf(market.Invalid, "there is no such state; there are %v", jobs.States)
	}
	if limit < 1 || limit > jobs.MostRuns {
		return jobs.Filter{}, market.Errorf(market.Invalid, "the limit must be 1 to %d", jobs.MostRuns)
	}
	return filter, nil
}

// whoAsked says who asked for a run, and who for another attempt or its end.
func whoAsked(r jobs.Run) string {
	var who []string
	for _, asked := range []struct{ what, by string }{{"", r.By}, {"retried: ", r.RetriedBy}, {"cancelled: ", r.CancelledBy}} {
		if asked.by != "" {
			who = append(who, asked.what+asked.by)
		}
	}
	if len(who) == 0 {
		return "-"
	}
	return strings.Join(who, ", ")
}

// shortened is the first line of a text, which a stack may follow, and not all of a long
// one. What an exchange says may be in it, so that nothing moves the cursor.
func shortened(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	line = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, line)
	return fmt.Sprintf("%.100s", line)
}

func printRuns(w io.Writer, runs []jobs.Run) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tJOB\tSYMBOL\tSTATE\tTRIGGER\tSCHEDULED\tTOOK\tATTEMPTS\tROWS\tBY\tERROR OR REASON")
	for _, r := range runs {
		took := "-"
		if r.StartedAt.Valid && r.EndedAt.Valid {
			took = r.EndedAt.Value.Sub(r.StartedAt.Value).Round(time.Millisecond).String()
		}
		why := r.Reason
		if why == "" && len(r.Attempts) > 0 {
			why = r.Attempts[len(r.Attempts)-1].Error
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d/%d\t%d\t%s\t%s\n", r.ID, r.Job, symbolOrDash(r.Task.Symbol), r.State, r.Trigger,
			r.ScheduledAt.UTC().Format(time.RFC3339), took, r.Attempted, r.MostAttempts, r.Rows, whoAsked(r), shortened(why))
	}
	return table.Flush()
}
