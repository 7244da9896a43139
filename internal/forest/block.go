package forest

// maxBlockBytes bounds a block: with its samples it fits in a core's own cache.
const maxBlockBytes = 1 << 18

// block holds the bins of a node's rows side by side. Down a tree a node's rows
// lie ever farther apart, and each bin of a feature would cost a line of the
// cache of its own. In a block the rows are numbered from 0, in the order of
// the samples.
type block struct {
	rows []uint32  // the number of each in the training data
	bins [][]uint8 // for each feature, nil if it does not vary
}

func newBlock(t *training) block {
	limit := min(maxBlockBytes/max(1, len(t.varying)), t.sampleRows)
	b := block{rows: make([]uint32, 0, limit), bins: make([][]uint8, len(t.features))}
	// A line more, so that not all columns compete for the same lines of the
	// cache.
	const line = 64
	stride := limit + line
	buffer := make([]uint8, stride*len(t.varying))
	for i, column := range t.varying {
		b.bins[column] = buffer[i*stride:][:limit:limit]
	}
	return b
}

// enter brings the rows of the samples, which are no more than fit, into the
// block and numbers the samples after it.
func (b *block) enter(samples []sample, t *training) {
	b.rows = b.rows[:0]
	for i := range samples {
		b.rows = append(b.rows, samples[i].row)
		samples[i].row = uint32(i)
	}
	width := len(t.varying)
	for i, row := range b.rows {
		for j, bin := range t.rowBins[int(row)*width:][:width] {
			b.bins[t.varying[j]][i] = bin
		}
	}
}

// leave numbers the samples as they were, in whatever order they are now.
func (b *block) leave(samples []sample) {
	for i := range samples {
		samples[i].row = b.rows[samples[i].row]
	}
	b.rows = b.rows[:0]
}

// holds tells whether a node's samples are in the block.
func (b *block) holds() bool { return len(b.rows) > 0 }
