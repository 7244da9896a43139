package main

import (
	"context"
	"flag"
	"fmt"
)

func runMigrate(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	if err := parse(flags, arguments); err != nil {
		return err
	}
	direction := flags.Arg(0)
	if flags.NArg() != 1 || direction != "up" && direction != "down" && direction != "status" {
		return fmt.Errorf("say up, down or status; %w", errUsage)
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	switch direction {
	case "up":
		err = database.MigrateUp(ctx)
	case "down":
		err = database.MigrateDown(ctx)
	}
	if err != nil {
		return err
	}
	status, err := database.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	state := "up to date"
	switch {
	case status.Dirty:
		state = "left halfway by a failed migration"
	case status.Version < status.Newest:
		state = "behind"
	}
	fmt.Fprintf(e.out, "schema %d of %d, %s\n", status.Version, status.Newest, state)
	return nil
}
