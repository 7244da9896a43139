package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// yearsOf are candles of 15m with all bits of their numbers used, some of them absent,
// others missing and a few off the grid.
func yearsOf(years int) []market.Candle {
	random := rand.New(rand.NewPCG(3, 4))
	number := func() float64 { return math.Exp(random.NormFloat64() * 8) }
	var candles []market.Candle
	start := history.FirstListing
	for open, k := start, 0; open.Before(start.AddDate(years, 0, 0)); open, k = open.Add(15*time.Minute), k+1 {
		if k%5000 > 4990 {
			continue
		}
		prices := []float64{number(), number(), number(), number()}
		slices.Sort(prices)
		c := market.Candle{
			OpenTime: open, Open: prices[1], High: prices[3], Low: prices[0], Close: prices[2], Volume: number(), Source: market.Minute15, Parts: 1,
		}
		if k%7000 == 100 {
			c.OpenTime = open.Add(123456 * time.Microsecond)
		}
		if k%3 > 0 {
			quote := number()
			c.QuoteVolume, c.Trades = market.Some(quote), market.Some(random.Int64N(1e12))
			c.TakerBuyVolume, c.TakerBuyQuoteVolume = market.Some(c.Volume*random.Float64()), market.Some(quote*random.Float64())
		}
		candles = append(candles, c)
	}
	return candles
}

type sliceReader struct{ candles []market.Candle }

func (r *sliceReader) Next() (market.Candle, error) {
	if len(r.candles) == 0 {
		return market.Candle{}, io.EOF
	}
	c := r.candles[0]
	r.candles = r.candles[1:]
	return c, nil
}

func (r *sliceReader) Close() error { return nil }

// candleWriter is a database.
type candleWriter interface {
	WriteCandles(ctx context.Context, series market.Series, open func() (history.CandleReader, error)) (history.WriteResult, error)
}

func storeAll(t testing.TB, database candleWriter, candles []market.Candle) {
	t.Helper()
	_, err := database.WriteCandles(t.Context(), btc15m, func() (history.CandleReader, error) { return &sliceReader{candles}, nil })
	if err != nil {
		t.Fatal(err)
	}
}

// serveDatabase serves a real database over a real connection.
func serveDatabase(t testing.TB, h History) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{History: h, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(Wrap(mux, nil, nil, discard))
	t.Cleanup(server.Close)
	return server
}

// fetch asks for a path, and returns the answer's header and all of its body.
func fetch(t testing.TB, server *httptest.Server, path string) (http.Header, []byte) {
	t.Helper()
	response, err := server.Client().Get(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %.300s", path, response.StatusCode, err, body)
	}
	return response.Header, body
}

// Nine years come back equal to the bit in every format.
func TestExportOfNineYears(t *testing.T) {
	years := 9
	if raceEnabled {
		years = 1
	}
	candles := yearsOf(years)
	database := timescaletest.Open(t)
	storeAll(t, database, candles)
	server := serveDatabase(t, database)
	for format, read := range map[string]func(*testing.T, []byte) []market.Candle{"csv": readCSV, "ndjson": readLines, "parquet": readParquet} {
		began := time.Now()
		header, body := fetch(t, server, "/v1/symbols/btcusdt/candles/export?format="+format)
		took := time.Since(began)
		name := `attachment; filename="BTCUSDT_15m_20170817T040000Z_` + candles[len(candles)-1].OpenTime.Add(15*time.Minute).Format("20060102T150405Z") + "." + format + `"`
		if format := exportFormats[format]; header.Get("Content-Type") != format.contentType || header.Get("Content-Disposition") != name {
			t.Errorf("%s: %q, want the file %s", format.extension, header, name)
		}
		got := read(t, body)
		if len(got) != len(candles) {
			t.Errorf("%s: %d candles, want %d", format, len(got), len(candles))
			continue
		}
		for k := range got {
			if got[k] != candles[k] {
				t.Fatalf("%s: candle %d is\n%+v, want\n%+v", format, k, got[k], candles[k])
			}
		}
		t.Logf("%s: %d candles, %.1f MB in %s, %.0f a second", format, len(got), float64(len(body))/1e6, took.Round(time.Millisecond), float64(len(got))/took.Seconds())
	}
}

