package simulator

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Recorded is a market that was recorded in candle files and is played again
// later, by a whole number of weeks, so that days of the week and seasons of the
// day stay. Holes stay holes, and before the recording and after its end there is
// nothing.
//
// Candles of a recorded interval are the recorded ones, open times off the grid
// included. Those of any other are made of the recorded interval that divides it
// and covers the most time, of equals the finest; there are none of an
// interval that no recorded one divides. A candle that is open takes its way
// within one that was recorded, so that candles of two recorded intervals agree
// where they close, not before. It is a Source.
//
// Columns that a file lacks are made up, for an exchange speaks them all: a quote
// volume at the mean of high, low and close, a trade for each 700 of the quote
// asset, and takers' buys of 40 to 60 % of the volumes.
type Recorded struct {
	pairs   []Pair
	weeks   int
	leftOut []market.Series
	sources map[market.Series]*recording // by the series that is asked for
}

var _ Source = (*Recorded)(nil)

// recording is a recorded series, played again.
type recording struct {
	series market.Series
	bars   []bar // in ascending order
	grain  grain
	seed   uint64
}

const week = 7 * 24 * time.Hour

// NewRecorded reads files into memory, 80 bytes a candle. Where two of them hold
// the same candle the later one has the say. It plays them the given number of
// weeks later, which may be negative; 0 chooses the number by which the newest
// candle closes at now or less than a week after it. A market that is to survive
// a restart must be given the Weeks of the first start.
//
// It returns an Invalid error where a file holds something that cannot be
// played, and errors of reading as they are.
func NewRecorded(ctx context.Context, files []history.CandleFile, now time.Time, weeks int) (*Recorded, error) {
	recordings, leftOut, err := readRecordings(ctx, files)
	if err != nil {
		return nil, err
	}
	if weeks == 0 {
		var end time.Time
		for _, recorded := range recordings {
			if closes := instant(recorded.closeTime(len(recorded.bars) - 1)); closes.After(end) {
				end = closes
			}
		}
		weeks = int(now.Sub(end) / week)
		if now.Sub(end)%week > 0 {
			weeks++
		}
	}
	r := &Recorded{weeks: weeks, leftOut: leftOut, sources: map[market.Series]*recording{}}
	bySymbol := map[market.Symbol][]*recording{}
	for _, recorded := range recordings {
		recorded.shift(int64(weeks) * week.Milliseconds())
		bySymbol[recorded.series.Symbol] = append(bySymbol[recorded.series.Symbol], recorded)
	}
	for symbol, recordings := range bySymbol {
		pair, err := pairOf(symbol)
		if err != nil {
			return nil, err
		}
		for _, recorded := range recordings {
			if listed := instant(recorded.bars[0].openTime); pair.Listed.IsZero() || listed.Before(pair.Listed) {
				pair.Listed = listed
			}
		}
		r.pairs = append(r.pairs, pair)
		for _, interval := range market.Intervals() {
			if source := sourceOf(interval, recordings); source != nil {
				r.sources[market.Series{Symbol: symbol, Interval: interval}] = source
			}
		}
	}
	slices.SortFunc(r.pairs, func(a, b Pair) int { return cmp.Compare(a.Symbol, b.Symbol) })
	return r, nil
}

// quoteAssets are those that symbols end in, a longer one before one that it ends
// in itself.
var quoteAssets = []string{"FDUSD", "TUSD", "BUSD", "USDT", "USDC", "USD", "EUR", "GBP", "TRY", "BRL", "JPY", "DAI", "BTC", "ETH", "BNB"}

// pairOf splits a symbol into its assets.
func pairOf(symbol market.Symbol) (Pair, error) {
	for _, quote := range quoteAssets {
		if base, ok := strings.CutSuffix(string(symbol), quote); ok && base != "" {
			return Pair{Symbol: symbol, Base: base, Quote: quote}, nil
		}
	}
	return Pair{}, market.Errorf(market.Invalid, "the assets of %s cannot be told: a symbol must end in one of %s",
		symbol, strings.Join(quoteAssets, ", "))
}

