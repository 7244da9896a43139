package forecast

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// samples are candles whose close is known beside what was known at their open,
// oldest first. The columns are feature-major, as a forest wants them.
type samples struct {
	interval market.Interval
	opens    []time.Time
	columns  [][]float64
	last     []float64 // newest price at the candle's open
	returns  []float64 // ln(close / last)
	skipped  int       // candles of the range that no sample was made of
}

// newSamples makes a sample of every candle that opens in the range and can be
// forecast. What is skipped lacks parts, or a candle before it: the first window
// of a series, and the candle behind every gap.
func newSamples(own, companion *track, r market.TimeRange) *samples {
	s := &samples{interval: own.interval, columns: make([][]float64, len(featureNames))}
	for _, open := range own.incomplete {
		if r.Contains(open) {
			s.skipped++
		}
	}
	row := make([]float64, len(featureNames))
	for k, open := range own.opens {
		if !r.Contains(open) {
			continue
		}
		if !own.ready(k, open) {
			s.skipped++
			continue
		}
		features(row, own, k, companion, open)
		for j, value := range row {
			s.columns[j] = append(s.columns[j], value)
		}
		last := own.close[k-1]
		s.opens = append(s.opens, open)
		s.last = append(s.last, last)
		s.returns = append(s.returns, math.Log(own.close[k]/last))
	}
	return s
}

func (s *samples) len() int { return len(s.opens) }

// before returns the samples whose candle has closed by the instant; the result
// shares memory.
func (s *samples) before(instant time.Time) *samples {
	n := 0
	for n < len(s.opens) && !s.interval.Next(s.opens[n]).After(instant) {
		n++
	}
	return s.slice(0, n)
}

// since returns the samples whose candle opens at the instant or later.
func (s *samples) since(instant time.Time) *samples {
	n := 0
	for n < len(s.opens) && s.opens[n].Before(instant) {
		n++
	}
	return s.slice(n, len(s.opens))
}

func (s *samples) slice(start, end int) *samples {
	part := &samples{
		interval: s.interval,
		opens:    s.opens[start:end],
		columns:  make([][]float64, len(s.columns)),
		last:     s.last[start:end],
		returns:  s.returns[start:end],
	}
	for j, column := range s.columns {
		part.columns[j] = column[start:end]
	}
	return part
}

// row copies the features of one sample.
func (s *samples) row(dst []float64, k int) {
	for j, column := range s.columns {
		dst[j] = column[k]
	}
}

// hash identifies what a training learns from: the recipe and every row. Equal
// hashes mean equal models.
func (s *samples) hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v\n%d\n", newRecipe(), s.len())
	buffer := make([]byte, 0, 8*(len(s.columns)+2))
	for k := range s.opens {
		buffer = binary.LittleEndian.AppendUint64(buffer[:0], uint64(s.opens[k].UnixMicro()))
		buffer = binary.LittleEndian.AppendUint64(buffer, math.Float64bits(s.returns[k]))
		for _, column := range s.columns {
			buffer = binary.LittleEndian.AppendUint64(buffer, math.Float64bits(column[k]))
		}
		h.Write(buffer)
	}
	return hex.EncodeToString(h.Sum(nil))
}
