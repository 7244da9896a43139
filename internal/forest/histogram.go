package forest

// sample is one drawn row with its target, in steps from the smallest one.
type sample struct {
	row   uint32
	steps uint32
}

// sums are a number of rows and the sum of their targets in steps, packed
// into one word so that a histogram takes one addition for a row. Whole
// numbers make the sums exact: equal in whatever order and on whatever
// machine they are added.
type sums uint64

// packing says how sums are laid out: the count above shift, the steps below.
type packing struct {
	shift uint
	mask  sums
}

func (p packing) of(s sample) sums     { return 1<<p.shift | sums(s.steps) }
func (p packing) rows(s sums) int64    { return int64(s >> p.shift) }
func (p packing) steps(s sums) float64 { return float64(int64(s & p.mask)) }

// histogram holds the sums of a node's samples for each bin of one feature.
type histogram [256]sums

func (h *histogram) fill(bins []uint8, samples []sample, one sums) {
	clear(h[:])
	for _, s := range samples {
		h[bins[s.row]] += one + sums(s.steps)
	}
}

// split sends the rows whose bin is at most bin, and the missing ones if
// missingLeft, to the left.
type split struct {
	column      int
	bin         uint8
	missingLeft bool
	score       float64
	left        sums
}

// improve looks for a split of the node with a higher score than the best's
// and puts it there.
func (h *histogram) improve(best *split, column, bins int, total sums, p packing, minRows int64) {
	h.scan(best, column, bins, 0, total, p, minRows)
	if h[missingBin] != 0 {
		h.scan(best, column, bins, h[missingBin], total, p, minRows)
	}
}

func (h *histogram) scan(best *split, column, bins int, missing, total sums, p packing, minRows int64) {
	rows, steps := p.rows(total), p.steps(total)
	left := missing
	for bin, binSums := range h[:bins] {
		if binSums == 0 {
			continue
		}
		left += binSums
		leftRows := p.rows(left)
		if leftRows < minRows {
			continue
		}
		if rows-leftRows < minRows {
			break
		}
		difference := float64(p.steps(left)*float64(rows)) - float64(steps*float64(leftRows))
		score := difference * difference / float64(leftRows*(rows-leftRows))
		if score > best.score {
			*best = split{column: column, bin: uint8(bin), missingLeft: missing != 0, score: score, left: left}
		}
	}
}
