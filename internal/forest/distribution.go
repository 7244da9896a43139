package forest

import (
	"encoding/binary"
	"math"
	"sort"
)

type Distribution struct {
	grid       *targetGrid
	mean       float64
	cumulative [maxTargetBins]float64
}

func (d *Distribution) Mean() float64 { return d.mean }

func (d *Distribution) Quantile(p float64) float64 {
	if d.grid == nil || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	cum := d.cumulative[:len(d.grid.lowest)]
	b := sort.Search(len(cum), func(i int) bool { return cum[i] >= p && cum[i] > 0 })
	below := 0.0
	if b > 0 {
		below = cum[b-1]
	}
	lo, hi := d.grid.lowest[b], d.grid.highest[b]
	return min(hi, lo+(p-below)/(cum[b]-below)*(hi-lo))
}

const (
	zeroRun    = 0xFE
	largeCount = 0xFF
)

func appendCounts(dst []byte, tallies []uint32) []byte {
	for i := 0; i < len(tallies); {
		run := i
		for run < len(tallies) && tallies[run] == 0 {
			run++
		}
		if run-i > 2 {
			dst = append(dst, zeroRun, byte(run-i))
			i = run
			continue
		}
		if tallies[i] < zeroRun {
			dst = append(dst, byte(tallies[i]))
		} else {
			dst = append(dst, largeCount)
			dst = binary.LittleEndian.AppendUint32(dst, tallies[i])
		}
		i++
	}
	return dst
}

func addCounts(mass []float64, counts []byte, weight float64) {
	at := 0
	for bin := 0; bin < len(mass); {
		c := counts[at]
		at++
		if c < zeroRun {
			mass[bin] += weight * float64(c)
			bin++
			continue
		}
		if c == zeroRun {
			bin += int(counts[at])
			at++
		} else {
			mass[bin] += weight * float64(binary.LittleEndian.Uint32(counts[at:]))
			at += 4
			bin++
		}
	}
}
