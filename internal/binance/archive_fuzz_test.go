package binance

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// FuzzReader asserts of any bytes whatever: the reader ends, refuses every line
// at most once, and lets only valid candles pass, in strict order and within
// the period.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		januaryRows,
		"\ufeffopen_time,open,high,low,close,volume\r\n" + plainRow("1704067200000") + "\r\n\r\n",
		plainRow("1704068100000") + "\n" + plainRow("1704067200000000") + "\n" + plainRow("1704067200000"),
		"1704067200000,1e308,0x1p4,NaN,-Inf,1_0\n",
		"1704067200000,10,12,9,11,5,1704067214838,,,,,\n\"quoted\",\n",
		strings.Repeat("7", maxLine+1),
	} {
		f.Add([]byte(seed), "15m")
		f.Add([]byte(seed), "1M")
	}
	f.Fuzz(func(t *testing.T, content []byte, intervalName string) {
		interval, err := market.ParseInterval(intervalName)
		if err != nil {
			return
		}
		name := january(market.Series{Symbol: "BTCUSDT", Interval: interval})
		checkReading(t, newArchiveReader(bytes.NewReader(content), name), name, bytes.Count(content, []byte("\n"))+1)
	})
}

// FuzzZip asserts that no bytes make the zip reader panic, and of what it
// opens the same as FuzzReader.
func FuzzZip(f *testing.F) {
	whole := zipOf(f, januaryName+".csv", januaryRows)
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)-10]))
	f.Add([]byte(zipOf(f)))
	f.Add([]byte(zipOf(f, "a.csv", "x", "b.csv", "y")))
	f.Add([]byte(zipOf(f, "a.csv", strings.Repeat("\n", 1<<16))))
	f.Fuzz(func(t *testing.T, content []byte) {
		name := january(btc15m)
		rows, err := openZip(bytes.NewReader(content), int64(len(content)), name)
		if err != nil {
			return
		}
		defer rows.Close()
		// A few bytes may inflate to a thousand times as many.
		const bound = 4 << 20
		checkReading(t, newArchiveReader(io.LimitReader(rows, bound), name), name, bound)
	})
}

func checkReading(t *testing.T, reader *archiveReader, name archiveName, lines int) {
	t.Helper()
	var last market.Candle
	var direction, line int
	for range lines + 1 {
		candle, err := reader.Next()
		row, refused := errors.AsType[*history.RowError](err)
		switch {
		case refused:
			if row.Line <= line || row.Reason == "" || len(row.Reason) > 400 {
				t.Fatalf("after line %d: %q", line, row)
			}
			line = row.Line
			continue
		case err != nil:
			return
		}
		line = reader.line
		if err := candle.Validate(); err != nil {
			t.Fatalf("line %d: %v", line, err)
		}
		if !name.period.Contains(candle.OpenTime) || candle.OpenTime.Location() != time.UTC ||
			candle.Source != name.series.Interval || candle.Parts != 1 {
			t.Fatalf("line %d: %+v", line, candle)
		}
		if last.Parts > 0 {
			compared := candle.OpenTime.Compare(last.OpenTime)
			if compared == 0 || direction != 0 && compared != direction {
				t.Fatalf("line %d opens at %s, after %s", line, candle.OpenTime, last.OpenTime)
			}
			direction = compared
		}
		last = candle
	}
	t.Fatalf("more rows than the %d lines", lines)
}
