package main

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
)

func TestCostFlags(t *testing.T) {
	for _, test := range []struct {
		arguments string
		want      forecast.Costs
		says      string
	}{
		{"", forecast.UsualCosts, ""},
		{"-fee 0", forecast.Costs{Fee: 0, Spread: forecast.UsualCosts.Spread}, ""},
		{"-fee 0.00075 -spread 2e-5", forecast.Costs{Fee: 0.00075, Spread: 0.00002}, ""},
		{"-fee 0.1%", forecast.Costs{}, "give a share of the price such as 0.001"},
		{"-fee NaN", forecast.Costs{}, "the fee is NaN"},
		{"-fee -0.001", forecast.Costs{}, "the fee is -0.001"},
		{"-spread 1", forecast.Costs{}, "the spread is 1: give a share of the price from 0 to 0.1"},
	} {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		costs := addCostFlags(flags)
		err := flags.Parse(strings.Fields(test.arguments))
		switch {
		case test.says == "" && (err != nil || *costs != test.want):
			t.Errorf("%q: %+v, %v", test.arguments, *costs, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			t.Errorf("%q: %v, wanted %q", test.arguments, err, test.says)
		}
	}
}
