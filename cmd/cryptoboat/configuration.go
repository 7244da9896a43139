package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/coingecko"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// The variables of the environment that commands read. There is no flag for what is
// secret: whoever lists the processes would see it.
const (
	databaseVariable    = "CRYPTOBOAT_DATABASE_URL"
	adminVariable       = "CRYPTOBOAT_ADMIN_PASSWORD"
	passwordVariable    = "CRYPTOBOAT_USER_PASSWORD"
	exchangeVariable    = "BINANCE_REST_URL"
	streamVariable      = "BINANCE_WS_URL"
	exchangeKeyVariable = "BINANCE_API_KEY"
	coinsVariable       = "COINGECKO_URL"
	coinsKeyVariable    = "COINGECKO_API_KEY"
)

// variables says of each variable what it is for, in the order that people read
// them in.
var variables = []struct{ name, meaning, unset string }{
	{databaseVariable, "the database, as a URL of PostgreSQL", "an error; `make` and `scripts/` make a database of their own"},
	{readDatabaseVariable, "a replica of the database, which pages and API read history from (docs/growing.md)", "it is read from the database itself"},
	{readerPasswordVariable, "the password that `cryptoboat reader create` gives", "a new reader gets one that is printed once"},
	{adminVariable, "the password of the first user, `admin`, where there is no admin yet", "one is made and printed once"},
	{passwordVariable, "the password that `cryptoboat users create` and `password` give", "it is asked for"},
	{exchangeVariable, "the exchange's REST side: scheme and host", "`" + binance.DefaultRESTURL + "`, public market data"},
	{streamVariable, "the exchange's streams: scheme and host", "`" + binance.DefaultStreamURL + "`, public market data"},
	{exchangeKeyVariable, "a key of the exchange's, sent along", "none is sent, and none is needed"},
	{coinsVariable, "where characteristics of coins come from", "`" + coingecko.DefaultURL + "`"},
	{coinsKeyVariable, "a demo key of CoinGecko's", "none is sent; fewer calls are allowed"},
}

// runConfiguration prints what can be configured, as the tables of README.md.
func runConfiguration(_ context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	if err := parse(flags, arguments); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString("Variables of the environment:\n\n| variable | meaning | where unset |\n|---|---|---|\n")
	for _, v := range variables {
		fmt.Fprintf(&text, "| `%s` | %s | %s |\n", v.name, tableCell(v.meaning), tableCell(v.unset))
	}
	text.WriteString("\nSettings, which are kept in the database and hold within seconds " +
		"(`cryptoboat settings`, `/settings`, `PUT /v1/settings`):\n\n| setting | meaning | takes | default |\n|---|---|---|---|\n")
	for _, d := range settings.Definitions() {
		initial := "empty"
		if d.Default != "" {
			initial = "`" + d.Default + "`"
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", d.Name, tableCell(d.Description), tableCell(d.Accepts), initial)
	}
	_, err := fmt.Fprint(e.out, text.String())
	return err
}

// tableCell keeps a text within its cell of a Markdown table.
func tableCell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
