package forest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

// smallForest has missing values, empty and large bins, and trees of one leaf.
func smallForest(t testing.TB) *Forest {
	d := newDataset(1, 400, 3, weakOne)
	for i := range 300 {
		d.target[i] = 2
		d.columns[1][i/3] = math.NaN()
	}
	return d.train(t, Settings{Trees: 3, MaxDepth: 3, MinLeafRows: 5, RowShare: 0.8, ColumnShare: 0.7})
}

func mustMarshal(t testing.TB, f *Forest) []byte {
	t.Helper()
	data, err := f.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFileRoundTrip(t *testing.T) {
	d := newDataset(1, 3000, 5, weakSignal)
	settings := DefaultSettings()
	settings.MinLeafRows = 20
	for _, f := range []*Forest{smallForest(t), d.train(t, settings)} {
		data := mustMarshal(t, f)
		var read Forest
		if err := read.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		if again := mustMarshal(t, &read); !bytes.Equal(again, data) {
			t.Error("a forest that was read makes another file")
		}
		clear(data) // it must not be kept
		if !slices.Equal(read.Names(), f.Names()) {
			t.Errorf("the names are %q, want %q", read.Names(), f.Names())
		}
		for i := range 200 {
			row := d.row(i)[:len(f.Names())]
			if i%5 == 0 {
				row[i%len(row)] = math.NaN()
			}
			want, got := f.mustPredict(t, row), read.mustPredict(t, row)
			if got.Mean() != want.Mean() || got.cumulative != want.cumulative || got.Quantile(0.9) != want.Quantile(0.9) {
				t.Fatalf("row %d is predicted differently", i)
			}
		}
	}
}

// The mean of the largest targets may be rounded beyond them.
func TestFileOfTheLargestTargets(t *testing.T) {
	for rows := 1; rows < 50; rows++ {
		d := dataset{[]string{"a"}, [][]float64{make([]float64, rows)}, slices.Repeat([]float64{-maxTarget}, rows)}
		settings := DefaultSettings()
		settings.Trees = 3
		if err := new(Forest).UnmarshalBinary(mustMarshal(t, d.train(t, settings))); err != nil {
			t.Errorf("%d rows: %v", rows, err)
		}
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	data := mustMarshal(t, smallForest(t))
	for i := range data {
		damaged := slices.Clone(data)
		for bit := range 8 {
			damaged[i] = data[i] ^ 1<<bit
			if err := new(Forest).UnmarshalBinary(damaged); err == nil {
				t.Fatalf("a file with bit %d of byte %d flipped is accepted", bit, i)
			}
		}
		if err := new(Forest).UnmarshalBinary(data[:i]); err == nil {
			t.Fatalf("%d of %d bytes are accepted", i, len(data))
		}
	}
	if err := new(Forest).UnmarshalBinary(append(data, 0)); err == nil {
		t.Error("a file with a byte more is accepted")
	}
}

// reseal gives changed content a right checksum.
func reseal(content []byte) []byte {
	return appendChecksum(slices.Clone(content))
}

func TestHostileFileIsRefused(t *testing.T) {
	f := smallForest(t)
	header := appendHeader(nil, f.names, f.grid, 1)
	branch := func(kind byte, feature uint16, threshold float32) []byte {
		data := binary.LittleEndian.AppendUint16([]byte{kind}, feature)
		return binary.LittleEndian.AppendUint32(data, math.Float32bits(threshold))
	}
	leaf := appendFloat64([]byte{leafBranch}, 1)
	leaf = appendCounts(leaf, append(make([]uint32, len(f.grid.lowest)-1), 1))
	nan := appendFloat64([]byte{leafBranch}, math.NaN())
	right := branch(missingRightBranch, 0, 1)
	nested := slices.Concat(bytes.Repeat(right, maxDepth), bytes.Repeat(leaf, maxDepth+1))
	deeper := slices.Concat(bytes.Repeat(right, maxDepth+1), bytes.Repeat(leaf, maxDepth+2))
	descending := targetGrid{lowest: []float64{2, 1}, highest: []float64{2, 1}}
	inverted := targetGrid{lowest: []float64{2}, highest: []float64{1}}
	infinite := targetGrid{lowest: []float64{math.Inf(-1)}, highest: []float64{1}}
	newer := slices.Clone(header)
	newer[len(fileMagic)]++

	tests := []struct {
		name    string
		content []byte
		problem string // none: it is accepted
	}{
		{"one leaf", slices.Concat(header, leaf), ""},
		{"one split", slices.Concat(header, right, leaf, leaf), ""},
		{"the deepest tree", slices.Concat(header, nested), ""},
		{"a deeper tree", slices.Concat(header, deeper), "64 splits deep"},
		{"newer version", slices.Concat(newer, leaf), "format version 2"},
		{"other magic", slices.Concat([]byte("forest"), header[len(fileMagic):], leaf), "no file of a forest"},
		{"nothing but magic", []byte(fileMagic), "too short"},
		{"no tree", appendHeader(nil, f.names, f.grid, 0), "0 trees"},
		{"too many trees", appendHeader(nil, f.names, f.grid, math.MaxUint32), "4294967295 trees"},
		{"fewer trees than it says", slices.Concat(appendHeader(nil, f.names, f.grid, 2), leaf), "too short"},
		{"more trees than it says", slices.Concat(header, leaf, leaf), "follow the last tree"},
		{"half a split", slices.Concat(header, right, leaf), "too short"},
		{"unknown feature", slices.Concat(header, branch(missingLeftBranch, 3, 1), leaf, leaf), "feature 3 of 3"},
		{"threshold NaN", slices.Concat(header, branch(missingLeftBranch, 0, float32(math.NaN())), leaf, leaf), "no number"},
		{"unknown branch", slices.Concat(header, branch(9, 0, 1), leaf, leaf), "kind 9"},
		{"mean NaN", slices.Concat(header, nan, leaf[9:]), "target is NaN"},
		{"leaf without rows", slices.Concat(header, leaf[:9], []byte{zeroRun, byte(len(f.grid.lowest))}), "counts"},
		{"no names", appendHeader(nil, nil, f.grid, 1), "0 columns"},
		{"equal names", appendHeader(nil, []string{"a", "a"}, f.grid, 1), "distinct"},
		{"no target bins", appendHeader(nil, f.names, targetGrid{}, 1), "0 target bins"},
		{"descending target bins", appendHeader(nil, f.names, descending, 1), "out of order"},
		{"inverted target bin", appendHeader(nil, f.names, inverted, 1), "out of order"},
		{"infinite target bin", appendHeader(nil, f.names, infinite, 1), "target is -Inf"},
	}
	for _, test := range tests {
		err := new(Forest).UnmarshalBinary(reseal(test.content))
		switch {
		case test.problem == "" && err != nil:
			t.Errorf("%s: got error %v", test.name, err)
		case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
			t.Errorf("%s: got error %v, want one that says %q", test.name, err, test.problem)
		}
	}
}

func TestRefusedFileLeavesTheForestAlone(t *testing.T) {
	f := smallForest(t)
	before := mustMarshal(t, f)
	if err := f.UnmarshalBinary(before[:len(before)-1]); err == nil {
		t.Fatal("a short file is accepted")
	}
	if !bytes.Equal(mustMarshal(t, f), before) {
		t.Error("a refused file changed the forest")
	}
}

func TestEmptyForestHasNoFile(t *testing.T) {
	if _, err := new(Forest).MarshalBinary(); err == nil {
		t.Error("an empty forest makes a file")
	}
}

// FuzzUnmarshal gives every content a right checksum, so that it is the
// content that must be refused, or make a forest that predicts.
func FuzzUnmarshal(f *testing.F) {
	file := mustMarshal(f, smallForest(f))
	content := file[:len(file)-sha256.Size]
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add([]byte(fileMagic))
	one := targetGrid{lowest: []float64{1}, highest: []float64{1}}
	tiny := append(appendFloat64(append(appendHeader(nil, []string{"a"}, one, 1), leafBranch), 1), 1)
	f.Add(tiny)
	f.Fuzz(func(t *testing.T, content []byte) {
		data := reseal(content)
		var forest Forest
		if err := forest.UnmarshalBinary(data); err != nil {
			return
		}
		if !bytes.Equal(mustMarshal(t, &forest), data) {
			t.Error("the forest makes another file")
		}
		row := make([]float64, len(forest.Names()))
		for _, value := range []float64{0, math.NaN(), -math.MaxFloat64} {
			for i := range row {
				row[i] = value
			}
			predicted := forest.mustPredict(t, row)
			last := math.Inf(-1)
			for _, p := range []float64{0, 0.05, 0.5, 0.95, 1} {
				x := predicted.Quantile(p)
				if !(x >= last) || x > 2*maxTarget {
					t.Errorf("quantile %v is %v after %v", p, x, last)
				}
				last = x
			}
			if above := predicted.Above(0); !(above >= 0 && above <= 1) || !(math.Abs(predicted.Mean()) <= 2*maxTarget) {
				t.Errorf("the probability above 0 is %v, the mean %v", above, predicted.Mean())
			}
		}
	})
}
