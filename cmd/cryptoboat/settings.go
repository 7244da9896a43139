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
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	service := settings.NewService(database, slog.New(slog.NewTextHandler(e.errors, nil)))
	named := flags.Args()
	values := map[settings.Name]*string{}
	switch {
	case *reset && len(named) == 0:
		return market.Errorf(market.Invalid, "name the settings to put back: cryptoboat settings -reset symbols")
	case *reset:
		for _, name := range named {
			values[settings.Name(name)] = nil
		}
	case len(named)%2 != 0:
		return market.Errorf(market.Invalid, "give a value with each name: cryptoboat settings symbols BTCUSDT,ETHUSDT")
	default:
		for k := 0; k < len(named); k += 2 {
			values[settings.Name(named[k])] = &named[k+1]
		}
	}
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
	fmt.Fprintln(table, "SETTING\tVALUE\tCHANGED")
	for _, s := range list {
		changed := "-"
		if s.Changed {
			changed = s.ChangedAt.Value.Format(time.RFC3339) + " by " + s.ChangedBy
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, s.Value, changed)
	}
	return table.Flush()
}
