package binance

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// writeFile writes a file under folder and returns its path.
func writeFile(t *testing.T, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// zipOf returns a zip of the entries, given as name, content, name, content.
func zipOf(t testing.TB, entries ...string) string {
	t.Helper()
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	for k := 0; k < len(entries); k += 2 {
		entry, err := archive.Create(entries[k])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(entries[k+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return content.String()
}

func checksumOf(content, name string) string {
	return fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(content)), name)
}

func names(files []history.CandleFile, folder string) []string {
	var found []string
	for _, file := range files {
		name, _ := filepath.Rel(folder, file.Name)
		found = append(found, filepath.ToSlash(name)+" "+file.Series.String())
	}
	return found
}

func TestFindArchivesWalksFolders(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{
		"spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-02.zip",
		"spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-02.zip.CHECKSUM",
		"spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-01.zip",
		"spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-03.zip.CHECKSUM",
		"spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2024-01.zip",
		"spot/monthly/klines/BTCUSDT/1s/BTCUSDT-1s-2024-01.zip",
		"spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-01.zip",
		"spot/daily/klines/ETHUSDT/1m/ETHUSDT-1m-2024-01-31.csv",
		"futures/um/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-01.zip",
		"README.md",
		"mine.csv",
	} {
		writeFile(t, folder, name, "")
	}
	if err := os.Symlink("nowhere", filepath.Join(folder, "BTCUSDT-1h-2024-01.zip")); err != nil {
		t.Fatal(err)
	}

	files, ignored, err := FindArchives([]string{folder}, market.Series{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-01.zip BTCUSDT 15m",
		"spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-02.zip BTCUSDT 15m",
		"spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2024-01.zip BTCUSDT 1M",
		"spot/daily/klines/ETHUSDT/1m/ETHUSDT-1m-2024-01-31.csv ETHUSDT 1m",
	}
	if got := names(files, folder); !slices.Equal(got, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for k := range ignored {
		ignored[k], _ = filepath.Rel(folder, ignored[k])
	}
	wantIgnored := []string{
		"BTCUSDT-1h-2024-01.zip",
		"README.md",
		"futures/um",
		"mine.csv",
		"spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2024-03.zip.CHECKSUM",
		"spot/monthly/klines/BTCUSDT/1s/BTCUSDT-1s-2024-01.zip",
		"spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-01.zip",
	}
	if !slices.Equal(ignored, wantIgnored) {
		t.Errorf("ignored\n%s\nwant\n%s", strings.Join(ignored, "\n"), strings.Join(wantIgnored, "\n"))
	}
}

// Futures bear the names of spot candles, and must not overwrite them from
// wherever they are given.
func TestFindArchivesRefusesFutures(t *testing.T) {
	folder := t.TempDir()
	file := writeFile(t, folder, "futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01-01.csv", "")
	for _, path := range []string{file, filepath.Dir(file), filepath.Join(folder, "futures", "um"), filepath.Join(folder, "futures"), folder} {
		if files, _, err := FindArchives([]string{path}, market.Series{}); market.ErrorCode(err) != market.Invalid || len(files) != 0 {
			t.Errorf("%s: %d files, %v", path, len(files), err)
		}
	}
}

func TestFindArchivesTakesPathsInTheirOrderAndOnce(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, folder, "a/BTCUSDT-1h-2024-01.csv", "")
	b := writeFile(t, folder, "b/BTCUSDT-1h-2024-02.csv", "")
	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Join(folder, "a"), link); err != nil {
		t.Fatal(err)
	}
	files, ignored, err := FindArchives([]string{b, folder + "//b", link}, market.Series{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"b/BTCUSDT-1h-2024-02.csv BTCUSDT 1h", "link/BTCUSDT-1h-2024-01.csv BTCUSDT 1h"}
	if got := names(files, folder); !slices.Equal(got, want) || len(ignored) != 0 {
		t.Errorf("files %q, ignored %q; want files %q", got, ignored, want)
	}
}

func TestFindArchivesNeedsASeries(t *testing.T) {
	folder := t.TempDir()
	mine := writeFile(t, folder, "mine.csv", "")
	named := writeFile(t, folder, "BTCUSDT-15m-2024-01.csv", "")
	text := writeFile(t, folder, "notes.txt", "")
	empty := filepath.Join(folder, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		path   string
		series market.Series
		want   string // of the error; empty for none
	}{
		{"given", mine, btc15m, ""},
		{"named", named, market.Series{}, ""},
		{"named and given alike", named, btc15m, ""},
		{"unknown", mine, market.Series{}, "mine.csv does not say what it holds"},
		{"contradiction", named, market.Series{Symbol: "ETHUSDT", Interval: market.Minute15},
			"holds BTCUSDT 15m by its name, not ETHUSDT 15m as given"},
		{"other extension", text, btc15m, "notes.txt is neither a .zip nor a .csv"},
		{"empty folder", empty, btc15m, "no candle file in"},
		{"no such path", filepath.Join(folder, "none"), btc15m, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, _, err := FindArchives([]string{test.path}, test.series)
			switch {
			case test.want == "" && (err != nil || len(files) != 1 || files[0].Series != btc15m):
				t.Errorf("files %v, error %v; want one of %s", files, err, btc15m)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestParseArchiveName(t *testing.T) {
	for name, want := range map[string]string{
		"BTCUSDT-15m-2024-01.zip":       "BTCUSDT 15m 2024-01-01 2024-02-01",
		"BTCUSDT-15m-2024-12-31.csv":    "BTCUSDT 15m 2024-12-31 2025-01-01",
		"btcusdt-1m-2024-02-29.CSV":     "BTCUSDT 1m 2024-02-29 2024-03-01",
		"BTCUSDT-1M-2024-02.zip":        "BTCUSDT 1M 2024-02-01 2024-03-01",
		"BTCUSDT-1mo-2024-02.zip":       "BTCUSDT 1M 2024-02-01 2024-03-01",
		"BTCUSDT-1w-2024-02.zip":        "BTCUSDT 1w 2024-01-29 2024-03-01",
		"1INCHUSDT-1d-2024-02.zip":      "1INCHUSDT 1d 2024-02-01 2024-03-01",
		"BTCUSDT-15m-2023-02-29.zip":    "",
		"BTCUSDT-15m-2024-13.zip":       "",
		"BTCUSDT-15m-2024.zip":          "",
		"BTCUSDT-15m-2024-01.csv.gz":    "",
		"BTCUSDT-15m-2024-01 (1).csv":   "",
		"BTCUSDT-1s-2024-01.zip":        "",
		"BTCUSDT-aggTrades-2024-01.zip": "",
		"BTCUSD_PERP-15m-2024-01.zip":   "",
	} {
		parsed, ok := parseArchiveName("folder/" + name)
		got := ""
		if ok {
			got = fmt.Sprintf("%s %s %s", parsed.series,
				parsed.period.Start.Format("2006-01-02"), parsed.period.End.Format("2006-01-02"))
		}
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

const (
	januaryRows = "1704067200000,10,12,9,11,5,1704068099999,50,3,2,20,0\n" +
		"1704068100000,11,13,10,12,6,1704068999999,,,,,0\n"
	januaryName = "BTCUSDT-15m-2024-01"
)

// readFile finds the file at path and reads it to its end.
func readFile(t *testing.T, path string) ([]market.Candle, []string, error) {
	t.Helper()
	files, _, err := FindArchives([]string{path}, market.Series{})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := files[0].Open(t.Context())
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err := reader.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}()
	return readAll(reader)
}

func TestArchiveOpens(t *testing.T) {
	zipped := zipOf(t, januaryName+".csv", januaryRows)
	for name, content := range map[string]string{".csv": januaryRows, ".zip": zipped} {
		for _, withChecksum := range []bool{false, true} {
			folder := t.TempDir()
			path := writeFile(t, folder, januaryName+name, content)
			if withChecksum {
				writeFile(t, folder, januaryName+name+checksumSuffix, checksumOf(content, januaryName+name))
			}
			files, _, err := FindArchives([]string{path}, market.Series{})
			if err != nil {
				t.Fatal(err)
			}
			if files[0].Bytes != int64(len(content)) {
				t.Errorf("%s: %d bytes, want %d", name, files[0].Bytes, len(content))
			}
			var before []market.Candle
			for range 2 { // it can be opened again
				candles, refused, err := readFile(t, path)
				if err != nil || len(candles) != 2 || len(refused) != 0 {
					t.Fatalf("%s: %d candles, refused %q, error %v", name, len(candles), refused, err)
				}
				if before != nil && !reflect.DeepEqual(before, candles) {
					t.Errorf("%s: %v, then %v", name, before, candles)
				}
				before = candles
			}
		}
	}
}

func TestArchiveDoesNotOpen(t *testing.T) {
	zipped := zipOf(t, januaryName+".csv", januaryRows)
	locked := []byte(zipped)
	locked[bytes.Index(locked, []byte("PK\x01\x02"))+8] |= encrypted
	unknown := []byte(zipped)
	unknown[bytes.Index(unknown, []byte("PK\x01\x02"))+10] = 99
	hash := checksumOf(zipped, "")[:64]
	for _, test := range []struct {
		name, content, checksum, want string
	}{
		{"wrong checksum", zipped, checksumOf("other", januaryName+".zip"), "its sha256 is " + hash},
		{"no checksum in its file", zipped, "404 not found", "holds no sha256"},
		{"checksum cut short", zipped, hash[:62], "holds no sha256"},
		{"empty file", "", "", "damaged"},
		{"no zip", januaryRows, "", "damaged"},
		{"truncated zip", zipped[:len(zipped)-20], "", "damaged"},
		{"unknown compression", string(unknown), "", "damaged"},
		{"nothing inside", zipOf(t), "", "holds nothing"},
		{"no CSV inside", zipOf(t, "a.txt", "x"), "", `holds "a.txt"`},
		{"several CSVs", zipOf(t, "a.csv", januaryRows, "b.csv", januaryRows), "", "holds 2 files"},
		{"another series inside", zipOf(t, "ETHUSDT-1h-2024-01.csv", januaryRows), "", "holds ETHUSDT 1h, not BTCUSDT 15m"},
		{"encrypted", string(locked), "", "encrypted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			path := writeFile(t, folder, januaryName+".zip", test.content)
			if test.checksum != "" {
				writeFile(t, folder, januaryName+".zip"+checksumSuffix, test.checksum)
			}
			_, _, err := readFile(t, path)
			if err == nil || !strings.Contains(err.Error(), test.want) || market.ErrorCode(err) != market.Invalid {
				t.Errorf("error %v (%s), want %q (%s)", err, market.ErrorCode(err), test.want, market.Invalid)
			}
		})
	}
}

// A zip whose data do not match its directory fails before the end of the
// file is reached, so that nothing of it is stored.
func TestArchiveDamagedData(t *testing.T) {
	zipped := []byte(zipOf(t, januaryName+".csv", strings.Repeat(januaryRows, 100)))
	directory := bytes.Index(zipped, []byte("PK\x01\x02"))
	for _, test := range []struct {
		name   string
		damage func([]byte)
	}{
		{"flipped bits", func(b []byte) { b[60] ^= 0xff }},
		{"wrong sum", func(b []byte) { b[directory+16] ^= 0xff }},
	} {
		t.Run(test.name, func(t *testing.T) {
			content := slices.Clone(zipped)
			test.damage(content)
			path := writeFile(t, t.TempDir(), januaryName+".zip", string(content))
			if _, _, err := readFile(t, path); market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("error %v, want damage", err)
			}
		})
	}
}
