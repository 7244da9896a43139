package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/coingecko"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// defaultCoins are the base assets of the default symbols, under CoinGecko's
// names.
var defaultCoins = []string{"bitcoin", "ethereum"}

func runCoins(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	stored := flags.Bool("stored", false, "show what is stored, without asking for news")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	ids := defaultCoins
	if flags.NArg() > 0 {
		ids = flags.Args()
	}
	for _, id := range ids {
		if strings.HasPrefix(id, "-") {
			return fmt.Errorf("%s comes too late: flags go before ids; %w", id, errUsage)
		}
	}
	database, err := openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	var refreshErr error
	if !*stored {
		source, err := coingecko.NewClient(coingecko.Config{URL: e.get(coinsVariable), APIKey: e.get(coinsKeyVariable)})
		if err != nil {
			return err
		}
		// What is stored is shown even where there is no news of it.
		_, refreshErr = history.RefreshCoins(ctx, source, database, ids)
	}
	coins, err := database.Coins(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COIN\tRANK\tPRICE\tMARKET CAP\tCIRCULATING\tMAX SUPPLY\tALL-TIME HIGH\tAS OF")
	for _, c := range coins {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, optional(c.MarketCapRank), optional(c.Price),
			optional(c.MarketCap), optional(c.CirculatingSupply), optional(c.MaxSupply), optional(c.AllTimeHigh),
			c.AsOf.Format(time.RFC3339))
	}
	table.Flush()
	return refreshErr
}

// optional prints a value that may be absent.
func optional[T any](o market.Optional[T]) string {
	if !o.Valid {
		return "-"
	}
	switch value := any(o.Value).(type) {
	case float64:
		return fmt.Sprintf("%.10g", value)
	default:
		return fmt.Sprint(value)
	}
}
