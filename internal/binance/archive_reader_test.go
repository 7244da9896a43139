package binance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

var btc15m = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}

// readAll reads to the end and returns the refused rows as text. The error is
// nil where the end was reached.
func readAll(reader history.CandleReader) (candles []market.Candle, refused []string, err error) {
	for {
		candle, err := reader.Next()
		row, isRow := errors.AsType[*history.RowError](err)
		switch {
		case err == io.EOF:
			return candles, refused, nil
		case isRow:
			refused = append(refused, row.Error())
		case err != nil:
			return candles, refused, err
		default:
			candles = append(candles, candle)
		}
	}
}

func january(series market.Series) archiveName {
	return archiveName{series: series, period: market.TimeRange{
		Start: time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC),
		End:   time.Date(2024, time.February, 1, 0, 0, 0, 0, time.UTC),
	}}
}

func plainRow(open string) string { return open + ",10,12,9,11,5" }

func TestReaderAcceptsFormsOfAFile(t *testing.T) {
	const first, second = "1704067200000", "1704068100000"
	a, b := plainRow(first), plainRow(second)
	klineHeader := "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
	kline := first + ",10,12,9,11,5,1704068099999,50,3,2,20,0"
	for name, text := range map[string]string{
		"plain":                 a + "\n" + b + "\n",
		"newest first":          b + "\n" + a + "\n",
		"no end of line":        a + "\n" + b,
		"CRLF":                  a + "\r\n" + b + "\r\n",
		"BOM":                   "\ufeff" + a + "\n" + b,
		"blank lines at end":    a + "\n" + b + "\n\n\r\n\n",
		"header":                "open_time,open,high,low,close,volume\n" + a + "\n" + b,
		"header, BOM and CRLF":  "\ufeffOpen time,Open,High,Low,Close,Volume\r\n" + a + "\r\n" + b + "\r\n",
		"kline header":          klineHeader + "\n" + kline + "\n" + second + ",10,12,9,11,5,1704068999999,50,3,2,20,0",
		"microseconds":          plainRow(first+"000") + "\n" + plainRow(second+"000"),
		"both units":            a + "\n" + plainRow(second+"000"),
		"microsecond klines":    kline + "\n" + second + "000,10,12,9,11,5,1704068999999999,,,,,0",
		"off the grid":          a + "\n" + plainRow("1704067214838"),
		"closed early":          first + ",10,12,9,11,5,1704067214838,50,3,2,20,0\n" + second + ",10,12,9,11,5,1704068100000,,,,,",
		"a hole":                a + "\n" + plainRow("1706744700000"),
		"numbers in other form": first + ",1e1,1.2E+1,+9,11.000,.5\n" + b,
	} {
		t.Run(name, func(t *testing.T) {
			candles, refused, err := readAll(newArchiveReader(strings.NewReader(text), january(btc15m)))
			if err != nil || len(refused) != 0 || len(candles) != 2 {
				t.Errorf("%d candles, refused %q, error %v", len(candles), refused, err)
			}
		})
	}
}

func TestReaderValues(t *testing.T) {
	text := "1704067200000,10.1,12.2,9.3,11.4,5.5,1704068099999,50.6,3,2.7,20.8,0\n" +
		"1704068100000123,10,12,9,11,0,1704068999999999,,,,,0\n"
	candles, refused, err := readAll(newArchiveReader(strings.NewReader(text), january(btc15m)))
	if err != nil || len(refused) != 0 {
		t.Fatalf("refused %q, error %v", refused, err)
	}
	want := []market.Candle{
		{
			OpenTime: time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC),
			Open:     10.1, High: 12.2, Low: 9.3, Close: 11.4, Volume: 5.5,
			QuoteVolume: market.Some(50.6), Trades: market.Some(int64(3)),
			TakerBuyVolume: market.Some(2.7), TakerBuyQuoteVolume: market.Some(20.8),
			Source: market.Minute15, Parts: 1,
		},
		{
			OpenTime: time.Date(2024, time.January, 1, 0, 15, 0, 123_000, time.UTC),
			Open:     10, High: 12, Low: 9, Close: 11,
			Source: market.Minute15, Parts: 1,
		},
	}
	if !slices.Equal(candles, want) {
		t.Errorf("candles\n%+v\nwant\n%+v", candles, want)
	}
}

