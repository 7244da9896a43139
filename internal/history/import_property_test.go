package history

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var errKilled = errors.New("the process was killed")

// TestImportEndsInOneState kills imports before or after any commit or refresh,
// from where on nothing they do has an effect, runs them again, and compares
// what is stored in the end with what one undisturbed import stores.
func TestImportEndsInOneState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := rapid.SliceOfN(rapid.Custom(drawFile), 1, 8).Draw(t, "files")
		imported := func(store *memory, workers, steps int) error {
			var left atomic.Int64
			left.Store(int64(steps))
			step := func(market.Series) error {
				if left.Add(-1) < 0 {
					return errKilled
				}
				return nil
			}
			store.commit, store.committed, store.refresh = step, step, step
			_, err := Import(t.Context(), files, store, workers, func(FileReport) {})
			return err
		}

		const unlimited = 1 << 30
		want := newMemory()
		if err := imported(want, 1, unlimited); err != nil {
			t.Fatal(err)
		}
		got := newMemory()
		for _, steps := range rapid.SliceOfN(rapid.IntRange(0, 20), 0, 5).Draw(t, "steps until killed") {
			err := imported(got, rapid.IntRange(1, 3).Draw(t, "workers"), steps)
			if err != nil && !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
		}
		if err := imported(got, rapid.IntRange(1, 3).Draw(t, "last workers"), unlimited); err != nil {
			t.Fatal(err)
		}
		for series := range want.candles {
			if !maps.Equal(got.candles[series], want.candles[series]) {
				t.Errorf("%s: stored %v, want %v", series, got.candles[series], want.candles[series])
			}
		}
		if len(got.candles) != len(want.candles) {
			t.Errorf("%d series stored, want %d", len(got.candles), len(want.candles))
		}
		if _, stale := got.count(); stale != 0 {
			t.Errorf("roll-ups of %d days are stale", stale)
		}
	})
}

// drawFile draws a file that overlaps others, contradicts them, runs backwards
// or cannot be stored.
func drawFile(t *rapid.T) CandleFile {
	rows := candles(rapid.IntRange(0, 200).Draw(t, "first"), rapid.IntRange(1, 6).Draw(t, "count"),
		float64(rapid.IntRange(1, 3).Draw(t, "price")))
	if rapid.Bool().Draw(t, "newest first") {
		slices.Reverse(rows)
	}
	switch rapid.IntRange(0, 5).Draw(t, "flaw") {
	case 0:
		rows = append(rows, &RowError{Line: len(rows) + 1, Reason: "is bad"})
	case 1:
		rows = append(rows, io.ErrUnexpectedEOF)
	}
	series := rapid.SampledFrom([]market.Series{bitcoin, ether}).Draw(t, "series")
	return fileOf(fmt.Sprint(series, rows), series, rows...)
}
