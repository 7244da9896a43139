package history

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// maxListed bounds the refused rows that a report lists; all are counted.
const maxListed = 20

// FileReport says what became of one file of an import.
type FileReport struct {
	Name                      string
	Series                    market.Series
	Bytes                     int64      // size on disk
	Rows                      int64      // read, the refused ones included
	New, Unchanged, Corrected int64      // stored, as in WriteResult
	RefusedRows               int64      // if any, nothing is stored
	Refused                   []RowError // the first 20 of them
	Err                       error      // why nothing of the file is stored, nil where all is
	Duration                  time.Duration
}

// Summary adds up the reports of an import.
type Summary struct {
	Files                     int // that were reported, the failed ones included
	Failed                    int // of which FileReport.Err is set
	Unfinished                int // not begun, or cut off, when the import was stopped
	Bytes                     int64
	Rows                      int64
	New, Unchanged, Corrected int64
	RefusedRows               int64
	Duration                  time.Duration // from the first file to the last
}

func (s *Summary) add(file FileReport) {
	s.Files++
	s.Unfinished--
	if file.Err != nil {
		s.Failed++
	}
	s.Bytes += file.Bytes
	s.Rows += file.Rows
	s.New += file.New
	s.Unchanged += file.Unchanged
	s.Corrected += file.Corrected
	s.RefusedRows += file.RefusedRows
}
