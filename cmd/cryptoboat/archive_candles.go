package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// archiveCandles reads candles straight from a folder of the exchange's archive
// files, without a database. It keeps none of them: a range is read when it is asked
// for, a month at a time, so that years of minutes take no more memory than what is
// made of them.
type archiveCandles struct {
	files map[market.Series][]archiveFile // of two that hold the same candle the later one has the say
}

type archiveFile struct {
	history.CandleFile
	period market.TimeRange // that its candles open in, by its name
}

// findArchiveCandles finds the candle files of a folder and its folders, and says
// how many others there are.
func findArchiveCandles(folder string) (candles *archiveCandles, ignored int, err error) {
	found, others, err := binance.FindArchives([]string{folder}, market.Series{})
	if err != nil {
		return nil, 0, err
	}
	a := &archiveCandles{files: map[market.Series][]archiveFile{}}
	for _, file := range found {
		period, err := periodOf(file)
		if err != nil {
			return nil, 0, err
		}
		a.files[file.Series] = append(a.files[file.Series], archiveFile{file, period})
	}
	return a, len(others), nil
}

// periodOf reads the month or the day at the end of a file's name.
func periodOf(file history.CandleFile) (market.TimeRange, error) {
	name := filepath.Base(file.Name)
	name = strings.TrimSuffix(name, filepath.Ext(name))
	// SYMBOL-INTERVAL-YYYY-MM or -YYYY-MM-DD
	if parts := strings.SplitN(name, "-", 3); len(parts) == 3 {
		for layout, of := range map[string]market.Interval{"2006-01": market.Month1, time.DateOnly: market.Day1} {
			if start, err := time.Parse(layout, parts[2]); err == nil {
				// A week belongs to the month too that it reaches into.
				return market.TimeRange{Start: file.Series.Interval.Floor(start), End: of.Next(start)}, nil
			}
		}
	}
	return market.TimeRange{}, market.Errorf(market.Invalid,
		"%s does not say of when its candles are: name it like BTCUSDT-15m-2024-01.zip", file.Name)
}

// Catalogue lists the series that there are files of, with the first and the last
// open time that the files' names allow for.
func (a *archiveCandles) Catalogue(context.Context) (history.Catalogue, error) {
	var catalogue history.Catalogue
	for series, files := range a.files {
		stored := history.StoredSeries{Series: series, First: files[0].period.Start}
		for _, file := range files {
			if file.period.Start.Before(stored.First) {
				stored.First = file.period.Start
			}
			if last := series.Interval.Floor(file.period.End.Add(-1)); last.After(stored.Last) {
				stored.Last = last
			}
		}
		catalogue = append(catalogue, stored)
	}
	slices.SortFunc(catalogue, func(a, b history.StoredSeries) int {
		return cmp.Or(cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Interval.Length(), b.Interval.Length()))
	})
	return catalogue, nil
}

// Candles returns the candles of a series that open in the range as the database
// would if the files were imported: as they were delivered, and where there are none
// rolled up from the coarsest interval that divides the series' own, or from a finer
// one that covers more.
func (a *archiveCandles) Candles(
	ctx context.Context, series market.Series, r market.TimeRange, limit int,
) ([]market.Candle, error) {
	catalogue, err := a.Catalogue(ctx)
	if err != nil {
		return nil, err
	}
	extent, err := catalogue.Extent(series)
	if market.ErrorCode(err) == market.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Start.Before(extent.OpenTimes.Start) {
		r.Start = extent.OpenTimes.Start
	}
	if r.End.After(extent.OpenTimes.End) {
		r.End = extent.OpenTimes.End
	}
	sources := catalogue.Sources(series)
	var candles []market.Candle
	for !r.Empty() && len(candles) < limit {
		piece := r
		// The next month, or what of it is a whole number of weeks.
		piece.End = series.Interval.Floor(market.Month1.Next(market.Month1.Floor(r.Start)))
		if !piece.End.After(piece.Start) {
			piece.End = series.Interval.Next(series.Interval.Floor(piece.Start))
		}
		if piece.End.After(r.End) {
			piece.End = r.End
		}
		found, err := a.piece(ctx, series, sources, piece)
		if err != nil {
			return nil, fmt.Errorf("read candles of %s: %w", series, err)
		}
		candles = append(candles, found...)
		r.Start = piece.End
	}
	return candles[:min(len(candles), max(limit, 0))], nil
}

