package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

func runSettings(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	asJSON := flags.Bool("json", false, "list as JSON, with what each setting is for and accepts")
	reset := flags.Bool("reset", false, "put the named settings back to their defaults")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	values, err := settingValues(flags.Args(), *reset)
	if err != nil {
		return err
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	service := settings.NewService(database, slog.New(slog.NewTextHandler(e.errors, nil)))
	if len(values) > 0 {
		if err := service.Set(ctx, accounts.CommandLine, values); err != nil {
			return err
		}
	}
	list, err := service.List(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		encoder := json.NewEncoder(e.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tDEFAULT\tCHANGED")
	for _, s := range list {
		changed := "-"
		if s.Changed {
			changed = s.ChangedAt.Value.Format(time.RFC3339) + " by " + s.ChangedBy
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Name, orNone(s.Value), orNone(s.Default), changed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range list {
		if s.Problem != "" {
			fmt.Fprintf(e.errors, "the default holds in place of what was given: %s\n", s.Problem)
		}
	}
	return nil
}

// settingValues returns what a command line makes of which settings, nil for a default.
func settingValues(arguments []string, reset bool) (map[settings.Name]*string, error) {
	step := 2
	switch {
	case reset && len(arguments) == 0:
		return nil, market.Errorf(market.Invalid, "name the settings to put back: cryptoboat settings -reset symbols")
	case reset:
		step = 1
	case len(arguments)%2 != 0:
		return nil, market.Errorf(market.Invalid, "give a value with each name: cryptoboat settings symbols BTCUSDT,ETHUSDT")
	}
	values := map[settings.Name]*string{}
	for k := 0; k < len(arguments); k += step {
		name := settings.Name(arguments[k])
		if _, twice := values[name]; twice {
			return nil, market.Errorf(market.Invalid, "%s is given twice", name)
		}
		values[name] = nil
		if !reset {
			values[name] = &arguments[k+1]
		}
	}
	return values, nil
}

// orNone shows an empty value as one.
func orNone(value string) string {
	if value == "" {
		return "(empty)"
	}
	return value
}
