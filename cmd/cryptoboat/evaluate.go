package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// evaluations is what -json prints.
type evaluations struct {
	Evaluations []evaluation `json:"evaluations"`
	Notice      string       `json:"notice"`
}

// evaluation is that of one series, and of what.
type evaluation struct {
	Symbol    market.Symbol    `json:"symbol"`
	Interval  market.Interval  `json:"interval"`
	Range     market.TimeRange `json:"range"`      // of the candles to forecast, by their open times; ends with the stored ones
	LearnFrom time.Time        `json:"learn_from"` // open time of the first candle to learn from
	Candles   int              `json:"candles"`    // that open in the range where none is missing
	Fee       float64          `json:"fee"`        // share of the price, at both ends of a trade
	Spread    float64          `json:"spread"`     // share of the price
	forecast.Evaluation
}

func (v *evaluation) series() market.Series {
	return market.Series{Symbol: v.Symbol, Interval: v.Interval}
}

func (v *evaluation) costs() forecast.Costs { return forecast.Costs{Fee: v.Fee, Spread: v.Spread} }

// candleSource is where candles are read from, and what there is.
type candleSource interface {
	forecast.CandleReader
	Catalogue(ctx context.Context) (history.Catalogue, error)
}

func runEvaluate(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	options := addForecastSymbolFlag(flags)
	interval := addIntervalFlag(flags, market.Minute15)
	learn := addStartFlag(flags, "learn-from", history.FirstListing, "learn from no candle that opened before")
	from := addStartFlag(flags, "from", time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC),
		"first candle to forecast: a month such as 2024-01, a day or an instant")
	to := addEndFlag(flags, "to", time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC),
		"end of the candles to forecast: a month such as 2025-06 up to its end; a day or an instant is exclusive")
	costs := addCostFlags(flags)
	archive := flags.String("archive", "", "read the exchange's archive files in this `folder` instead of the database")
	asJSON := flags.Bool("json", false, "print one JSON document instead of tables")
	if err := options.parse(flags, arguments); err != nil {
		return err
	}
	r := market.TimeRange{Start: *from, End: *to}
	if r.Empty() {
		return market.Errorf(market.Invalid, "there is no candle to forecast from %s up to %s: -from must lie before -to",
			r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339))
	}
	if !learn.Before(r.Start) {
		return market.Errorf(market.Invalid, "there is no candle to learn from that opens from %s on and closes by %s: -learn-from must lie before -from",
			learn.Format(time.RFC3339), r.Start.Format(time.RFC3339))
	}
	source, release, err := openCandles(ctx, e, *archive)
	if err != nil {
		return err
	}
	defer release()
	forecaster := forecast.NewForecaster(source, nil)
	forecaster.ReckonWith(*costs)

	document := evaluations{Notice: notAdvice}
	for _, symbol := range options.orDefault() {
		there, err := rangeWithCandles(ctx, e, source, market.Series{Symbol: symbol, Interval: *interval}, r)
		if err != nil {
			return err
		}
		v := evaluation{
			Symbol: symbol, Interval: *interval, Range: there, LearnFrom: *learn,
			Candles: countCandles(*interval, there), Fee: costs.Fee, Spread: costs.Spread,
		}
		if !*asJSON {
			printEvaluationHead(e.out, &v)
		}
		months, done := countCandles(market.Month1, market.TimeRange{Start: market.Month1.Floor(there.Start), End: there.End}), 0
		v.Evaluation, err = forecaster.WalkForward(ctx, v.series(), *learn, there, func(m forecast.Metrics) {
			if !*asJSON {
				printMetrics(e.out, monthOf(m.Fold.Start), m.Scores, m.Quarters)
			}
			// On a terminal the table itself shows how far it is.
			if done++; *asJSON || !isTerminal(e.out) {
				fmt.Fprintf(e.errors, "%s: %s is done, %d of %d months\n", v.series(), monthOf(m.Fold.Start), done, months)
			}
		})
		if err != nil {
			return withExtent(ctx, source, v.series(), err)
		}
		if !*asJSON {
			printEvaluation(e.out, &v)
		}
		document.Evaluations = append(document.Evaluations, v)
	}
	if *asJSON {
		encoder := json.NewEncoder(e.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(document)
	}
	fmt.Fprintln(e.out, document.Notice)
	return nil
}

// openCandles opens the archive folder, or the database where none is named.
func openCandles(ctx context.Context, e environment, folder string) (source candleSource, release func(), err error) {
	if folder == "" {
		database, err := openDatabase(ctx, e)
		if err != nil {
			return nil, nil, err
		}
		return database, database.Close, nil
	}
	archive, ignored, err := findArchiveCandles(folder)
	if err != nil {
		return nil, nil, err
	}
	if ignored > 0 {
		fmt.Fprintf(e.errors, "%s: %d files that hold no spot candles are ignored\n", folder, ignored)
	}
	return archive, func() {}, nil
}

// countCandles is how many candles of an interval open in a range.
func countCandles(interval market.Interval, r market.TimeRange) int {
	count := 0
	for open := bucketsIn(interval, r).Start; open.Before(r.End); open = interval.Next(open) {
		count++
	}
	return count
}

// rangeWithCandles returns the part of a range that is neither before the first candle
// of a series nor behind the last, and says where that is not all of it. It returns an
// error that says what there is where nothing is left.
func rangeWithCandles(
	ctx context.Context, e environment, source candleSource, series market.Series, r market.TimeRange,
) (market.TimeRange, error) {
	catalogue, err := source.Catalogue(ctx)
	if err != nil {
		return r, err
	}
	extent, err := catalogue.Extent(series)
	if err != nil {
		return r, err
	}
	there, part := extent.OpenTimes, r
	if there.Start.After(r.Start) {
		part.Start = there.Start
	}
	if there.End.Before(r.End) {
		part.End = there.End
	}
	if part.Empty() {
		return r, withExtent(ctx, source, series, market.Errorf(market.NotFound, "no candle of %s opens from %s up to %s",
			series, r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339)))
	}
	if part != r {
		fmt.Fprintf(e.errors, "%s: only candles from %s up to %s are there, the evaluation ends with them\n",
			series, there.Start.Format(time.RFC3339), there.End.Format(time.RFC3339))
	}
	return part, nil
}

// withExtent adds what there is of a series to an error that something is missing.
func withExtent(ctx context.Context, source candleSource, series market.Series, missing error) error {
	if code := market.ErrorCode(missing); code != market.NotFound && code != market.Unavailable {
		return missing
	}
	catalogue, err := source.Catalogue(ctx)
	if err != nil {
		return missing
	}
	var there []string
	for _, s := range catalogue.Sources(series) {
		there = append(there, fmt.Sprintf("%s from %s to %s",
			s.Interval, s.First.Format(time.RFC3339), s.Interval.Next(s.Last).Format(time.RFC3339)))
	}
	return fmt.Errorf("%w; there are candles of %s", missing, strings.Join(there, ", "))
}
