package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const usersSynopsis = "[list|create|delete|password|role|import|export|tokens]"

// userAction is what a word after "users" does.
type userAction struct {
	name      string
	arguments []string
	flags     []string // that mean something to it
	run       func(ctx context.Context, e environment, people *accounts.Service, o userOptions, arguments []string) error
}

var userActions = []userAction{
	{"list", nil, nil, listUsers},
	{"create", []string{"NAME"}, []string{"email", "role"}, createUser},
	{"delete", []string{"NAME"}, nil, deleteUser},
	{"password", []string{"NAME"}, nil, changePassword},
	{"role", []string{"NAME", "ROLE"}, nil, changeRole},
	{"import", []string{"FILE"}, []string{"keep-going"}, importUsers},
	{"export", nil, nil, exportUsers},
	{"tokens", []string{"NAME"}, []string{"create", "role", "days", "revoke"}, runTokens},
}

// userOptions are the flags of all actions.
type userOptions struct {
	email     string
	role      string
	keepGoing bool
	create    string
	days      int
	revoke    int64
}

func runUsers(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	var o userOptions
	flags.StringVar(&o.email, "email", "", "create: the user's address")
	flags.StringVar(&o.role, "role", string(accounts.Viewer), "create: what the user may do, admin or viewer; tokens: the most the token may do")
	flags.BoolVar(&o.keepGoing, "keep-going", false, "import: make users of the good rows beside bad ones")
	flags.StringVar(&o.create, "create", "", "tokens: make a token of this `name`, which is printed once")
	flags.IntVar(&o.days, "days", 0, "tokens: how many days a new token lasts (default 90)")
	flags.Int64Var(&o.revoke, "revoke", 0, "tokens: end the token with this `ID`")
	words, err := parseBetween(flags, arguments)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		words = []string{"list"}
	}
	action, err := userActionOf(words, flags)
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	people, err := accounts.NewService(database, time.Now)
	if err != nil {
		return err
	}
	return action.run(ctx, e, people, o, words[1:])
}

// parseBetween reads flags that may stand between and behind the other words, which it
// returns: a user is named before what is said of it.
func parseBetween(flags *flag.FlagSet, arguments []string) (words []string, err error) {
	for {
		if err := parse(flags, arguments); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, arguments = append(words, flags.Arg(0)), flags.Args()[1:]
	}
}

// userActionOf returns what the words ask for, if they and the flags are all it takes.
func userActionOf(words []string, flags *flag.FlagSet) (userAction, error) {
	for _, action := range userActions {
		if action.name != words[0] {
			continue
		}
		if len(words)-1 != len(action.arguments) {
			return userAction{}, fmt.Errorf("say users %s; %w",
				strings.Join(append([]string{action.name}, action.arguments...), " "), errUsage)
		}
		var err error
		flags.Visit(func(f *flag.Flag) {
			if !slices.Contains(action.flags, f.Name) {
				err = fmt.Errorf("-%s says nothing to users %s; %w", f.Name, action.name, errUsage)
			}
		})
		return action, err
	}
	return userAction{}, fmt.Errorf("there is no users %s, but %s; %w", words[0], usersSynopsis, errUsage)
}

