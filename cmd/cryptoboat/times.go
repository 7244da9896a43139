package main

import (
	"flag"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// timeFlag is a flag that takes a day or an RFC 3339 instant.
type timeFlag time.Time

func (t *timeFlag) String() string {
	if time.Time(*t).IsZero() {
		return ""
	}
	return time.Time(*t).Format(time.RFC3339)
}

func (t *timeFlag) Set(text string) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if instant, err := time.Parse(layout, text); err == nil {
			*t = timeFlag(instant.UTC())
			return nil
		}
	}
	return market.Errorf(market.Invalid, "give a day such as 2024-01-31 or an instant such as 2024-01-31T08:15:00Z")
}

func addTimeFlag(flags *flag.FlagSet, name string, preset time.Time, usage string) *time.Time {
	instant := preset
	flags.Var((*timeFlag)(&instant), name, usage)
	return &instant
}
