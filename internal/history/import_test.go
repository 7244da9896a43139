package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// importAll imports within a bubble, which fails the test if a goroutine is
// left behind or all of them wait for each other.
func importAll(
	t *testing.T, writer CandleWriter, workers int, files ...CandleFile,
) (reports map[string]FileReport, summary Summary, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reports, summary, err = importWith(t.Context(), t, writer, workers, files...)
	})
	return reports, summary, err
}

func importWith(
	ctx context.Context, t *testing.T, writer CandleWriter, workers int, files ...CandleFile,
) (map[string]FileReport, Summary, error) {
	t.Helper()
	reports := map[string]FileReport{}
	summary, err := Import(ctx, files, writer, workers, func(file FileReport) { reports[file.Name] = file })
	if len(reports) != summary.Files || summary.Files+summary.Unfinished != len(files) {
		t.Errorf("%d reports of %d files, summary %+v", len(reports), len(files), summary)
	}
	return reports, summary, err
}

func TestImportStoresFiles(t *testing.T) {
	store := newMemory()
	files := []CandleFile{
		fileOf("a", bitcoin, candles(0, 4, 10)...),
		fileOf("b", ether, candles(0, 3, 20)...),
		fileOf("c", bitcoin, candles(4, 2, 10)...),
	}
	reports, summary, err := importAll(t, store, 2, files...)
	if err != nil {
		t.Fatal(err)
	}
	if a := reports["a"]; a.Err != nil || a.Series != bitcoin || a.Bytes != 4 || a.Rows != 4 || a.New != 4 {
		t.Errorf("report of a: %+v", a)
	}
	summary.Duration = 0
	if want := (Summary{Files: 3, Bytes: 9, Rows: 9, New: 9}); summary != want {
		t.Errorf("summary %+v, want %+v", summary, want)
	}
	if stored, stale := store.count(); stored != 9 || stale != 0 {
		t.Errorf("%d candles, %d stale days; want 9 and none", stored, stale)
	}

	files[1] = fileOf("b", ether, append(candles(0, 2, 20), candles(2, 2, 21)...)...)
	reports, summary, err = importAll(t, store, 2, files...)
	if b := reports["b"]; err != nil || b.New != 1 || b.Unchanged != 2 || b.Corrected != 1 {
		t.Errorf("report of the corrected file: %+v, error %v", b, err)
	}
	if summary.New != 1 || summary.Unchanged != 8 || summary.Corrected != 1 {
		t.Errorf("summary of the second import: %+v", summary)
	}
}

func TestImportTakesNewestFirst(t *testing.T) {
	rows := candles(0, 5, 10)
	slices.Reverse(rows)
	store := newMemory()
	reports, _, err := importAll(t, store, 1, fileOf("a", bitcoin, rows...))
	if err != nil || reports["a"].New != 5 {
		t.Errorf("report %+v, error %v", reports["a"], err)
	}
	if _, stale := store.count(); stale != 0 {
		t.Errorf("%d stale days", stale)
	}
}

func TestImportRefusesTheWholeFile(t *testing.T) {
	store := newMemory()
	rows := candles(0, 3, 10)
	for line := 4; line < 4+maxListed+5; line++ {
		rows = append(rows, &RowError{Line: line, Reason: "is bad"})
	}
	rows = append(rows, candles(3, 2, 10)...)
	reports, summary, err := importAll(t, store, 1,
		fileOf("bad", bitcoin, rows...), fileOf("good", bitcoin, candles(9, 2, 10)...))
	if err != nil {
		t.Fatal(err)
	}
	bad := reports["bad"]
	if bad.Rows != 30 || bad.RefusedRows != 25 || len(bad.Refused) != maxListed || bad.New != 0 {
		t.Errorf("report %+v", bad)
	}
	if first, last := bad.Refused[0].Error(), bad.Refused[19].Line; first != "line 4: is bad" || last != 23 {
		t.Errorf("listed from %q to line %d", first, last)
	}
	if want := "25 of 30 rows are refused"; bad.Err == nil || !strings.Contains(bad.Err.Error(), want) || market.ErrorCode(bad.Err) != market.Invalid {
		t.Errorf("error %v, want %q", bad.Err, want)
	}
	if summary.Failed != 1 || summary.RefusedRows != 25 || summary.New != 2 {
		t.Errorf("summary %+v", summary)
	}
	if stored, _ := store.count(); stored != 2 {
		t.Errorf("%d candles stored, want the 2 of the good file", stored)
	}
	if store.received != 3+2 {
		t.Errorf("the writer read %d candles, want the 3 before the first refused row and 2", store.received)
	}
}

