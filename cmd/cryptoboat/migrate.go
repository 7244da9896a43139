package main

import (
	"context"
	"flag"
	"fmt"
)

func runMigrate(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	create := flags.Bool("create", false, "up: make the database itself too, where the server has none of that name")
	deleteAll := flags.Bool("delete-all-data", false, "confirm that down deletes all candles and models")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	direction := flags.Arg(0)
	if flags.NArg() != 1 || direction != "up" && direction != "down" && direction != "status" {
		return fmt.Errorf("say up, down or status; %w", errUsage)
	}
	if direction == "down" && !*deleteAll {
		return fmt.Errorf("down deletes all candles and models: confirm by -delete-all-data; %w", errUsage)
	}
	if direction == "up" && *create {
		if err := createDatabase(ctx, e); err != nil {
			return err
		}
	}
	database, err := connectDatabase(ctx, e)
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
	fmt.Fprintf(e.out, "schema %d of %d\n", status.Version, status.Newest)
	if direction == "down" {
		return nil
	}
	return status.Check()
}