func TestReaderRefusesRows(t *testing.T) {
	const first, second, third = "1704067200000", "1704068100000", "1704069000000"
	kline := func(tail string) string { return first + ",10,12,9,11,5," + tail }
	for _, test := range []struct {
		name string
		text string
		want []string // each refused row must contain its text
	}{
		{"empty field", first + ",,12,9,11,5", []string{`line 1: open "" is not a decimal number`}},
		{"text", first + ",10,12,9,abc,5", []string{`line 1: close "abc" is not a decimal number`}},
		{"NaN", first + ",10,12,9,NaN,5", []string{`close "NaN" is not a decimal number`}},
		{"infinity", first + ",10,+Inf,9,11,5", []string{`high "+Inf" is not a decimal number`}},
		{"hexadecimal", first + ",0x1p4,20,9,11,5", []string{`open "0x1p4" is not a decimal number`}},
		{"underscore", first + ",1_0,12,9,11,5", []string{`open "1_0" is not a decimal number`}},
		{"too large", first + ",10,1e999,9,11,5", []string{`high "1e999" is not a decimal number within the range`}},
		{"blank before a number", first + ", 10,12,9,11,5", []string{`open " 10" is not`}},
		{"quotes", `"` + first + `","10","12","9","11","5"`, []string{`open time "\"1704067200000\"" is neither`}},
		{"long text", first + ",10,12,9," + strings.Repeat("x", 100) + ",5", []string{`close "` + strings.Repeat("x", 40) + `"… is not`}},
		{"control characters", first + ",10,12,9,\x1b[31m,5", []string{`close "\x1b[31m" is not`}},
		{"negative price", first + ",10,12,-9,11,5", []string{"low is -9"}},
		{"high below low", first + ",10,8,9,11,5", []string{"high 8 is below"}},
		{"negative volume", first + ",10,12,9,11,-5", []string{"volume is -5"}},
		{"seconds", plainRow("1704067200"), []string{`"1704067200" is neither milliseconds (13 digits) nor microseconds (16 digits)`}},
		{"nanoseconds", plainRow("1704067200000000000"), []string{"is neither"}},
		{"date", plainRow("2024-01-01 00"), []string{`"2024-01-01 00" is neither`}},
		{"padded time", plainRow("0004067200000"), []string{"is neither"}},
		{"signed time", plainRow("-704067200000"), []string{"is neither"}},
		{"too few columns", first + ",10,12,9,11", []string{"has 5 columns: expected 6 (open time, open, high, low, close, volume) or Binance's 12"}},
		{"semicolons", strings.ReplaceAll(plainRow(first), ",", ";"), []string{"has 1 columns"}},
		{"cut short", kline("1704068099999,50,3,2,20,0") + "\n" + second + ",10,12", []string{"line 2: has 3 columns, the rows before it have 12"}},
		{"other columns", plainRow(first) + "\n" + second + ",10,12,9,11,5,1704068999999,50,3,2,20,0", []string{"line 2: has 12 columns, the rows before it have 6"}},
		{"close beyond the end", kline("1704068100000,50,3,2,20,0"), []string{"close time 2024-01-01T00:15:00Z does not fit a candle of 15m that opens at 2024-01-01T00:00:00Z"}},
		{"close before open", kline("1704067199999,50,3,2,20,0"), []string{"does not fit"}},
		{"close time text", kline("x,50,3,2,20,0"), []string{`close time "x" is neither`}},
		{"fractional trades", kline("1704068099999,50,3.5,2,20,0"), []string{`trades "3.5" is not a whole number`}},
		{"negative trades", kline("1704068099999,50,-3,2,20,0"), []string{"trades is -3"}},
		{"quote volume text", kline("1704068099999,x,3,2,20,0"), []string{`quote volume "x" is not`}},
		{"taker buy volume text", kline("1704068099999,50,3,x,20,0"), []string{`taker buy volume "x" is not`}},
		{"taker buy quote volume text", kline("1704068099999,50,3,2,x,0"), []string{`taker buy quote volume "x" is not`}},
		{"before the month", plainRow("1704066300000"), []string{"opens at 2023-12-31T23:45:00Z, outside the period of the file's name"}},
		{"after the month", plainRow("1706745600000"), []string{"opens at 2024-02-01T00:00:00Z, outside"}},
		{"duplicate", plainRow(first) + "\n" + plainRow(second) + "\n" + plainRow(second), []string{"line 3: repeats the open time of line 2"}},
		{"duplicate across a refused row", plainRow(first) + "\nx\n" + plainRow(first), []string{"line 2: has 1 columns", "line 3: repeats the open time of line 1"}},
		{"disorder", plainRow(first) + "\n" + plainRow(third) + "\n" + plainRow(second),
			[]string{"line 3: opens at 2024-01-01T00:15:00Z, line 2 at 2024-01-01T00:30:00Z: sort the rows"}},
		{"disorder, newest first", plainRow(third) + "\n" + plainRow(first) + "\n" + plainRow(second), []string{"line 3: opens at"}},
		{"finer candles", plainRow(first) + "\n" + plainRow("1704067500000") + "\n" + plainRow("1704067800000"),
			[]string{"line 3: opens 5m from line 2, as that one from the row before: candles of a file of 15m do not"}},
		{"finer candles, newest first", plainRow("1704067800000") + "\n" + plainRow("1704067500000") + "\n" + plainRow(first),
			[]string{"line 3: opens 5m from line 2"}},
		{"one candle off the grid, behind an outage", plainRow(first) + "\n" + plainRow("1704067800000") + "\n" + plainRow(second), nil},
		{"blank line between", plainRow(first) + "\n\n\n" + plainRow(second), []string{"line 4: comes after the blank line 2"}},
		{"wrong header", "open_time,open,close,low,high,volume\n" + plainRow(first), []string{`line 1: the header names column 3 "close" where high is expected`}},
		{"unknown header", "date,open,high,low,close,volume\n" + plainRow(first), []string{`line 1: open time "date" is neither`}},
		{"header in between", plainRow(first) + "\nopen_time,open,high,low,close,volume", []string{`line 2: open time "open_time" is neither`}},
		{"trailing garbage", plainRow(first) + "\n<html>", []string{"line 2: has 1 columns"}},
		{"zero bytes", plainRow(first) + "\n\x00\x00\x00", []string{"line 2: has 1 columns"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, refused, err := readAll(newArchiveReader(strings.NewReader(test.text), january(btc15m)))
			if err != nil {
				t.Fatal(err)
			}
			if len(refused) != len(test.want) {
				t.Fatalf("refused %q, want %q", refused, test.want)
			}
			for k, want := range test.want {
				if !strings.Contains(refused[k], want) {
					t.Errorf("refused with %q, want %q", refused[k], want)
				}
			}
		})
	}
}

