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

func appendCounts(dst []byte, tallies []uint32) []byte {
	for i := 0; i < len(tallies); {
		if tallies[i] > 0 {
			dst = binary.AppendUvarint(dst, uint64(tallies[i]))
			i++
			continue
		}
		start := i
		for i < len(tallies) && tallies[i] == 0 {
			i++
		}
		dst = append(dst, 0, byte(i-start))
	}
	return dst
}

func addCounts(mass *[maxTargetBins]float64, bins int, counts []byte, weight float64) {
	at := 0
	for bin := 0; bin < bins; {
		c := counts[at]
		at++
		switch {
		case c == 0:
			bin += int(counts[at])
			at++
		case c < 0x80:
			mass[bin] += weight * float64(c)
			bin++
		default:
			v, n := binary.Uvarint(counts[at-1:])
			at += n - 1
			mass[bin] += weight * float64(v)
			bin++
		}
	}
}