// LatestCandle returns the candle of a series that opens last, or a NotFound error
// where no file yields one.
func (a *archiveCandles) LatestCandle(ctx context.Context, series market.Series) (market.Candle, error) {
	catalogue, err := a.Catalogue(ctx)
	if err != nil {
		return market.Candle{}, err
	}
	extent, err := catalogue.Extent(series)
	if err != nil {
		return market.Candle{}, err
	}
	for end := extent.OpenTimes.End; end.After(extent.OpenTimes.Start); {
		start := market.Month1.Floor(end.Add(-1))
		candles, err := a.Candles(ctx, series, market.TimeRange{Start: start, End: end}, math.MaxInt32)
		if err != nil {
			return market.Candle{}, err
		}
		if len(candles) > 0 {
			return candles[len(candles)-1], nil
		}
		end = start
	}
	return market.Candle{}, market.Errorf(market.NotFound, "the files of %s hold no candles", series)
}

// piece returns the candles that open in a range.
func (a *archiveCandles) piece(
	ctx context.Context, series market.Series, sources history.Catalogue, r market.TimeRange,
) ([]market.Candle, error) {
	candles, err := a.delivered(ctx, series, r)
	if err != nil {
		return nil, err
	}
	buckets := bucketsIn(series.Interval, r)
	for _, source := range slices.Backward(sources) {
		if source.Interval == series.Interval || buckets.Empty() || allComplete(series.Interval, candles, buckets) {
			continue
		}
		parts, err := a.delivered(ctx, source.Series, buckets)
		if err != nil {
			return nil, err
		}
		candles = mergeByCover(series.Interval, candles, rollUp(series.Interval, parts))
	}
	return candles, nil
}

// bucketsIn returns from the first to the end of the last of the buckets that begin
// in a range.
func bucketsIn(interval market.Interval, r market.TimeRange) market.TimeRange {
	first := interval.Floor(r.Start)
	if first.Before(r.Start) {
		first = interval.Next(first)
	}
	return market.TimeRange{Start: first, End: interval.Next(interval.Floor(r.End.Add(-1)))}
}

// allComplete reports whether a whole candle stands for each of the buckets.
func allComplete(interval market.Interval, candles []market.Candle, buckets market.TimeRange) bool {
	next := buckets.Start
	for _, c := range candles {
		if open := interval.Floor(c.OpenTime); open.Equal(next) && c.Complete(interval) {
			next = interval.Next(open)
		}
	}
	return !next.Before(buckets.End)
}

// delivered returns the candles that files hold of a range, oldest first.
func (a *archiveCandles) delivered(ctx context.Context, series market.Series, r market.TimeRange) ([]market.Candle, error) {
	var candles []market.Candle
	for _, file := range a.files[series] {
		if !file.period.Start.Before(r.End) || !r.Start.Before(file.period.End) {
			continue
		}
		var err error
		if candles, err = file.appendTo(ctx, candles, r); err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	byTime := func(a, b market.Candle) int { return a.OpenTime.Compare(b.OpenTime) }
	if slices.IsSortedFunc(candles, byTime) {
		return lastOfEach(candles), nil
	}
	slices.SortStableFunc(candles, byTime)
	return lastOfEach(candles), nil
}

// lastOfEach keeps the last of candles with the same open time.
func lastOfEach(candles []market.Candle) []market.Candle {
	kept := candles[:0]
	for k, c := range candles {
		if k+1 == len(candles) || !candles[k+1].OpenTime.Equal(c.OpenTime) {
			kept = append(kept, c)
		}
	}
	return kept
}

// appendTo appends the candles of a file that open in the range. A row that is
// refused fails the file, as it does when files are imported.
func (f archiveFile) appendTo(ctx context.Context, candles []market.Candle, r market.TimeRange) (_ []market.Candle, err error) {
	reader, err := f.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	for {
		c, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return candles, nil
		}
		if refused, ok := errors.AsType[*history.RowError](err); ok {
			return nil, market.Errorf(market.Invalid, "%s: mend the file or take it out of the folder", refused)
		}
		if err != nil {
			return nil, err
		}
		if !r.Contains(c.OpenTime) {
			continue
		}
		c.Source, c.Parts = f.Series.Interval, 1
		candles = append(candles, c)
	}
}

