package main

import (
	"context"
	"flag"
)

func runTrain(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	return nil
}
func runPredict(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	return nil
}
func runEvaluate(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	return nil
}
func runServe(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	return nil
}
func runOpenAPI(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	return nil
}
