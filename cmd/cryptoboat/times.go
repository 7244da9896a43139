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

// monthFlag is a timeFlag that takes a month too.
type monthFlag struct {
	timeFlag
	instantOf func(month time.Time) time.Time // which instant a month stands for
}

func (m *monthFlag) Set(text string) error {
	if month, err := time.Parse("2006-01", text); err == nil {
		m.timeFlag = timeFlag(m.instantOf(month))
		return nil
	}
	if m.timeFlag.Set(text) != nil {
		return market.Errorf(market.Invalid,
			"give a month such as 2024-01, a day such as 2024-01-31 or an instant such as 2024-01-31T08:15:00Z")
	}
	return nil
}

// addStartFlag adds a flag for the beginning of a range: a month means its first
// instant.
func addStartFlag(flags *flag.FlagSet, name string, preset time.Time, usage string) *time.Time {
	m := &monthFlag{timeFlag(preset), func(month time.Time) time.Time { return month }}
	flags.Var(m, name, usage)
	return (*time.Time)(&m.timeFlag)
}

// addEndFlag adds a flag for the end of a range, exclusive: a month means the end of
// it, because whoever says "to June" means June too.
func addEndFlag(flags *flag.FlagSet, name string, preset time.Time, usage string) *time.Time {
	m := &monthFlag{timeFlag(preset), market.Month1.Next}
	flags.Var(m, name, usage)
	return (*time.Time)(&m.timeFlag)
}
