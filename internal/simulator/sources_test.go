package simulator

import (
	"math"
	"math/big"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// testedSource is a source, the series it has, and when.
type testedSource struct {
	Source
	series []market.Series
	span   market.TimeRange
}

// testedSources returns a generated market and one that was recorded at several
// intervals, with an outage and candles off the grid.
func testedSources(t *testing.T) map[string]testedSource {
	days := span("2018-02-01 00:00:00", "2018-03-20 00:00:00")
	recorded := testedSource{
		Source: play(t, at("2018-03-20 00:00:00"), 0,
			recordedFile(bitcoin(market.Minute15), days), recordedFile(ether(market.Hour1), days), recordedFile(ether(market.Minute3), days)),
		span: days,
	}
	generated := testedSource{
		Source: NewGenerated(GeneratedConfig{Seed: 11}),
		span:   span("2017-08-17 04:00:00", "2030-01-01 00:00:00"),
	}
	for _, interval := range market.Intervals() {
		generated.series = append(generated.series, bitcoin(interval), ether(interval))
		for _, series := range []market.Series{bitcoin(interval), ether(interval)} {
			if len(recorded.Candles(series, ever, 1)) > 0 {
				recorded.series = append(recorded.series, series)
			}
		}
	}
	return map[string]testedSource{"generated": generated, "recorded": recorded}
}

// TestOpenCandlesGrowIntoClosedOnes follows candles of random series, and looks
// at each at two random instants and at its end.
func TestOpenCandlesGrowIntoClosedOnes(t *testing.T) {
	for name, source := range testedSources(t) {
		t.Run(name, func(t *testing.T) {
			open := 0
			rapid.Check(t, func(t *rapid.T) {
				series := rapid.SampledFrom(source.series).Draw(t, "series")
				start := rapid.Int64Range(source.span.Start.UnixMilli(), source.span.End.UnixMilli()-1).Draw(t, "instant")
				within := time.UnixMilli(start)
				bucket := series.Interval.Floor(within)
				end := series.Interval.Next(bucket)
				rest := end.Sub(within).Milliseconds() - 1
				later := within.Add(time.Duration(rapid.Int64Range(0, max(rest, 0)).Draw(t, "later")) * time.Millisecond)

				first, traded := source.OpenCandle(series, within)
				second, stillTraded := source.OpenCandle(series, later)
				last, finallyTraded := source.OpenCandle(series, end.Add(-time.Millisecond))
				closed := source.Candles(series, market.TimeRange{Start: bucket, End: end}, 10)

				if traded {
					open++
					mustBePossible(t, first)
					if !stillTraded {
						t.Fatalf("%s was open at %s, not at %s", series, within, later)
					}
					mustHaveGrown(t, first, second)
				}
				if finallyTraded != (len(closed) == 1) || finallyTraded && last != closed[0] {
					t.Fatalf("at its last millisecond %s is %+v, %t; closed %+v", series, last, finallyTraded, closed)
				}
				if stillTraded {
					mustHaveGrown(t, second, last)
				}
				if again, _ := source.OpenCandle(series, within); again != first {
					t.Fatalf("%s at %s was %+v, is now %+v", series, within, first, again)
				}
			})
			if open == 0 {
				t.Error("no candle was open")
			}
		})
	}
}

func mustBePossible(t *rapid.T, candle market.Candle) {
	if err := candle.Validate(); err != nil {
		t.Fatalf("%+v: %v", candle, err)
	}
	if candle.Trades.Value < 1 || candle.Volume <= 0 || candle.QuoteVolume.Value <= 0 {
		t.Fatalf("nothing was traded in %+v", candle)
	}
}

func mustHaveGrown(t *rapid.T, earlier, later market.Candle) {
	if !earlier.OpenTime.Equal(later.OpenTime) || earlier.Open != later.Open ||
		earlier.High > later.High || earlier.Low < later.Low || earlier.Volume > later.Volume ||
		earlier.QuoteVolume.Value > later.QuoteVolume.Value || earlier.Trades.Value > later.Trades.Value ||
		earlier.TakerBuyVolume.Value > later.TakerBuyVolume.Value ||
		earlier.TakerBuyQuoteVolume.Value > later.TakerBuyQuoteVolume.Value {
		t.Fatalf("%+v does not grow into %+v", earlier, later)
	}
}

// TestCandlesAreExactlyWhatTheirPartsAre adds up the printed decimals of finer
// candles.
func TestCandlesAreExactlyWhatTheirPartsAre(t *testing.T) {
	g := testedSources(t)["generated"]
	pairs := [][2]market.Interval{}
	for _, finer := range market.Intervals() {
		for _, coarser := range market.Intervals() {
			if finer.Divides(coarser) && coarser.Length() <= 500*finer.Length() {
				pairs = append(pairs, [2]market.Interval{finer, coarser})
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		intervals := rapid.SampledFrom(pairs).Draw(t, "intervals")
		symbol := rapid.SampledFrom([]market.Symbol{"BTCUSDT", "ETHUSDT"}).Draw(t, "symbol")
		instant := time.UnixMilli(rapid.Int64Range(g.span.Start.UnixMilli(), g.span.End.UnixMilli()).Draw(t, "instant"))
		open := intervals[1].Floor(instant)
		r := market.TimeRange{Start: open, End: intervals[1].Next(open)}
		parts := g.Candles(market.Series{Symbol: symbol, Interval: intervals[0]}, r, math.MaxInt)
		candles := g.Candles(market.Series{Symbol: symbol, Interval: intervals[1]}, r, math.MaxInt)
		if len(parts) == 0 && len(candles) == 0 {
			return // an outage
		}
		if len(parts) == 0 || len(candles) != 1 {
			t.Fatalf("%d parts, %d candles", len(parts), len(candles))
		}
		want := candles[0]
		want.Open, want.Close, want.High, want.Low = parts[0].Open, parts[len(parts)-1].Close, 0, math.Inf(1)
		var volume, quoteVolume, takerBuyVolume, takerBuyQuoteVolume decimalSum
		want.Trades.Value = 0
		for k, part := range parts {
			if k > 0 && !parts[k-1].OpenTime.Before(part.OpenTime) {
				t.Fatalf("%s follows %s", part.OpenTime, parts[k-1].OpenTime)
			}
			want.High, want.Low = max(want.High, part.High), min(want.Low, part.Low)
			want.Trades.Value += part.Trades.Value
			volume.add(part.Volume)
			quoteVolume.add(part.QuoteVolume.Value)
			takerBuyVolume.add(part.TakerBuyVolume.Value)
			takerBuyQuoteVolume.add(part.TakerBuyQuoteVolume.Value)
			mustBePossible(t, part)
		}
		got := candles[0]
		want.Volume, want.QuoteVolume.Value = volume.nearest(got.Volume), quoteVolume.nearest(got.QuoteVolume.Value)
		want.TakerBuyVolume.Value = takerBuyVolume.nearest(got.TakerBuyVolume.Value)
		want.TakerBuyQuoteVolume.Value = takerBuyQuoteVolume.nearest(got.TakerBuyQuoteVolume.Value)
		if candles[0] != want {
			t.Fatalf("%s of %s at %s is %+v, its parts are %+v", intervals[1], intervals[0], open, candles[0], want)
		}
		mustBePossible(t, want)
	})
}

// decimalSum adds up values as they are printed.
type decimalSum struct {
	sum      big.Rat
	rounding float64 // that the parts may have gone through before they were printed
}

func (d *decimalSum) add(value float64) {
	var printed big.Rat
	if _, ok := printed.SetString(strconv.FormatFloat(value, 'f', -1, 64)); !ok {
		panic("a float64 that does not print")
	}
	d.sum.Add(&d.sum, &printed)
	// Beyond 2⁵³ units of 10⁻⁸ a float64 no longer holds each of them.
	const exactBelow = (1 << 53) / 1e8
	if value > exactBelow {
		d.rounding += (math.Nextafter(value, math.Inf(1)) - value) / 2
	}
}

// nearest returns the float64 nearest to the sum, or the one that was got where
// the parts were rounded and it is as near as that leaves open.
func (d *decimalSum) nearest(got float64) float64 {
	nearest, _ := d.sum.Float64()
	if d.rounding > 0 && math.Abs(got-nearest) <= d.rounding+(math.Nextafter(nearest, math.Inf(1))-nearest) {
		return got
	}
	return nearest
}

// TestCandlesKeepToRangeAndLimit asks for parts of a range and expects the same
// candles as in the whole.
func TestCandlesKeepToRangeAndLimit(t *testing.T) {
	for name, source := range testedSources(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				series := rapid.SampledFrom(source.series).Draw(t, "series")
				first := source.span.Start.Add(time.Duration(rapid.Int64Range(-4e15, 4e15).Draw(t, "start")))
				whole := market.TimeRange{Start: first, End: first.Add(12 * series.Interval.Length())}
				all := source.Candles(series, whole, math.MaxInt)
				cut := market.TimeRange{
					Start: first.Add(time.Duration(rapid.Float64Range(0, 12).Draw(t, "from") * float64(series.Interval.Length()))),
					End:   first.Add(time.Duration(rapid.Float64Range(0, 12).Draw(t, "to") * float64(series.Interval.Length()))),
				}
				// Often a bound is exactly the open time of a candle.
				if len(all) > 0 && rapid.Bool().Draw(t, "at a candle") {
					cut.Start = rapid.SampledFrom(all).Draw(t, "first").OpenTime
					cut.End = rapid.SampledFrom(all).Draw(t, "end").OpenTime
				}
				limit := rapid.IntRange(-1, 13).Draw(t, "limit")
				var want []market.Candle
				for _, candle := range all {
					if !whole.Contains(candle.OpenTime) {
						t.Fatalf("%s does not open in %v", candle.OpenTime, whole)
					}
					if cut.Contains(candle.OpenTime) && len(want) < limit {
						want = append(want, candle)
					}
				}
				got := source.Candles(series, cut, limit)
				if len(got) != len(want) {
					t.Fatalf("%s in %v, at most %d: %d candles, want %d", series, cut, limit, len(got), len(want))
				}
				for k := range want {
					if got[k] != want[k] {
						t.Fatalf("%s in %v: candle %d is %+v, want %+v", series, cut, k, got[k], want[k])
					}
				}
			})
		})
	}
}