func TestReaderGoesOnAfterARefusedRow(t *testing.T) {
	text := plainRow("1704067200000") + "\nx,y\n" + plainRow("1704068100000") + "\n1704069000000,a,b,c,d,e\n" + plainRow("1704069900000")
	candles, refused, err := readAll(newArchiveReader(strings.NewReader(text), january(btc15m)))
	if err != nil || len(candles) != 3 || len(refused) != 2 {
		t.Errorf("%d candles, refused %q, error %v; want 3 candles and 2 refused rows", len(candles), refused, err)
	}
}

func TestReaderTakesLongCandlesThatReachIntoTheMonth(t *testing.T) {
	name, _ := parseArchiveName("BTCUSDT-1w-2024-02.csv")
	text := plainRow("1706486400000") + "\n" + plainRow("1707091200000") // 29 January and 5 February
	candles, refused, err := readAll(newArchiveReader(strings.NewReader(text), name))
	if err != nil || len(candles) != 2 || len(refused) != 0 {
		t.Errorf("%d candles, refused %q, error %v", len(candles), refused, err)
	}
}

// endless is a reader of one byte repeated, up to a limit that no test reaches.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for k := range p {
		p[k] = byte(e)
	}
	return len(p), nil
}

func TestReaderEndsAtAnOverlongLine(t *testing.T) {
	const tenGigabytes = 10 << 30
	row := plainRow("1704067200000") + "\n"
	source := io.MultiReader(strings.NewReader(row), io.LimitReader(endless('7'), tenGigabytes))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	candles, _, err := readAll(newArchiveReader(source, january(btc15m)))
	runtime.ReadMemStats(&after)
	if len(candles) != 1 || market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), "line 2 is longer than 4096 bytes") {
		t.Errorf("%d candles, error %v", len(candles), err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("allocated %d bytes", took)
	}
}

func TestReaderBoundsALineThatEnds(t *testing.T) {
	for _, length := range []int{maxLine, maxLine + 1} {
		line := strings.Repeat("7", length-1) + "\n"
		_, refused, err := readAll(newArchiveReader(strings.NewReader(line), january(btc15m)))
		if tooLong := length > maxLine; tooLong != (err != nil) || tooLong == (len(refused) == 1) {
			t.Errorf("a line of %d bytes: refused %d, error %v", length, len(refused), err)
		}
	}
}

func TestReaderStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := writeFile(t, t.TempDir(), januaryName+".csv", strings.Repeat("x\n", 1<<20))
	files, _, err := FindArchives([]string{path}, market.Series{})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := files[0].Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Next(); err == nil {
		t.Fatal("the row was not refused")
	}
	cancel()
	if _, _, err := readAll(reader); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestReaderReportsAFailingDisk(t *testing.T) {
	broken := errors.New("the disk is gone")
	source := io.MultiReader(strings.NewReader(plainRow("1704067200000")+"\n"+"17040"), failing{broken})
	candles, _, err := readAll(newArchiveReader(source, january(btc15m)))
	if len(candles) != 1 || !errors.Is(err, broken) {
		t.Errorf("%d candles, error %v", len(candles), err)
	}
	if want := fmt.Sprintf("reading after line 1: %v", broken); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnOpenCandleIsRefused(t *testing.T) {
	name := archiveName{series: market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}}
	reader := newArchiveReader(strings.NewReader(plainRow("1704067200000")+"\n"+plainRow("1704068100000")+"\n"), name)
	reader.now = time.Date(2024, time.January, 1, 0, 29, 59, 0, time.UTC)
	candles, refused, err := readAll(reader)
	if err != nil || len(candles) != 1 || len(refused) != 1 || !strings.Contains(refused[0], "line 2: closes at 2024-01-01T00:30:00Z, which is still to come") {
		t.Errorf("%d candles, refused %q, %v", len(candles), refused, err)
	}
}
