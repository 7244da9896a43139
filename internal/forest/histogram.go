package forest

import "math/bits"

// sample is a drawn row with its target, in steps above the smallest target.
type sample struct {
	row   uint32
	steps uint32
}

// sums are a number of rows and the sum of their targets in steps, in one word
// so that a histogram takes one addition for each row. Sums of whole numbers
// are exact, so they are the same in whatever order, and on whatever machine,
// they are added.
type sums uint64

// packing is the layout of sums: the number of rows from bit shift upwards,
// the steps, masked by mask, below.
type packing struct {
	shift uint
	mask  sums
}

// newPacking gives the number of rows just the bits that it needs.
func newPacking(rows int) packing {
	shift := 64 - uint(bits.Len(uint(rows)))
	return packing{shift: shift, mask: 1<<shift - 1}
}

// maxSteps is the largest number of steps of which the sum over all rows fits.
// For a hundred thousand rows that is 2³⁰−1, for the most that are accepted
// 2¹⁶−1.
func (p packing) maxSteps() float64 {
	return float64(uint64(1)<<min(2*p.shift-64, 32) - 1)
}

// one is the sums of one row of zero steps.
func (p packing) one() sums { return 1 << p.shift }

func (p packing) rows(s sums) int64    { return int64(s >> p.shift) }
func (p packing) steps(s sums) float64 { return float64(int64(s & p.mask)) }

// histogram holds the sums of a node's samples in each bin of a feature.
type histogram [256]sums

// fill is where training spends half of its time.
func (h *histogram) fill(samples []sample, bins []uint8, one sums) {
	clear(h[:])
	for _, s := range samples {
		h[bins[s.row]] += one + sums(s.steps)
	}
}

// subtract makes the histogram of a node's child from the node's and the other
// child's.
func (h *histogram) subtract(node, other *histogram) {
	for bin := range h {
		h[bin] = node[bin] - other[bin]
	}
}

// split divides a node: rows in bins up to bin go to the left.
type split struct {
	column      int
	bin         int
	missingLeft bool
	left        sums
	// gain is proportional, by the same factor for all splits of a node, to
	// the squared error that it removes; 0 means that there is no split.
	gain float64
}

// search looks for the best split of a node.
type search struct {
	packing packing
	minRows int64 // on each side
	total   sums
	best    split
}

// try looks at all splits of a column, with the missing values on either side.
// Where there are none, the larger side is where prediction puts them.
func (s *search) try(column int, h *histogram, valueBins int) {
	s.scan(column, h, valueBins, 0)
	if missing := h[missingBin]; missing != 0 {
		s.scan(column, h, valueBins, missing)
	}
}

// scan looks at the splits of a column with the given sums, which are of the
// missing values or none, on the left in any case.
func (s *search) scan(column int, h *histogram, valueBins int, left sums) {
	rows, steps := s.packing.rows(s.total), s.packing.steps(s.total)
	missingLeft := left != 0
	for bin, here := range h[:valueBins] {
		if here == 0 {
			continue
		}
		left += here
		leftRows := s.packing.rows(left)
		rightRows := rows - leftRows
		if leftRows < s.minRows {
			continue
		}
		if rightRows < s.minRows {
			break
		}
		// With sums Σ over n rows, Σₗ over the nₗ left ones, a split removes
		// Σₗ²/nₗ + Σᵣ²/nᵣ − Σ²/n = (Σₗn − Σnₗ)²/(n nₗ nᵣ) of squared error.
		// The conversions forbid fused multiplication and addition, whose
		// result depends on the machine.
		difference := float64(s.packing.steps(left)*float64(rows)) - float64(steps*float64(leftRows))
		gain := difference * difference / float64(leftRows*rightRows)
		if gain > s.best.gain {
			s.best = split{
				column:      column,
				bin:         bin,
				missingLeft: missingLeft || h[missingBin] == 0 && leftRows > rightRows,
				left:        left,
				gain:        gain,
			}
		}
	}
}
