package binance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// maxLine bounds a line in bytes; a real row has under 200.
const maxLine = 4096

// archiveReader reads the rows of one kline CSV.
type archiveReader struct {
	lines *bufio.Reader
	close func() error
	name  archiveName
	row   rowDecoder
	now   time.Time // when reading began

	line      int // the last one read, from 1
	blankLine int // the first blank one since the last row, or 0

	last      time.Time     // open time of the last accepted row
	lastLine  int           // its line, 0 before the first
	distance  time.Duration // between the last two accepted rows
	ascending bool
	ordered   bool // whether two accepted rows have settled ascending
}

func newArchiveReader(rows io.Reader, name archiveName) *archiveReader {
	return &archiveReader{
		lines: bufio.NewReaderSize(rows, 16*maxLine),
		close: func() error { return nil },
		name:  name,
		row:   rowDecoder{interval: name.series.Interval},
		now:   time.Now(),
	}
}

// Close releases the file.
func (r *archiveReader) Close() error { return r.close() }

// Next returns the next candle, as history.CandleReader says.
func (r *archiveReader) Next() (market.Candle, error) {
	text, err := r.readRow()
	if err != nil {
		return market.Candle{}, err
	}
	if r.line == 1 && isHeader(text) {
		if err := r.row.readHeader(text); err != nil {
			return market.Candle{}, r.refuse(err)
		}
		return r.Next()
	}
	if blank := r.blankLine; blank > 0 {
		r.blankLine = 0
		return market.Candle{}, r.refuse(fmt.Errorf("comes after the blank line %d: remove blank lines", blank))
	}
	candle, err := r.row.decode(text)
	if err == nil {
		err = candle.Validate()
	}
	if err == nil {
		err = r.checkPlace(candle.OpenTime)
	}
	if err != nil {
		return market.Candle{}, r.refuse(err)
	}
	r.last, r.lastLine = candle.OpenTime, r.line
	return candle, nil
}

func (r *archiveReader) refuse(reason error) error {
	return &history.RowError{Line: r.line, Reason: reason.Error()}
}

// readRow returns the next line that is not blank, without its end.
func (r *archiveReader) readRow() ([]byte, error) {
	for {
		text, err := r.lines.ReadSlice('\n')
		if err == io.EOF && len(text) == 0 {
			return nil, io.EOF
		}
		if err == bufio.ErrBufferFull || len(text) > maxLine {
			return nil, market.Errorf(market.Invalid, "line %d is longer than %d bytes: this is no candle file", r.line+1, maxLine)
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("reading after line %d: %w", r.line, damaged(err))
		}
		r.line++
		if r.line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if len(text) > 0 {
			return text, nil
		}
		if r.blankLine == 0 {
			r.blankLine = r.line
		}
	}
}

// checkPlace says what is wrong with a row of that open time where it stands:
// outside the period of the file's name, not closed yet, repeated, out of order, or so close
// to the row before that the file must be of a finer interval.
func (r *archiveReader) checkPlace(open time.Time) error {
	if period := r.name.period; !period.Empty() && !period.Contains(open) {
		return fmt.Errorf("opens at %s, outside the period of the file's name", instant(open))
	}
	if closes := r.row.interval.Next(open); closes.After(r.now) {
		return fmt.Errorf("closes at %s, which is still to come: remove the row of the open candle", instant(closes))
	}
	if r.lastLine == 0 {
		return nil
	}
	if open.Equal(r.last) {
		return fmt.Errorf("repeats the open time of line %d", r.lastLine)
	}
	ascending := open.After(r.last)
	if r.ordered && ascending != r.ascending {
		return fmt.Errorf("opens at %s, line %d at %s: sort the rows by open time, in either direction",
			instant(open), r.lastLine, instant(r.last))
	}
	// An outage may move the grid, and a candle then opens before the last one
	// would have closed; but twice in a row at the distance of a finer interval
	// is a file of that interval.
	distance := open.Sub(r.last).Abs()
	if distance < r.row.interval.Length() && distance == r.distance {
		for _, finer := range market.Intervals() {
			if finer.Length() == distance {
				return fmt.Errorf("opens %s from line %d, as that one from the row before: candles of a file of %s do not; say the right interval",
					finer, r.lastLine, r.row.interval)
			}
		}
	}
	r.ascending, r.ordered, r.distance = ascending, true, distance
	return nil
}

func instant(t time.Time) string { return t.Format(time.RFC3339Nano) }
