package forest

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestCountsRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	values := []uint32{0, 0, 0, 1, 2, 7, zeroRun - 1, zeroRun, largeCount, 256, 70_000}
	for round := range 1000 {
		counts := make([]uint32, 1+random.IntN(maxTargetBins))
		kinds := 1 + random.IntN(len(values)) // 1 to 3: an empty leaf
		rows := uint32(0)
		for bin := range counts {
			counts[bin] = values[random.IntN(kinds)]
			rows += counts[bin]
		}
		data := appendCounts(nil, counts)
		read := make([]uint32, len(counts))
		size, gotRows, err := readCounts(read, append(data, 1, 2, 3))
		if rows == 0 {
			if err == nil {
				t.Fatalf("round %d: a leaf without rows is accepted", round)
			}
			continue
		}
		if err != nil || size != len(data) || gotRows != rows {
			t.Fatalf("round %d: got %d bytes, %d rows, error %v, want %d bytes and %d rows", round, size, gotRows, err, len(data), rows)
		}
		if !slices.Equal(read, counts) {
			t.Fatalf("round %d: got %v, want %v", round, read, counts)
		}
		planes, n := appendPlanes(nil, counts)
		countsOf(read, planes, n)
		if !slices.Equal(read, counts) {
			t.Fatalf("round %d: %d planes of %v hold %v", round, n, counts, read)
		}
		bins := make([]float64, len(counts))
		addCounts(bins, planes, n, 0.5)
		for bin, got := range bins {
			if want := 0.5 * float64(counts[bin]); got != want {
				t.Fatalf("round %d, bin %d: got %v, want %v", round, bin, got, want)
			}
		}
		for end := range data {
			if _, _, err := readCounts(read, data[:end]); err == nil {
				t.Fatalf("round %d: %d of %d bytes are accepted", round, end, len(data))
			}
		}
	}
}

func TestCountsRefused(t *testing.T) {
	tests := []struct {
		name string
		data []byte
	}{
		{"a run of nothing", []byte{1, 1, 1, zeroRun, 0, 1}},
		{"a run beyond the last bin", []byte{1, 1, 1, zeroRun, 2}},
		{"too many rows", []byte{1, 1, 1, largeCount, 255, 255, 255, 255}},
	}
	for _, test := range tests {
		if _, _, err := readCounts(make([]uint32, 4), test.data); err == nil {
			t.Errorf("%s is accepted", test.name)
		}
	}
}
