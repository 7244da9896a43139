package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
)

// readerPasswordVariable holds the password that a reader gets; where it is empty, a
// new reader gets a random one.
const readerPasswordVariable = "CRYPTOBOAT_READER_PASSWORD"

const firstReader = "cryptoboat_reader"

// runReader makes the role that people read the database by, or removes it.
func runReader(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	name := flags.String("name", firstReader, "name of the role")
	words, err := parseBetween(flags, arguments)
	if err != nil {
		return err
	}
	if len(words) != 1 || words[0] != "create" && words[0] != "drop" {
		return fmt.Errorf("say create or drop; %w", errUsage)
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	if words[0] == "drop" {
		if err := database.DropReader(ctx, *name); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%s is removed, its sessions have ended\n", *name)
		return nil
	}
	exists, err := database.HasReader(ctx, *name)
	if err != nil {
		return err
	}
	password, made := e.get(readerPasswordVariable), ""
	if password == "" && !exists {
		made = rand.Text()
		password = made
	}
	if err := database.CreateReader(ctx, *name, password); err != nil {
		return err
	}
	switch {
	case made != "":
		fmt.Fprintf(e.errors, "%s reads candles, forecasts and jobs. Its password is not shown again:\n", *name)
		fmt.Fprintln(e.out, made)
	case password != "":
		fmt.Fprintf(e.out, "%s reads candles, forecasts and jobs, with the password of %s\n", *name, readerPasswordVariable)
	default:
		fmt.Fprintf(e.out, "%s reads candles, forecasts and jobs; its password is the one it had\n", *name)
	}
	return nil
}
