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

// samples are candles whose close is known beside what was known of them at
// instants before: at the open, and at some within the candle where anything finer
// is stored.
type samples struct {
	candles *outcomes
	rows    []sample // by candle, oldest first, then by instant
	skipped int      // candles of the range that no sample was made of
}

// outcomes are closed candles and what was known as of their open, as arrays.
type outcomes struct {
	interval market.Interval
	opens    []time.Time
	close    []float64
	usual    []float64   // volume of a candle, as of the open
	columns  [][]float64 // opening features: feature-major, as a forest wants them
}

// sample is an instant of a candle.
type sample struct {
	candle int32
	progress
}

// newSamples makes samples of every candle that opens in the range and can be
// forecast. What is skipped lacks parts, or a candle before it: the first window
// of a series, and the candle behind every gap.
func newSamples(own, companion *track, r market.TimeRange) *samples {
	c := &outcomes{interval: own.interval, columns: make([][]float64, len(openingNames))}
	s := &samples{candles: c}
	for _, open := range own.incomplete {
		if r.Contains(open) {
			s.skipped++
		}
	}
	row := make([]float64, len(openingNames))
	for k, open := range own.opens {
		if !r.Contains(open) {
			continue
		}
		if !own.ready(k, open) {
			s.skipped++
			continue
		}
		openingFeatures(row, own, k, companion, open)
		for j, value := range row {
			c.columns[j] = append(c.columns[j], value)
		}
		candle := int32(len(c.opens))
		c.opens = append(c.opens, open)
		c.close = append(c.close, own.close[k])
		c.usual = append(c.usual, own.usualVolume(k))
		s.rows = append(s.rows, sample{candle, untraded(own.close[k-1])})
		for _, p := range own.inside[k] {
			s.rows = append(s.rows, sample{candle, p})
		}
	}
	return s
}

func (s *samples) len() int { return len(s.rows) }

// open returns when the candle of a row opens.
func (s *samples) open(row int) time.Time { return s.candles.opens[s.rows[row].candle] }

// rest is the log return from the instant of a row to the close of its candle.
func (s *samples) rest(row int) float64 {
	r := &s.rows[row]
	return math.Log(s.candles.close[r.candle] / r.last)
}

// rose is 1 where the candle of a row closed above its open, as it was known at the
// instant of the row, else 0.
func (s *samples) rose(row int) float64 {
	r := &s.rows[row]
	if s.candles.close[r.candle] > r.progress.open {
		return 1
	}
	return 0
}

// opening copies the opening features of a row.
func (s *samples) opening(dst []float64, row int) {
	candle := s.rows[row].candle
	for j, column := range s.candles.columns {
		dst[j] = column[candle]
	}
}

// before returns the samples whose candle has closed by the instant; the result
// shares memory.
func (s *samples) before(instant time.Time) *samples {
	n := 0
	for n < len(s.rows) && !s.candles.interval.Next(s.open(n)).After(instant) {
		n++
	}
	return s.slice(0, n)
}

// since returns the samples whose candle opens at the instant or later.
func (s *samples) since(instant time.Time) *samples {
	n := 0
	for n < len(s.rows) && s.open(n).Before(instant) {
		n++
	}
	return s.slice(n, len(s.rows))
}

func (s *samples) slice(start, end int) *samples {
	return &samples{candles: s.candles, rows: s.rows[start:end]}
}

// pick returns the samples that a condition holds for.
func (s *samples) pick(wanted func(r *sample) bool) *samples {
	picked := &samples{candles: s.candles}
	for k := range s.rows {
		if wanted(&s.rows[k]) {
			picked.rows = append(picked.rows, s.rows[k])
		}
	}
	return picked
}

// openings returns the samples at the open: one a candle.
func (s *samples) openings() *samples { return s.pick(func(r *sample) bool { return r.atOpen() }) }

// lessons returns the samples to learn from: of each candle that at the open and
// one within it. More of them say little that is new, but outvote the open, whose
// pinball loss was a quarter of its lead over HAR worse with all of them.
func (s *samples) lessons() *samples {
	picked := &samples{candles: s.candles}
	for start := 0; start < len(s.rows); {
		end := start + 1
		for end < len(s.rows) && s.rows[end].candle == s.rows[start].candle {
			end++
		}
		picked.rows = append(picked.rows, s.rows[start])
		if inside := s.rows[start+1 : end]; len(inside) > 0 {
			choice := lot(s.open(start), quarters) % uint64(len(inside))
			picked.rows = append(picked.rows, inside[choice])
		}
		start = end
	}
	return picked
}

// hash identifies what a training learns from: the recipe and every row. Equal
// hashes mean equal models.
func (s *samples) hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v\n%d\n", newRecipe(), s.len())
	row := make([]float64, len(openingNames))
	var buffer []byte
	for k := range s.rows {
		r := &s.rows[k]
		buffer = binary.LittleEndian.AppendUint64(buffer[:0], uint64(s.open(k).UnixMicro()))
		s.opening(row, k)
		for _, value := range append(row, s.candles.close[r.candle], s.candles.usual[r.candle],
			r.elapsed, r.progress.open, r.high, r.low, r.last, r.volume, r.taker) {
			buffer = binary.LittleEndian.AppendUint64(buffer, math.Float64bits(value))
		}
		h.Write(buffer)
	}
	return hex.EncodeToString(h.Sum(nil))
}