func listUsers(ctx context.Context, e environment, people *accounts.Service, _ userOptions, _ []string) error {
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USERNAME\tROLE\tEMAIL\tCREATED\tLAST LOGIN")
	for after := ""; ; {
		users, err := people.List(ctx, after, accounts.MostListed)
		if err != nil {
			return err
		}
		for _, u := range users {
			after = u.Username
			email := u.Email
			if email == "" {
				email = "-"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", u.Username, u.Role, email, instant(u.CreatedAt), instantOrNever(u.LastLoginAt))
		}
		if len(users) < accounts.MostListed {
			return table.Flush()
		}
	}
}

func createUser(ctx context.Context, e environment, people *accounts.Service, o userOptions, arguments []string) error {
	if _, err := accounts.ParseUsername(arguments[0]); err != nil {
		return err
	}
	password, err := askPassword(ctx, e)
	if err != nil {
		return err
	}
	user, err := people.Create(ctx, accounts.CommandLine, accounts.NewUser{
		Username: arguments[0], Email: o.email, Password: password, Role: accounts.Role(o.role),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is a new %s\n", user.Username, user.Role)
	return nil
}

func deleteUser(ctx context.Context, e environment, people *accounts.Service, _ userOptions, arguments []string) error {
	if err := people.Delete(ctx, accounts.CommandLine, arguments[0]); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is removed, with sessions and tokens\n", arguments[0])
	return nil
}

func changePassword(ctx context.Context, e environment, people *accounts.Service, _ userOptions, arguments []string) error {
	user, err := people.User(ctx, arguments[0])
	if err != nil {
		return err
	}
	password, err := askPassword(ctx, e)
	if err != nil {
		return err
	}
	if err := people.SetPassword(ctx, accounts.CommandLine, user.Username, password); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s has another password; sessions and tokens have ended\n", user.Username)
	return nil
}

func changeRole(ctx context.Context, e environment, people *accounts.Service, _ userOptions, arguments []string) error {
	role, err := accounts.ParseRole(arguments[1])
	if err != nil {
		return err
	}
	if err := people.SetRole(ctx, accounts.CommandLine, arguments[0], role); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is %s now\n", arguments[0], role)
	return nil
}

func importUsers(ctx context.Context, e environment, people *accounts.Service, o userOptions, arguments []string) error {
	file := e.in
	if arguments[0] != "-" {
		opened, err := os.Open(arguments[0])
		if err != nil {
			return fmt.Errorf("import users: %w", err)
		}
		defer opened.Close()
		file = opened
	}
	report, err := people.Import(ctx, accounts.CommandLine, file, o.keepGoing)
	printImportReport(e.out, report)
	if err == nil && report.Refused > 0 {
		return errReported
	}
	return err
}

func printImportReport(w io.Writer, report accounts.ImportReport) {
	for _, row := range report.Rows {
		switch {
		case row.Created:
			fmt.Fprintf(w, "line %d: %s is created\n", row.Line, row.Username)
		case row.Problem == "":
			fmt.Fprintf(w, "line %d: %s could be created\n", row.Line, row.Username)
		case row.Username == "":
			fmt.Fprintf(w, "line %d: REFUSED: %s\n", row.Line, row.Problem)
		default:
			fmt.Fprintf(w, "line %d: %s REFUSED: %s\n", row.Line, row.Username, row.Problem)
		}
	}
	if len(report.Rows) > 0 {
		fmt.Fprintf(w, "%d users created, %d rows refused\n", report.Created, report.Refused)
	}
}

func exportUsers(ctx context.Context, e environment, people *accounts.Service, _ userOptions, _ []string) error {
	return people.Export(ctx, accounts.CommandLine, e.out)
}

// runTokens lists the tokens of a user, makes one or ends one.
func runTokens(ctx context.Context, e environment, people *accounts.Service, o userOptions, arguments []string) error {
	user, err := people.User(ctx, arguments[0])
	if err != nil {
		return err
	}
	const most = int(accounts.MostTokenLifetime / (24 * time.Hour))
	switch {
	case o.create != "" && o.revoke != 0:
		return fmt.Errorf("-create or -revoke: one at a time; %w", errUsage)
	case o.days < 0 || o.days > most:
		return market.Errorf(market.Invalid, "a token lasts 1 to %d days", most)
	case o.create != "":
		lifetime := time.Duration(o.days) * 24 * time.Hour
		secret, token, err := people.CreateTokenFor(ctx, accounts.CommandLine, user.Username, o.create, accounts.Role(o.role), lifetime)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.errors, "Token %d lasts until %s. It is not shown again:\n", token.ID, instant(token.ExpiresAt))
		fmt.Fprintln(e.out, secret)
		return nil
	}
	tokens, err := people.Tokens(ctx, user.Username)
	if err != nil {
		return err
	}
	if o.revoke != 0 {
		if !slices.ContainsFunc(tokens, func(t accounts.Token) bool { return t.ID == o.revoke }) {
			return market.Errorf(market.NotFound, "%s has no token %d", user.Username, o.revoke)
		}
		if err := people.RevokeToken(ctx, accounts.CommandLine, o.revoke); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "token %d has ended\n", o.revoke)
		return nil
	}
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOKEN\tNAME\tROLE\tCREATED\tEXPIRES\tLAST USED")
	for _, t := range tokens {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, instant(t.CreatedAt), instant(t.ExpiresAt), instantOrNever(t.UsedAt))
	}
	return table.Flush()
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func instantOrNever(t market.Optional[time.Time]) string {
	if !t.Valid {
		return "never"
	}
	return instant(t.Value)
}
