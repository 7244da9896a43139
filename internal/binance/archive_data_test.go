package binance

import (
	"archive/zip"
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// dataFolder holds real archives, outside the repository.
const dataFolder = "../../../shared/data"

func realArchives(t testing.TB) []history.CandleFile {
	t.Helper()
	if _, err := os.Stat(dataFolder); err != nil {
		t.Skipf("skipped: no real candles at %s", dataFolder)
	}
	files, _, err := FindArchives([]string{dataFolder}, market.Series{})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRealArchives reads every file to the end, so that no real row is refused,
// and compares what was read with the text.
func TestRealArchives(t *testing.T) {
	bySeries := map[string][]history.CandleFile{}
	for _, file := range realArchives(t) {
		bySeries[file.Series.String()] = append(bySeries[file.Series.String()], file)
	}
	want := map[string]int{
		"BTCUSDT 1m": 260_014, "ETHUSDT 1m": 253_745,
		"BTCUSDT 5m": 433_213, "ETHUSDT 5m": 433_214,
		"BTCUSDT 15m": 87_451, "ETHUSDT 15m": 87_451,
		"BTCUSDT 1h": 65_590, "ETHUSDT 1h": 65_590,
		"BTCUSDT 1d": 2_875, "ETHUSDT 1d": 2_875,
	}
	if len(bySeries) != len(want) {
		t.Errorf("%d series, want %d", len(bySeries), len(want))
	}
	for series, files := range bySeries {
		t.Run(series, func(t *testing.T) {
			t.Parallel()
			var check roundTrip
			rows := 0
			for _, file := range files {
				rows += check.file(t, file)
			}
			if rows != want[series] {
				t.Errorf("%d rows, want %d", rows, want[series])
			}
			t.Logf("%d values of up to 15 digits came back as they were, and %d of %d longer ones; %d are absent",
				check.short, check.longSame, check.long, check.absent)
			if check.short == 0 {
				t.Error("no value was compared")
			}
		})
	}
}

func zipLines(t *testing.T, path string) *bufio.Scanner {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { archive.Close() })
	entry, err := archive.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(entry)
}

// roundTrip compares parsed values, printed as shortest decimals, with the
// text they were parsed from.
type roundTrip struct {
	short, long, longSame, absent int
}

// file reads a file and returns how many rows it has.
func (r *roundTrip) file(t *testing.T, file history.CandleFile) (rows int) {
	t.Helper()
	reader, err := file.Open(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", file.Name, err)
	}
	defer reader.Close()
	for texts := zipLines(t, file.Name); ; rows++ {
		candle, err := reader.Next()
		if more := texts.Scan(); more != (err == nil) || err != nil && err != io.EOF {
			t.Fatalf("%s: row %d is %v, error %v", file.Name, rows+1, candle, err)
		}
		if err == io.EOF {
			return rows
		}
		r.row(t, file, candle, strings.Split(texts.Text(), ","))
	}
}

func (r *roundTrip) row(t *testing.T, file history.CandleFile, candle market.Candle, text []string) {
	t.Helper()
	for _, field := range [...]struct {
		column int
		value  market.Optional[float64]
	}{
		{1, market.Some(candle.Open)}, {2, market.Some(candle.High)}, {3, market.Some(candle.Low)},
		{4, market.Some(candle.Close)}, {5, market.Some(candle.Volume)},
		{7, candle.QuoteVolume}, {9, candle.TakerBuyVolume}, {10, candle.TakerBuyQuoteVolume},
	} {
		column, value := field.column, field.value
		if value.Valid != (text[column] != "") {
			t.Errorf("%s %s: %s is %v for the text %q", file.Name, candle.OpenTime, columns[column], value, text[column])
		}
		if !value.Valid {
			r.absent++
			continue
		}
		want := trimZeros(text[column])
		same := strconv.FormatFloat(value.Value, 'f', -1, 64) == want
		if len(want) > 15 && len(strings.TrimLeft(strings.Replace(want, ".", "", 1), "0")) > 15 {
			r.long++
			if same {
				r.longSame++
			}
			continue
		}
		r.short++
		if !same {
			t.Errorf("%s %s: %s is %v for the text %q", file.Name, candle.OpenTime, columns[column], value.Value, text[column])
		}
	}
	if trades := candle.Trades; trades.Valid != (text[8] != "") || trades.Valid && strconv.FormatInt(trades.Value, 10) != text[8] {
		t.Errorf("%s %s: trades is %v for the text %q", file.Name, candle.OpenTime, trades, text[8])
	}
	stamp := candle.OpenTime.UnixMilli()
	if len(text[0]) == microsecondDigits {
		stamp = candle.OpenTime.UnixMicro()
	}
	if strconv.FormatInt(stamp, 10) != text[0] {
		t.Errorf("%s: open time %s for the text %q", file.Name, candle.OpenTime, text[0])
	}
}

func trimZeros(decimal string) string {
	if strings.Contains(decimal, ".") {
		decimal = strings.TrimRight(strings.TrimRight(decimal, "0"), ".")
	}
	return decimal
}

func BenchmarkRealArchives(b *testing.B) {
	files := realArchives(b)
	rows := 0
	for b.Loop() {
		for _, file := range files {
			if filepath.Base(filepath.Dir(file.Name)) != "15m" {
				continue
			}
			reader, err := file.Open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for {
				if _, err := reader.Next(); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
				rows++
			}
			reader.Close()
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
