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
	files := realArchives(t)
	want := map[string]int{
		"BTCUSDT 1m": 260_014, "ETHUSDT 1m": 253_745,
		"BTCUSDT 5m": 433_213, "ETHUSDT 5m": 433_214,
		"BTCUSDT 15m": 87_451, "ETHUSDT 15m": 87_451,
		"BTCUSDT 1h": 65_590, "ETHUSDT 1h": 65_590,
		"BTCUSDT 1d": 2_875, "ETHUSDT 1d": 2_875,
	}
	rows := map[string]int{}
	var check roundTrip
	for _, file := range files {
		reader, err := file.Open(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", file.Name, err)
		}
		texts := zipLines(t, file.Name)
		for {
			candle, err := reader.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file.Name, err)
			}
			if !texts.Scan() {
				t.Fatalf("%s: more candles than lines", file.Name)
			}
			rows[file.Series.String()]++
			check.row(t, file, candle, strings.Split(texts.Text(), ","))
		}
		if texts.Scan() {
			t.Errorf("%s: more lines than candles", file.Name)
		}
		if err := reader.Close(); err != nil {
			t.Errorf("%s: %v", file.Name, err)
		}
	}
	for series, count := range want {
		if rows[series] != count {
			t.Errorf("%s: %d rows, want %d", series, rows[series], count)
		}
	}
	if len(rows) != len(want) {
		t.Errorf("series %v, want %d of them", rows, len(want))
	}
	t.Logf("%d values of up to 15 digits came back as they were, and %d of %d longer ones", check.short, check.longSame, check.long)
	if check.short == 0 || check.absent == 0 {
		t.Errorf("compared %d values and %d absent ones: the test has lost its subject", check.short, check.absent)
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

func (r *roundTrip) row(t *testing.T, file history.CandleFile, candle market.Candle, text []string) {
	t.Helper()
	for column, value := range map[int]market.Optional[float64]{
		1: market.Some(candle.Open), 2: market.Some(candle.High), 3: market.Some(candle.Low),
		4: market.Some(candle.Close), 5: market.Some(candle.Volume),
		7: candle.QuoteVolume, 9: candle.TakerBuyVolume, 10: candle.TakerBuyQuoteVolume,
	} {
		if value.Valid != (text[column] != "") {
			t.Errorf("%s %s: %s is %v for the text %q", file.Name, candle.OpenTime, columns[column], value, text[column])
		}
		if !value.Valid {
			r.absent++
			continue
		}
		want := trimZeros(text[column])
		same := trimZeros(strconv.FormatFloat(value.Value, 'f', -1, 64)) == want
		if digits := len(strings.TrimLeft(strings.ReplaceAll(want, ".", ""), "0")); digits > 15 {
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