func numberOf(t *testing.T, text string) market.Optional[float64] {
	if text == "" {
		return market.Optional[float64]{}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return market.Some(v)
}

func readCSV(t *testing.T, body []byte) (candles []market.Candle) {
	rows := csv.NewReader(bytes.NewReader(body))
	rows.ReuseRecord = true
	if header, err := rows.Read(); err != nil || strings.Join(header, ",") != csvHeader {
		t.Fatalf("the header is %v, %v", header, err)
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return candles
		}
		if err != nil {
			t.Fatal(err)
		}
		number := func(k int) float64 { return numberOf(t, row[k]).Value }
		open, err := time.Parse(time.RFC3339Nano, row[0])
		if err != nil {
			t.Fatal(err)
		}
		c := market.Candle{OpenTime: open, Open: number(2), High: number(3), Low: number(4), Close: number(5), Volume: number(6),
			QuoteVolume: numberOf(t, row[7]), TakerBuyVolume: numberOf(t, row[9]), TakerBuyQuoteVolume: numberOf(t, row[10]),
			Source: market.Interval(strings.Clone(row[11])), Parts: int(number(12))}
		if row[8] != "" {
			c.Trades = market.Some(int64(number(8)))
		}
		candles = append(candles, c)
	}
}

func optionalOf[T any](v *T) market.Optional[T] {
	if v == nil {
		return market.Optional[T]{}
	}
	return market.Some(*v)
}

func readLines(t *testing.T, body []byte) (candles []market.Candle) {
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		var c Candle
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&c); err != nil {
			t.Fatal(err)
		}
		candles = append(candles, market.Candle{OpenTime: c.OpenTime, Open: c.Open, High: c.High, Low: c.Low, Close: c.Close, Volume: c.Volume,
			QuoteVolume: optionalOf(c.QuoteVolume), Trades: optionalOf(c.Trades), TakerBuyVolume: optionalOf(c.TakerBuyVolume),
			TakerBuyQuoteVolume: optionalOf(c.TakerBuyQuoteVolume), Source: market.Interval(c.SourceInterval), Parts: c.Parts})
	}
	return candles
}

func readParquet(t *testing.T, body []byte) (candles []market.Candle) {
	file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	symbol, _ := file.Lookup("symbol")
	interval, _ := file.Lookup("interval")
	if symbol != "BTCUSDT" || interval != "15m" {
		t.Errorf("the file is of %s %s", symbol, interval)
	}
	var names []string
	for _, column := range file.Root().Columns() {
		names = append(names, column.Name())
	}
	if strings.Join(names, ",") != csvHeader {
		t.Errorf("the columns are %v", names)
	}
	for _, group := range file.RowGroups() {
		if group.NumRows() > parquetRowGroup {
			t.Errorf("a row group has %d rows", group.NumRows())
		}
	}
	rows := make([]parquetCandle, file.NumRows())
	reader := parquet.NewGenericReader[parquetCandle](file)
	defer reader.Close()
	if n, err := reader.Read(rows); n != len(rows) || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%d of %d rows: %v", n, len(rows), err)
	}
	for _, c := range rows {
		if !c.Complete || c.CloseTime != c.OpenTime+(15*time.Minute).Microseconds() && c.OpenTime%60e6 == 0 {
			t.Fatalf("%+v", c)
		}
		candles = append(candles, market.Candle{OpenTime: time.UnixMicro(c.OpenTime).UTC(), Open: c.Open, High: c.High, Low: c.Low, Close: c.Close,
			Volume: c.Volume, QuoteVolume: optionalOf(c.QuoteVolume), Trades: optionalOf(c.Trades), TakerBuyVolume: optionalOf(c.TakerBuyVolume),
			TakerBuyQuoteVolume: optionalOf(c.TakerBuyQuoteVolume), Source: market.Interval(c.SourceInterval), Parts: int(c.Parts)})
	}
	return candles
}