// sourceOf returns the recording that candles of an interval are made of, nil if
// there is none.
func sourceOf(interval market.Interval, recordings []*recording) *recording {
	var source *recording
	covered := func(r *recording) time.Duration { return time.Duration(len(r.bars)) * r.series.Interval.Length() }
	for _, candidate := range recordings { // finest first
		switch {
		case candidate.series.Interval == interval:
			return candidate
		case !candidate.series.Interval.Divides(interval):
		case source == nil, covered(candidate) > covered(source):
			source = candidate
		}
	}
	return source
}

// Pairs returns the recorded pairs by symbol. Each is listed when its oldest
// candle opens.
func (r *Recorded) Pairs() []Pair { return slices.Clone(r.pairs) }

// Weeks returns by how many weeks the recording is played later than it was made.
func (r *Recorded) Weeks() int { return r.weeks }

// LeftOut lists the series among the files that are not played: candles of three
// days and of a month, which do not fit their grid any more once they are moved
// by weeks. They are made of finer ones where those were recorded.
func (r *Recorded) LeftOut() []market.Series { return slices.Clone(r.leftOut) }

// Candles is Source's.
func (r *Recorded) Candles(series market.Series, opens market.TimeRange, limit int) []market.Candle {
	source := r.sources[series]
	if source == nil {
		return nil
	}
	bounds := market.TimeRange{
		Start: series.Interval.Floor(instant(source.bars[0].openTime)),
		End:   instant(source.bars[len(source.bars)-1].openTime + 1),
	}
	if opens = clamp(opens, bounds); opens.Empty() || limit <= 0 {
		return nil
	}
	from, to := within(series.Interval, opens)
	candles := pageFor(series.Interval, from, to, limit)
	for candle := range source.candles(series.Interval, between(source.bars, from, to)) {
		if opens.Contains(candle.OpenTime) {
			candles = append(candles, candle)
		}
		if len(candles) == limit {
			break
		}
	}
	return candles
}

// OpenCandle is Source's.
func (r *Recorded) OpenCandle(series market.Series, at time.Time) (market.Candle, bool) {
	source := r.sources[series]
	if source == nil {
		return market.Candle{}, false
	}
	now := at.UnixMilli()
	open := series.Interval.Floor(at).UnixMilli()
	first, next := searchBars(source.bars, open), searchBars(source.bars, now+1)
	if first == next {
		return market.Candle{}, false
	}
	newest := source.bars[next-1]
	closes := source.closeTime(next - 1)
	if now < closes {
		newest = openBar(&newest, source.grain, source.seed, now-newest.openTime, closes-newest.openTime)
	}
	if series == source.series {
		return newest.candle(series.Interval), now < closes
	}
	sofar := func(yield func(*bar) bool) {
		for k := first; k < next-1; k++ {
			if !yield(&source.bars[k]) {
				return
			}
		}
		yield(&newest)
	}
	for t := range aggregate(series.Interval, sofar) {
		return t.candle(series.Interval), true
	}
	return market.Candle{}, false
}

// candles yields those of an interval that are made of bars.
func (r *recording) candles(interval market.Interval, bars []bar) iter.Seq[market.Candle] {
	return func(yield func(market.Candle) bool) {
		if interval == r.series.Interval {
			for k := range bars {
				if !yield(bars[k].candle(interval)) {
					return
				}
			}
			return
		}
		for t := range aggregate(interval, pointers(bars)) {
			if !yield(t.candle(interval)) {
				return
			}
		}
	}
}

// closeTime returns when a bar closes, in milliseconds since 1970: with the grid,
// or when the next opens off it.
func (r *recording) closeTime(k int) int64 {
	interval := r.series.Interval
	closes := interval.Next(interval.Floor(instant(r.bars[k].openTime))).UnixMilli()
	if k+1 < len(r.bars) {
		closes = min(closes, r.bars[k+1].openTime)
	}
	return closes
}

func (r *recording) shift(milliseconds int64) {
	for k := range r.bars {
		r.bars[k].openTime += milliseconds
	}
}
