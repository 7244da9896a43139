package main

import (
	"context"
	"flag"

	"github.com/cryptoboat/cryptoboat/internal/api"
)

func runOpenAPI(_ context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	if err := parse(flags, arguments); err != nil {
		return err
	}
	document, err := api.Document()
	if err != nil {
		return err
	}
	_, err = e.out.Write(document)
	return err
}
