// Command cryptoboat keeps the candles of a crypto market complete, forecasts
// where the open one will close, and serves both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// command is one sub-command. Its run registers flags, parses and works.
type command struct {
	name     string
	synopsis string // arguments, for the usage line
	purpose  string
	run      func(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error
}

var commands = []command{
	{"migrate", "up|down|status", "make, remove or look at the database's schema", runMigrate},
	{"import", "PATH...", "store candles from archive folders, zips and CSV files", runImport},
	{"backfill", "[SYMBOL...]", "fetch every candle since the listing from the exchange", runBackfill},
	{"repair", "[SYMBOL...]", "fetch what is missing of the stored series", runRepair},
	{"reconcile", "[SYMBOL...]", "compare stored candles with the exchange's", runReconcile},
	{"coverage", "[SYMBOL...]", "list what is stored and what is missing, and why", runCoverage},
	{"coins", "[ID...]", "fetch and show characteristics of coins", runCoins},
	{"train", "[SYMBOL...]", "train a forecasting model", runTrain},
	{"models", "[SYMBOL...]", "list the models, or put one to use", runModels},
	{"evaluate", "[SYMBOL...]", "measure forecasts walk-forward against baselines", runEvaluate},
	{"predict", "[SYMBOL...]", "forecast where the open candle closes", runPredict},
	{"serve", "", "serve the pages and the API", runServe},
	{"jobs", jobsSynopsis, "list runs of jobs, ask for one, retry or cancel it", runJobs},
	{"settings", "[NAME VALUE]...", "list the settings, or change some", runSettings},
	{"users", usersSynopsis, "list users, or change them", runUsers},
	{"backup", "FILE|FOLDER", "write the database into a file", runBackup},
	{"restore", "FILE", "fill an empty database from a backup, or check one", runRestore},
	{"reader", "create|drop", "let people read the database by a role of its own", runReader},
	{"simulate", "", "be an exchange, for trials without a network", runSimulate},
	{"openapi", "", "print the OpenAPI document", runOpenAPI},
	{"configuration", "", "print what can be configured, as Markdown", runConfiguration},
}

// environment is what a sub-command sees of the process.
type environment struct {
	out    io.Writer // results
	errors io.Writer // progress and complaints
	in     io.Reader // what a password is read from
	get    func(name string) string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, environment{out: os.Stdout, errors: os.Stderr, in: os.Stdin, get: os.Getenv}, os.Args[1:])
	stop()
	os.Exit(code)
}

// errReported is returned by a sub-command that has said what went wrong.
var errReported = errors.New("reported")

// run returns the exit code: 0 for success, 1 for failure, 2 for wrong words.
func run(ctx context.Context, e environment, arguments []string) int {
	if len(arguments) == 0 {
		usage(e.errors)
		return 2
	}
	switch arguments[0] {
	case "help", "-h", "-help", "--help":
		usage(e.out)
		return 0
	}
	for _, c := range commands {
		if c.name != arguments[0] {
			continue
		}
		// Errors are printed in one place, so the flags keep quiet.
		flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		err := c.run(ctx, e, flags, arguments[1:])
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(e.out, "cryptoboat %s: %s\n\nUsage: cryptoboat %s [flags] %s\n", c.name, c.purpose, c.name, c.synopsis)
			flags.SetOutput(e.out)
			flags.PrintDefaults()
			return 0
		}
		return report(e, c.name, err)
	}
	fmt.Fprintf(e.errors, "cryptoboat: there is no %q\n\n", arguments[0])
	usage(e.errors)
	return 2
}

func report(e environment, name string, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return 1
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(e.errors, "cryptoboat %s: stopped\n", name)
		return 1
	}
	fmt.Fprintf(e.errors, "cryptoboat %s: %v\n", name, err)
	if errors.Is(err, errUsage) || market.ErrorCode(err) == market.Invalid {
		return 2
	}
	return 1
}

// errUsage marks words on the command line that cannot be understood.
var errUsage = errors.New("-h says how")

// parse reads a sub-command's flags.
func parse(flags *flag.FlagSet, arguments []string) error {
	err := flags.Parse(arguments)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	return err
}

func usage(w io.Writer) {
	fmt.Fprint(w, "CryptoBoat keeps candles complete and forecasts the open one.\n\nUsage: cryptoboat COMMAND [flags] [arguments]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-13s %-56s %s\n", c.name, c.synopsis, c.purpose)
	}
	fmt.Fprint(w, "\nThe database is named by "+databaseVariable+". "+
		"\"cryptoboat COMMAND -h\" lists a command's flags.\n")
}
