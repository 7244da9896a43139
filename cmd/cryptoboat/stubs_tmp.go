package main

import (
	"context"
	"flag"
)

func runServe(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	return nil
}
func runOpenAPI(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	return nil
}
