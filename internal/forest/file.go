package forest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A forest's file is, numbers in little endian:
//
//	magic, version      6 bytes, uint16
//	names               uint32 how many; each: uint8 length, bytes
//	target bins         uint8 how many; each: float64 lowest, float64 highest
//	trees               uint32 how many; each: its root's branch
//	checksum            SHA-256 of all that precedes
//
// and a branch, at most maxDepth splits deep, is one of
//
//	leafBranch          float64 mean, the counts of counts.go
//	missingLeftBranch,  uint16 feature, float32 threshold,
//	missingRightBranch  the left branch, the right branch
//
// each after its byte. So no file can name a place outside of itself, or make
// a walk that does not end.
const (
	fileMagic   = "FOREST"
	fileVersion = 1

	leafBranch         = 0
	missingLeftBranch  = 1
	missingRightBranch = 2
)

// MarshalBinary returns the forest's file. Equal forests have equal files. It
// is an error if the forest is empty.
func (f *Forest) MarshalBinary() ([]byte, error) {
	if len(f.roots) == 0 {
		return nil, errors.New("writing a forest: it is empty, train or read one first")
	}
	data := appendHeader(nil, f.names, f.grid, uint32(len(f.roots)))
	for _, root := range f.roots {
		data = f.appendBranch(data, root)
	}
	return appendChecksum(data), nil
}

// UnmarshalBinary reads a forest's file, which it does not keep. A file that
// is damaged, of another version or makes no sense is an error and leaves the
// forest as it was; memory in use stays proportional to the file.
func (f *Forest) UnmarshalBinary(data []byte) error {
	forest, err := readForest(data)
	if err != nil {
		return fmt.Errorf("reading a forest: %w", err)
	}
	*f = *forest
	return nil
}

func appendHeader(data []byte, names []string, grid targetGrid, trees uint32) []byte {
	data = append(data, fileMagic...)
	data = binary.LittleEndian.AppendUint16(data, fileVersion)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(names)))
	for _, name := range names {
		data = append(data, byte(len(name)))
		data = append(data, name...)
	}
	data = append(data, byte(len(grid.lowest)))
	for bin := range grid.lowest {
		data = appendFloat64(data, grid.lowest[bin])
		data = appendFloat64(data, grid.highest[bin])
	}
	return binary.LittleEndian.AppendUint32(data, trees)
}

func (f *Forest) appendBranch(data []byte, reference int32) []byte {
	if reference < 0 {
		at := f.leaves[^reference]
		var counts [maxTargetBins]uint32
		bins := counts[:len(f.grid.lowest)]
		countsOf(bins, f.counts[at.counts:], at.planes)
		data = append(data, leafBranch)
		data = appendFloat64(data, at.mean)
		return appendCounts(data, bins)
	}
	n := f.nodes[reference]
	if n.missingLeft {
		data = append(data, missingLeftBranch)
	} else {
		data = append(data, missingRightBranch)
	}
	data = binary.LittleEndian.AppendUint16(data, n.feature)
	data = binary.LittleEndian.AppendUint32(data, math.Float32bits(n.threshold))
	data = f.appendBranch(data, n.left)
	return f.appendBranch(data, n.right)
}

func appendFloat64(data []byte, value float64) []byte {
	return binary.LittleEndian.AppendUint64(data, math.Float64bits(value))
}

func appendChecksum(data []byte) []byte {
	checksum := sha256.Sum256(data)
	return append(data, checksum[:]...)
}

func readForest(data []byte) (*Forest, error) {
	switch {
	case uint64(len(data)) > math.MaxUint32:
		return nil, fmt.Errorf("%d bytes are too many", len(data))
	case !bytes.HasPrefix(data, []byte(fileMagic)):
		return nil, errors.New("this is no file of a forest")
	case len(data) < len(fileMagic)+2+sha256.Size:
		return nil, errShort
	}
	content, checksum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	r := reader{data: content[len(fileMagic):]}
	if version := r.uint16(); version != fileVersion {
		return nil, fmt.Errorf("it has format version %d, this program reads version %d: train the forest again", version, fileVersion)
	}
	if sum := sha256.Sum256(content); !bytes.Equal(checksum, sum[:]) {
		return nil, errors.New("its checksum is wrong, it is damaged or incomplete")
	}

	f := &Forest{names: r.names(), grid: r.grid()}
	trees := r.uint32()
	if trees < 1 || trees > maxTrees {
		r.fail(fmt.Errorf("there are %d trees, want 1 to %d", trees, maxTrees))
	}
	for tree := uint32(0); tree < trees && r.err == nil; tree++ {
		f.roots = append(f.roots, r.branch(f, 0))
	}
	if len(r.data) > 0 {
		r.fail(fmt.Errorf("%d bytes follow the last tree", len(r.data)))
	}
	if r.err != nil {
		return nil, r.err
	}
	return f, nil
}

