package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const usersSynopsis = "[create|delete|password|role|import|export]"

func runUsers(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	email := flags.String("email", "", "address of a user to create")
	role := flags.String("role", string(accounts.Viewer), "role of a user to create: admin or viewer")
	keepGoing := flags.Bool("keep-going", false, "import the rows that can be, beside some that cannot")
	if err := parse(flags, arguments); err != nil {
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
	by := accounts.CommandLine
	switch words := flags.Args(); {
	case len(words) == 0:
		return listUsers(ctx, e, people)
	case len(words) == 2 && words[0] == "create":
		password, err := askPassword(e)
		if err != nil {
			return err
		}
		user, err := people.Create(ctx, by, accounts.NewUser{Username: words[1], Email: *email, Password: password, Role: accounts.Role(*role)})
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%s is a new %s\n", user.Username, user.Role)
		return nil
	case len(words) == 2 && words[0] == "delete":
		return people.Delete(ctx, by, words[1])
	case len(words) == 2 && words[0] == "password":
		password, err := askPassword(e)
		if err != nil {
			return err
		}
		return people.SetPassword(ctx, by, words[1], password)
	case len(words) == 3 && words[0] == "role":
		return people.SetRole(ctx, by, words[1], accounts.Role(words[2]))
	case len(words) == 2 && words[0] == "import":
		file, err := os.Open(words[1])
		if err != nil {
			return fmt.Errorf("import users: %w", err)
		}
		defer file.Close()
		return importUsers(ctx, e, people, file, *keepGoing)
	case len(words) == 1 && words[0] == "export":
		return people.Export(ctx, by, e.out)
	}
	return fmt.Errorf("give one of create NAME, delete NAME, password NAME, role NAME ROLE, import FILE and export; %w", errUsage)
}

func listUsers(ctx context.Context, e environment, people *accounts.Service) error {
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USERNAME\tROLE\tEMAIL\tCREATED\tLAST LOGIN")
	for after := ""; ; {
		users, err := people.List(ctx, after, accounts.MostListed)
		if err != nil {
			return err
		}
		for _, u := range users {
			after = u.Username
			last := "-"
			if u.LastLoginAt.Valid {
				last = u.LastLoginAt.Value.UTC().Format(time.RFC3339)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", u.Username, u.Role, u.Email, u.CreatedAt.UTC().Format(time.RFC3339), last)
		}
		if len(users) < accounts.MostListed {
			return table.Flush()
		}
	}
}

func importUsers(ctx context.Context, e environment, people *accounts.Service, file io.Reader, keepGoing bool) error {
	report, err := people.Import(ctx, accounts.CommandLine, file, keepGoing)
	for _, row := range report.Rows {
		if row.Problem != "" {
			fmt.Fprintf(e.errors, "line %d: %s %s\n", row.Line, row.Username, row.Problem)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%d users created, %d rows refused\n", report.Created, report.Refused)
	return nil
}

// askPassword reads a password from the terminal, where it is not shown, or the first
// line of what is piped in. An argument would be seen by whoever lists processes.
func askPassword(e environment) (string, error) {
	if file, ok := e.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprint(e.errors, "Password: ")
		password, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(e.errors)
		return string(password), err
	}
	line, err := bufio.NewReader(e.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read a password: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", market.Errorf(market.Invalid, "give the password on standard input, in a line of its own")
	}
	return password, nil
}
