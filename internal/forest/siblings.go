package forest

// The histogram of a node is the sum of those of its two children, so where
// the node's and one child's are known the other's takes one subtraction for
// each bin, whatever the rows. Sums of whole numbers are exact: a histogram is
// the same however it was made.

// maxKept bounds the histograms that are kept of a node, of 2 KB each.
const maxKept = 128

// kept are the histograms of a node that were made, for the node's own splits
// or for its sibling's.
type kept struct {
	places     []int32 // for each column 1 + its place, 0 if it has none
	columns    []int   // that have a place, in order
	histograms []histogram
}

func newKept(columns, limit int) kept {
	return kept{
		places:     make([]int32, columns),
		columns:    make([]int, 0, limit),
		histograms: make([]histogram, limit),
	}
}

// forget makes all places free.
func (k *kept) forget() {
	for _, column := range k.columns {
		k.places[column] = 0
	}
	k.columns = k.columns[:0]
}

// find returns the histogram of a column, nil if it was not made.
func (k *kept) find(column int) *histogram {
	if place := k.places[column]; place > 0 {
		return &k.histograms[place-1]
	}
	return nil
}

// add returns the place for the histogram of a column, nil if all are taken.
func (k *kept) add(column int) *histogram {
	if len(k.columns) == len(k.histograms) {
		return nil
	}
	k.columns = append(k.columns, column)
	k.places[column] = int32(len(k.columns))
	return &k.histograms[len(k.columns)-1]
}

// growing is a node that is being grown.
type growing struct {
	samples []sample
	total   sums
	depth   int
	kept    kept
	// Of the root these are nil.
	parent, sibling *growing
}

// children returns the nodes that a split makes of one whose samples are
// partitioned. They are valid until the next node of its depth is split.
func (g *grower) children(n *growing, middle int, by split) (left, right *growing) {
	level := &g.levels[n.depth]
	left, right = &level[0], &level[1]
	left.begin(n, right, n.samples[:middle], by.left)
	right.begin(n, left, n.samples[middle:], n.total-by.left)
	return left, right
}

func (n *growing) begin(parent, sibling *growing, samples []sample, total sums) {
	n.samples, n.total, n.depth = samples, total, parent.depth+1
	n.parent, n.sibling = parent, sibling
	n.kept.forget()
}

// histogramOf returns the histogram of a column of a node, made in the cheapest
// way. It is valid until the next.
func (g *grower) histogramOf(n *growing, column int) *histogram {
	if made := n.kept.find(column); made != nil {
		return made
	}
	h := n.kept.add(column)
	if h == nil {
		h = &g.histogram
	}
	if whole, other := g.relativesOf(n, column); other != nil {
		h.subtract(whole, other)
	} else {
		h.fill(n.samples, g.features[column].bins, g.packing.one())
	}
	return h
}

// relativesOf returns the histograms of a column of a node's parent and sibling
// if there is something to win by them, else nil for the sibling's.
func (g *grower) relativesOf(n *growing, column int) (parent, sibling *histogram) {
	if n.parent == nil || len(n.samples) < len(histogram{}) {
		return nil, nil
	}
	parent = n.parent.kept.find(column)
	if parent == nil {
		return nil, nil
	}
	sibling = n.sibling.kept.find(column)
	if sibling == nil && len(n.sibling.samples)+len(histogram{}) < len(n.samples) {
		if sibling = n.sibling.kept.add(column); sibling != nil {
			sibling.fill(n.sibling.samples, g.features[column].bins, g.packing.one())
		}
	}
	return parent, sibling
}
