package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// CandleFile is a file of candles of one series, to be opened as often as
// needed.
type CandleFile struct {
	Name   string // for people: the path under which it was found
	Bytes  int64  // size on disk
	Series market.Series
	// Open starts at the first row. Once ctx is done, reading fails with its
	// error.
	Open func(ctx context.Context) (CandleReader, error)
}

// CandleReader yields the candles of one file in strictly ascending or
// strictly descending order of open time.
type CandleReader interface {
	// Next returns the next candle, io.EOF after the last one, a *RowError for
	// a row that is refused, after which reading goes on, and any other error
	// for a file that cannot be read further.
	Next() (market.Candle, error)
	Close() error
}

// CandleWriter stores candles for good. Its methods are called for several
// series at once.
type CandleWriter interface {
	// WriteCandles stores what the opened reader yields until io.EOF in one
	// transaction and says what changed. Any other error from the reader rolls
	// everything back. A writer that tries again calls open again, once for
	// each attempt, and closes what it opened.
	WriteCandles(ctx context.Context, series market.Series, open func() (CandleReader, error)) (WriteResult, error)
	// RefreshRollUps brings the roll-up buckets that overlap the range up to
	// date; it is cheap where nothing changed since the last refresh.
	RefreshRollUps(ctx context.Context, series market.Series, touched market.TimeRange) error
}

// WriteResult says what one call of WriteCandles came to, in candles.
type WriteResult struct {
	New       int64 // were not stored before
	Unchanged int64 // were stored with the same values
	Corrected int64 // were stored with other values
	// Touched spans every candle that was read, the unchanged ones too, from
	// the earliest open time to the latest close time; it is empty where there
	// was none. Were it only the changed ones, a run killed between write and
	// refresh would find nothing changed when run again, and the roll-ups
	// would stay stale.
	Touched market.TimeRange
	// CorrectedOpenTimes are those of the corrected candles, oldest first, the
	// first 20 of them.
	CorrectedOpenTimes []time.Time
}

// RowError is a row of a file that is refused.
type RowError struct {
	Line   int    // counts from 1, the header included
	Reason string // what is wrong with the row and what would be accepted
}

// Error returns the line and the reason.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Import stores files, each whole or not at all, and calls report as each is
// done, one at a time. A file that cannot be read, or of which a row is
// refused, leaves nothing behind and the others go on. What stops the import
// and is returned as its error, besides ctx, is a failure of the writer:
// the next file would fare no better.
//
// The files of one series are stored in their order, so that the last one that
// holds a candle has the say however the work is spread; up to workers series
// are imported at once. An import that was stopped or killed at any moment and
// is run again ends in the state of one that was not.
func Import(
	ctx context.Context, files []CandleFile, writer CandleWriter, workers int, report func(FileReport),
) (Summary, error) {
	started := time.Now()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	queue := make(chan []CandleFile)
	reports := make(chan FileReport)
	go func() {
		defer close(queue)
		for _, series := range bySeries(files) {
			select {
			case queue <- series:
			case <-ctx.Done():
				return
			}
		}
	}()
	var working sync.WaitGroup
	for range max(workers, 1) {
		working.Go(func() {
			for series := range queue {
				for _, file := range series {
					if ctx.Err() != nil {
						break
					}
					done, err := importFile(ctx, file, writer)
					if err != nil {
						stop(err)
					}
					if done != nil {
						reports <- *done
					}
				}
			}
		})
	}
	go func() {
		working.Wait()
		close(reports)
	}()

	summary := Summary{Unfinished: len(files)}
	for done := range reports {
		summary.add(done)
		report(done)
	}
	summary.Duration = time.Since(started)
	return summary, context.Cause(ctx)
}

// bySeries groups files, the largest group first: begun last, it would keep
// one worker busy long after the others.
func bySeries(files []CandleFile) [][]CandleFile {
	groups := map[market.Series][]CandleFile{}
	size := map[market.Series]int64{}
	var order []market.Series
	for _, file := range files {
		if len(groups[file.Series]) == 0 {
			order = append(order, file.Series)
		}
		groups[file.Series] = append(groups[file.Series], file)
		size[file.Series] += file.Bytes
	}
	slices.SortStableFunc(order, func(a, b market.Series) int { return cmp.Compare(size[b], size[a]) })
	sorted := make([][]CandleFile, len(order))
	for k, series := range order {
		sorted[k] = groups[series]
	}
	return sorted
}

// importFile stores one file, refreshes its roll-ups and reports what became of
// it. The error is one of the writer's, or of ctx; where it leaves open whether
// the file is stored, there is no report.
func importFile(ctx context.Context, file CandleFile, writer CandleWriter) (*FileReport, error) {
	started := time.Now()
	var read attempt
	result, err := writer.WriteCandles(ctx, file.Series, func() (CandleReader, error) {
		read = attempt{}
		read.reader, read.err = file.Open(ctx)
		if read.err != nil {
			return nil, read.err
		}
		return &read, nil
	})
	report := &FileReport{
		Name: file.Name, Series: file.Series, Bytes: file.Bytes,
		Rows: read.rows, RefusedRows: read.refusedRows, Refused: read.refused,
	}
	var failure error
	switch {
	case err != nil && read.err != nil && ctx.Err() == nil:
		report.Err = read.err
	case err != nil:
		return nil, fmt.Errorf("storing %s: %w", file.Name, err)
	default:
		report.New, report.Unchanged, report.Corrected = result.New, result.Unchanged, result.Corrected
		// Even where nothing changed: the import that wrote these candles may
		// have been killed before it came to this.
		if err := writer.RefreshRollUps(ctx, file.Series, result.Touched); err != nil {
			failure = fmt.Errorf("refreshing the roll-ups of %s, which is stored: %w", file.Name, err)
		}
	}
	report.Duration = time.Since(started)
	return report, failure
}

// attempt is one reading of a file. The first refused row decides that nothing
// will be stored; the rest is then read for the report alone.
type attempt struct {
	reader      CandleReader
	rows        int64
	refusedRows int64
	refused     []RowError
	err         error // why the file cannot be stored
}

func (a *attempt) Close() error { return a.reader.Close() }

func (a *attempt) Next() (market.Candle, error) {
	for {
		candle, err := a.reader.Next()
		switch row, refused := errors.AsType[*RowError](err); {
		case err == nil:
			a.rows++
			if a.refusedRows == 0 {
				return candle, nil
			}
		case refused:
			a.rows++
			a.refusedRows++
			if len(a.refused) < maxListed {
				a.refused = append(a.refused, *row)
			}
		case err != io.EOF:
			a.err = err
			return market.Candle{}, err
		default:
			return market.Candle{}, a.end()
		}
	}
}

// end returns io.EOF for a file that may be stored.
func (a *attempt) end() error {
	switch {
	case a.refusedRows > 0:
		a.err = market.Errorf(market.Invalid, "%d of %d rows are refused, so nothing of the file is stored", a.refusedRows, a.rows)
	case a.rows == 0:
		a.err = market.Errorf(market.Invalid, "the file holds no candles")
	default:
		return io.EOF
	}
	return a.err
}
