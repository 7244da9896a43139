package forecast

import (
	"archive/zip"
	"encoding/csv"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// archives holds real candles in the exchange's archive files, outside the
// repository.
const archives = "../../../shared/data/spot/monthly/klines"

// realCandles reads the candles of the months whose name matches the pattern,
// such as "202[34]-*", or skips the test where there are none. The domain may not
// import the adapter that reads archives for the service.
func realCandles(t testing.TB, series market.Series, months string) []market.Candle {
	t.Helper()
	name := string(series.Symbol) + "-" + string(series.Interval) + "-" + months + ".zip"
	files, err := filepath.Glob(filepath.Join(archives, string(series.Symbol), string(series.Interval), name))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("skipped: no real candles of %s at %s", series, archives)
	}
	var candles []market.Candle
	for _, file := range files {
		content, err := readZipped(file)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, fields := range content {
			candles = append(candles, realCandle(t, series.Interval, fields))
		}
	}
	return candles
}

func readZipped(path string) (rows [][]string, err error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	for _, file := range archive.File {
		content, err := file.Open()
		if err != nil {
			return nil, err
		}
		more, err := csv.NewReader(content).ReadAll()
		if err := errors.Join(err, content.Close()); err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	if len(rows) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return rows, nil
}

func realCandle(t testing.TB, interval market.Interval, fields []string) market.Candle {
	t.Helper()
	number := func(field string) float64 {
		value, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatalf("row %v: %v", fields, err)
		}
		return value
	}
	open := time.UnixMilli(int64(number(fields[0]))).UTC()
	if open.Year() > 9999 { // archives from 2025 on count microseconds
		open = time.UnixMicro(int64(number(fields[0]))).UTC()
	}
	c := market.Candle{
		OpenTime: open, Source: interval, Parts: 1,
		Open: number(fields[1]), High: number(fields[2]), Low: number(fields[3]), Close: number(fields[4]),
		Volume: number(fields[5]),
	}
	if fields[9] != "" {
		c.TakerBuyVolume = market.Some(number(fields[9]))
	}
	return c
}
