package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestRangeFlags(t *testing.T) {
	preset := time.Date(2020, time.May, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct{ arguments, from, to string }{
		{"", "2020-05-01T00:00:00Z", "2020-05-01T00:00:00Z"},
		{"-from 2024-01 -to 2025-06", "2024-01-01T00:00:00Z", "2025-07-01T00:00:00Z"},
		{"-from 2024-12 -to 2024-12", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		{"-from 2024-02 -to 2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"-from 2024-02-03 -to 2024-02-29", "2024-02-03T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"-from 2024-02-03T01:00:00+01:00 -to 2024-02-03T00:15:00Z", "2024-02-03T00:00:00Z", "2024-02-03T00:15:00Z"},
		{"-to 2024-13", "", ""},
		{"-to 2024-02-30", "", ""},
		{"-from June", "", ""},
	} {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		from := addStartFlag(flags, "from", preset, "first")
		to := addEndFlag(flags, "to", preset, "end")
		err := flags.Parse(strings.Fields(test.arguments))
		switch {
		case test.from == "" && (err == nil || !strings.Contains(err.Error(), "give a month such as 2024-01, a day")):
			t.Errorf("%q: %v", test.arguments, err)
		case test.from != "" && (err != nil || from.Format(time.RFC3339) != test.from || to.Format(time.RFC3339) != test.to):
			t.Errorf("%q: from %v to %v, %v", test.arguments, from, to, err)
		}
	}
}