// rollUp makes candles of finer ones, oldest first, of a single interval.
func rollUp(interval market.Interval, parts []market.Candle) []market.Candle {
	var candles []market.Candle
	for len(parts) > 0 {
		open := interval.Floor(parts[0].OpenTime)
		end := interval.Next(open)
		count := 1
		for count < len(parts) && parts[count].OpenTime.Before(end) {
			count++
		}
		candles = append(candles, rolledUp(open, parts[:count]))
		parts = parts[count:]
	}
	return candles
}

// rolledUp makes one candle of its parts.
func rolledUp(open time.Time, parts []market.Candle) market.Candle {
	whole := parts[0]
	whole.OpenTime, whole.Parts, whole.Close = open, len(parts), parts[len(parts)-1].Close
	for _, part := range parts[1:] {
		whole.High, whole.Low = max(whole.High, part.High), min(whole.Low, part.Low)
		whole.Trades.Value += part.Trades.Value
		whole.Trades.Valid = whole.Trades.Valid && part.Trades.Valid
	}
	if !whole.Trades.Valid {
		whole.Trades.Value = 0
	}
	whole.Volume = total(parts, func(c *market.Candle) market.Optional[float64] { return market.Some(c.Volume) }).Value
	whole.QuoteVolume = total(parts, func(c *market.Candle) market.Optional[float64] { return c.QuoteVolume })
	whole.TakerBuyVolume = total(parts, func(c *market.Candle) market.Optional[float64] { return c.TakerBuyVolume })
	whole.TakerBuyQuoteVolume = total(parts, func(c *market.Candle) market.Optional[float64] { return c.TakerBuyQuoteVolume })
	return whole
}

// total sums a column of decimals as the database does, without what binary fractions
// would add (Kahan 1965). A column that one of the parts lacks is unknown for the
// whole, not smaller.
func total(parts []market.Candle, column func(*market.Candle) market.Optional[float64]) market.Optional[float64] {
	sum, lost := 0.0, 0.0
	for k := range parts {
		value := column(&parts[k])
		if !value.Valid {
			return market.Optional[float64]{}
		}
		more := value.Value - lost
		next := sum + more
		lost = (next - sum) - more
		sum = next
	}
	return market.Some(decimal(sum))
}

// decimal rounds to the 15 digits of a decimal that a float64 holds.
func decimal(value float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(value, 'e', 14, 64), 64)
	if err != nil { // only where it is too large for a float64
		return value
	}
	return rounded
}

// mergeByCover merges two ascending lists; where both have a candle in a bucket,
// the one that covers more of it stays, a's where they cover as much.
func mergeByCover(interval market.Interval, a, b []market.Candle) []market.Candle {
	merged := make([]market.Candle, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		// Some delivered candles open off the grid.
		switch order := interval.Floor(a[0].OpenTime).Compare(b[0].OpenTime); {
		case order < 0:
			merged, a = append(merged, a[0]), a[1:]
		case order > 0:
			merged, b = append(merged, b[0]), b[1:]
		default:
			c := a[0]
			if cover(b[0]) > cover(c) {
				c = b[0]
			}
			merged, a, b = append(merged, c), a[1:], b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// cover is how much time the parts of a candle take.
func cover(c market.Candle) time.Duration { return time.Duration(c.Parts) * c.Source.Length() }
