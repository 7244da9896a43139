package main

import (
	"flag"
	"strconv"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// addCostFlags adds what trading costs, for decisions to reckon with.
func addCostFlags(flags *flag.FlagSet) *forecast.Costs {
	costs := forecast.UsualCosts
	flags.Var(costFlag{&costs, &costs.Fee}, "fee", "`share` of the price that a trade costs, paid at its beginning and at its end")
	flags.Var(costFlag{&costs, &costs.Spread}, "spread", "`share` of the price between the best bid and the best ask")
	return &costs
}

// costFlag is a flag that takes one of some costs.
type costFlag struct {
	costs *forecast.Costs
	one   *float64
}

func (c costFlag) String() string {
	if c.one == nil { // package flag asks for the zero value's
		return ""
	}
	return strconv.FormatFloat(*c.one, 'f', -1, 64)
}

func (c costFlag) Set(text string) error {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return market.Errorf(market.Invalid, "give a share of the price such as 0.001, which is a tenth of a per cent")
	}
	*c.one = value
	return c.costs.Validate()
}
