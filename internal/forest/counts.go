package forest

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// The counts of a leaf, the number of its training rows in each bin of the
// target, are kept in planes: a byte for each bin, the lowest bytes of all
// counts first, then the next where any count needs them. Leaves are many and
// their counts small, so there is hardly ever a second plane, and adding up
// the leaves that a prediction reaches takes no branch.

// appendPlanes appends the planes of a leaf's counts, at least one, and
// returns how many they are besides.
func appendPlanes(dst []byte, counts []uint32) (_ []byte, planes uint32) {
	largest := uint32(0)
	for _, count := range counts {
		largest |= count
	}
	planes = max(1, uint32(bits.Len32(largest)+7)/8)
	for plane := range planes {
		for _, count := range counts {
			dst = append(dst, byte(count>>(8*plane)))
		}
	}
	return dst, planes
}

// addCounts adds the counts of a leaf, whose planes begin the given bytes,
// times weight to the bins.
func addCounts(bins []float64, data []byte, planes uint32, weight float64) {
	for range planes {
		plane := data[:len(bins)]
		for bin := range bins {
			bins[bin] += weight * float64(plane[bin])
		}
		data = data[len(bins):]
		weight *= 256
	}
}

// countsOf reads the counts of a leaf from its planes.
func countsOf(counts []uint32, data []byte, planes uint32) {
	clear(counts)
	for plane := range planes {
		for bin := range counts {
			counts[bin] |= uint32(data[int(plane)*len(counts)+bin]) << (8 * plane)
		}
	}
}

// In a file, a byte below zeroRun is the count of one bin.
const (
	// zeroRun is followed by a byte: the number of bins that are empty.
	zeroRun = 0xFE
	// largeCount is followed by four bytes, little endian: the count of a bin.
	largeCount = 0xFF
	// shortestRun is the smallest number of empty bins that is worth a run.
	shortestRun = 3
)

// appendCounts appends the counts of a leaf, as a file has them, to dst.
func appendCounts(dst []byte, counts []uint32) []byte {
	for bin := 0; bin < len(counts); {
		empty := 0
		for bin+empty < len(counts) && counts[bin+empty] == 0 {
			empty++
		}
		if empty >= shortestRun {
			dst = append(dst, zeroRun, byte(empty))
			bin += empty
			continue
		}
		if counts[bin] < zeroRun {
			dst = append(dst, byte(counts[bin]))
		} else {
			dst = append(dst, largeCount)
			dst = binary.LittleEndian.AppendUint32(dst, counts[bin])
		}
		bin++
	}
	return dst
}

var errCounts = errors.New("the counts of a leaf are malformed")

// readCounts reads the counts of a leaf, which begin the data as a file has
// them, and returns how many bytes and rows these are.
func readCounts(counts []uint32, data []byte) (size int, rows uint32, err error) {
	clear(counts)
	total := uint64(0)
	for bin := 0; bin < len(counts); bin++ {
		if size >= len(data) {
			return 0, 0, errCounts
		}
		code := data[size]
		size++
		switch {
		case code < zeroRun:
			counts[bin] = uint32(code)
		case code == zeroRun:
			if size >= len(data) || data[size] == 0 || int(data[size]) > len(counts)-bin {
				return 0, 0, errCounts
			}
			bin += int(data[size]) - 1
			size++
			continue
		default:
			if len(data)-size < 4 {
				return 0, 0, errCounts
			}
			counts[bin] = binary.LittleEndian.Uint32(data[size:])
			size += 4
		}
		total += uint64(counts[bin])
	}
	if total < 1 || total > maxRows {
		return 0, 0, errCounts
	}
	return size, uint32(total), nil
}
