package forest

import (
	"encoding/binary"
	"errors"
)

// The counts of a leaf, the number of its training rows in each bin of the
// target, are kept in little more than a byte for each bin: leaves are many,
// and most of their counts small. A byte below zeroRun is the count of one
// bin.
const (
	// zeroRun is followed by a byte: the number of bins that are empty.
	zeroRun = 0xFE
	// largeCount is followed by four bytes, little endian: the count of a bin.
	largeCount = 0xFF
	// shortestRun is the smallest number of empty bins that is worth a run.
	shortestRun = 3
)

// appendCounts appends the counts of a leaf to dst.
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

// addCounts adds the counts of a leaf, which begin the given bytes, times
// weight to the bins.
func addCounts(bins []float64, counts []byte, weight float64) {
	at := 0
	for bin := 0; bin < len(bins); {
		code := counts[at]
		at++
		switch {
		case code < zeroRun:
			bins[bin] += weight * float64(code)
			bin++
		case code == zeroRun:
			bin += int(counts[at])
			at++
		default:
			bins[bin] += weight * float64(binary.LittleEndian.Uint32(counts[at:]))
			at += 4
			bin++
		}
	}
}

var errCounts = errors.New("the counts of a leaf are malformed")

// checkCounts checks that a leaf's counts for as many bins begin the data, and
// returns how many bytes and rows these are.
func checkCounts(data []byte, bins int) (size int, rows uint32, err error) {
	total := uint64(0)
	for bin := 0; bin < bins; bin++ {
		if size >= len(data) {
			return 0, 0, errCounts
		}
		code := data[size]
		size++
		switch {
		case code < zeroRun:
			total += uint64(code)
		case code == zeroRun:
			if size >= len(data) || data[size] == 0 || int(data[size]) > bins-bin {
				return 0, 0, errCounts
			}
			bin += int(data[size]) - 1
			size++
		default:
			if len(data)-size < 4 {
				return 0, 0, errCounts
			}
			total += uint64(binary.LittleEndian.Uint32(data[size:]))
			size += 4
		}
	}
	if total < 1 || total > maxRows {
		return 0, 0, errCounts
	}
	return size, uint32(total), nil
}