func TestImportGoesOnAfterAnUnreadableFile(t *testing.T) {
	broken := errors.New("the file is broken")
	unopened := fileOf("unopened", bitcoin)
	unopened.Open = func(context.Context) (CandleReader, error) { return nil, broken }
	store := newMemory()
	reports, summary, err := importAll(t, store, 1,
		unopened,
		fileOf("torn", bitcoin, append(candles(0, 3, 10), broken)...),
		fileOf("torn after a refused row", bitcoin, &RowError{Line: 1, Reason: "is bad"}, broken),
		fileOf("empty", bitcoin),
		fileOf("good", bitcoin, candles(0, 2, 10)...))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"unopened", "torn", "torn after a refused row"} {
		if got := reports[name].Err; !errors.Is(got, broken) {
			t.Errorf("%s: error %v, want %v", name, got, broken)
		}
	}
	if report := reports["torn after a refused row"]; report.RefusedRows != 1 || len(report.Refused) != 1 {
		t.Errorf("report %+v, want the refused row too", report)
	}
	if empty := reports["empty"].Err; market.ErrorCode(empty) != market.Invalid {
		t.Errorf("empty file: error %v", empty)
	}
	if summary.Failed != 4 || summary.New != 2 {
		t.Errorf("summary %+v", summary)
	}
	if stored, _ := store.count(); stored != 2 {
		t.Errorf("%d candles stored, want 2", stored)
	}
}

func TestImportStopsWhenTheWriterFails(t *testing.T) {
	down := errors.New("the database is down")
	fail := func(market.Series) error { return down }
	files := []CandleFile{
		fileOf("a", bitcoin, candles(0, 3, 10)...), fileOf("b", bitcoin, candles(3, 3, 10)...),
		fileOf("c", ether, candles(3, 3, 10)...),
	}
	t.Run("writing", func(t *testing.T) {
		store := newMemory()
		store.commit = fail
		reports, summary, err := importAll(t, store, 1, files...)
		if !errors.Is(err, down) || !strings.Contains(err.Error(), "storing a") {
			t.Errorf("error %v", err)
		}
		if len(reports) != 0 || summary.Failed != 0 || summary.Unfinished != 3 {
			t.Errorf("reports %+v, summary %+v", reports, summary)
		}
		if stored, _ := store.count(); stored != 0 {
			t.Errorf("%d candles stored, want none", stored)
		}
	})
	t.Run("refreshing", func(t *testing.T) {
		store := newMemory()
		store.refresh = fail
		reports, summary, err := importAll(t, store, 1, files...)
		if !errors.Is(err, down) || !strings.Contains(err.Error(), "roll-ups of a, which is stored") {
			t.Errorf("error %v", err)
		}
		if reports["a"].Err != nil || reports["a"].New != 3 || summary.Unfinished != 2 {
			t.Errorf("reports %+v, summary %+v; want that a is stored", reports, summary)
		}
		store.refresh = nil
		if _, _, err := importAll(t, store, 1, files...); err != nil {
			t.Fatal(err)
		}
		if stored, stale := store.count(); stored != 9 || stale != 0 {
			t.Errorf("%d candles, %d stale days after another import; want 9 and none", stored, stale)
		}
	})
}

func TestImportReportsTheLastAttempt(t *testing.T) {
	store := newMemory()
	store.restarts = 2
	reports, _, err := importAll(t, store, 1,
		fileOf("good", bitcoin, candles(0, 3, 10)...),
		fileOf("bad", bitcoin, append([]any{&RowError{Line: 1, Reason: "is bad"}}, candles(0, 3, 10)...)...))
	if err != nil {
		t.Fatal(err)
	}
	if good := reports["good"]; good.Rows != 3 || good.New != 3 || good.Err != nil {
		t.Errorf("report %+v", good)
	}
	if bad := reports["bad"]; bad.Rows != 4 || bad.RefusedRows != 1 || len(bad.Refused) != 1 {
		t.Errorf("report %+v", bad)
	}
}

func TestImportStopsWithItsContext(t *testing.T) {
	for name, last := range map[string]any{
		"reading":             candleAt(3, 10),
		"after a refused row": &RowError{Line: 4, Reason: "is bad"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			store := newMemory()
			cut := append(candles(0, 3, 10), last, func() { cancel() }, candleAt(4, 10))
			reports, summary, err := importWith(ctx, t, store, 1,
				fileOf("before", bitcoin, candles(9, 1, 10)...), fileOf("cut", bitcoin, cut...),
				fileOf("after", bitcoin, candles(8, 1, 10)...))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error %v, want %v", name, err, context.Canceled)
			}
			if len(reports) != 1 || summary.Unfinished != 2 || summary.Failed != 0 {
				t.Errorf("%s: reports %+v, summary %+v", name, reports, summary)
			}
			if stored, _ := store.count(); stored != 1 {
				t.Errorf("%s: %d candles stored, want 1", name, stored)
			}
		})
	}
}

func TestImportWorksOnSeveralSeriesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var met sync.WaitGroup
		met.Add(2)
		meet := func() { met.Done(); met.Wait() }
		_, summary, err := importWith(t.Context(), t, newMemory(), 2,
			fileOf("a", bitcoin, meet, candleAt(0, 10)), fileOf("b", ether, meet, candleAt(0, 10)))
		if err != nil || summary.New != 2 {
			t.Errorf("summary %+v, error %v", summary, err)
		}
	})
}

func TestImportLetsTheLastFileOfASeriesHaveTheSay(t *testing.T) {
	var files []CandleFile
	for k := range 50 {
		files = append(files, fileOf(fmt.Sprint(k), bitcoin, candles(0, 2, float64(1+k))...))
	}
	store := newMemory()
	if _, _, err := importAll(t, store, 8, files...); err != nil {
		t.Fatal(err)
	}
	if got, want := store.candles[bitcoin][candleAt(0, 0).OpenTime], candleAt(0, 50); got != want {
		t.Errorf("stored %+v, want %+v", got, want)
	}
}