var errShort = errors.New("it is too short")

// reader takes values off data. It keeps the first error; from then on the
// values mean nothing.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// take returns the next bytes, zeros where there are not as many. size is at
// most maxNameBytes.
func (r *reader) take(size int) []byte {
	if size > len(r.data) {
		r.fail(errShort)
		return make([]byte, size)
	}
	taken := r.data[:size]
	r.data = r.data[size:]
	return taken
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

// target returns a number that a target, or with rounding the mean of some,
// may be.
func (r *reader) target() float64 {
	value := math.Float64frombits(binary.LittleEndian.Uint64(r.take(8)))
	if !(math.Abs(value) <= 2*maxTarget) {
		r.fail(fmt.Errorf("a target is %v, want a number within ±%v", value, maxTarget))
	}
	return value
}

func (r *reader) names() []string {
	count := r.uint32()
	var names []string
	for i := uint32(0); i < count && r.err == nil; i++ {
		names = append(names, string(r.take(int(r.byte()))))
	}
	if err := validateNames(names); err != nil {
		r.fail(err)
	}
	return names
}

func (r *reader) grid() targetGrid {
	bins := int(r.byte())
	if bins < 1 || bins > maxTargetBins {
		r.fail(fmt.Errorf("there are %d target bins, want 1 to %d", bins, maxTargetBins))
	}
	var grid targetGrid
	for bin := range bins {
		grid.lowest = append(grid.lowest, r.target())
		grid.highest = append(grid.highest, r.target())
		if grid.lowest[bin] > grid.highest[bin] || bin > 0 && grid.lowest[bin] <= grid.highest[bin-1] {
			r.fail(fmt.Errorf("target bin %d is out of order", bin))
		}
	}
	return grid
}

// branch adds a branch to the forest, of which the names and the grid must
// have been read, and returns the reference to it.
func (r *reader) branch(f *Forest, depth int) int32 {
	kind := r.byte()
	if r.err != nil {
		return 0
	}
	switch kind {
	case leafBranch:
		return r.leaf(f)
	case missingLeftBranch, missingRightBranch:
	default:
		r.fail(fmt.Errorf("a branch is of kind %d", kind))
		return 0
	}

	at := len(f.nodes)
	n := node{
		feature:     r.uint16(),
		threshold:   math.Float32frombits(r.uint32()),
		missingLeft: kind == missingLeftBranch,
	}
	switch {
	case int(n.feature) >= len(f.names):
		r.fail(fmt.Errorf("a split is on feature %d of %d", n.feature, len(f.names)))
	case n.threshold != n.threshold:
		r.fail(errors.New("a split is at no number"))
	case depth == maxDepth:
		r.fail(fmt.Errorf("a tree is over %d splits deep", maxDepth))
	}
	if r.err != nil {
		return 0
	}
	f.nodes = append(f.nodes, n)
	left := r.branch(f, depth+1)
	right := r.branch(f, depth+1)
	f.nodes[at].left, f.nodes[at].right = left, right
	return int32(at)
}

func (r *reader) leaf(f *Forest) int32 {
	mean := r.target()
	var counts [maxTargetBins]uint32
	bins := counts[:len(f.grid.lowest)]
	size, rows, err := readCounts(bins, r.data)
	if err != nil {
		r.fail(err)
		return 0
	}
	r.data = r.data[size:]
	at := len(f.leaves)
	l := leaf{mean: mean, rows: rows, counts: uint32(len(f.counts))}
	f.counts, l.planes = appendPlanes(f.counts, bins)
	if uint64(len(f.counts)) > math.MaxUint32 {
		r.fail(errors.New("it has too many leaves to keep"))
		return 0
	}
	f.leaves = append(f.leaves, l)
	return ^int32(at)
}
