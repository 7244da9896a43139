package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func monthStart(year int, month time.Month) time.Time {
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// walk makes candles that open in a range: a price that wanders, more in some hours
// than in others, printed as the exchange does, in hundredths.
func walk(seed uint64, interval market.Interval, r market.TimeRange) []market.Candle {
	random := rand.New(rand.NewPCG(seed, 1))
	round := func(value float64) float64 { return math.Round(value*100) / 100 }
	var candles []market.Candle
	price, level := 40000.0, 0.0
	for open := r.Start; open.Before(r.End); open = interval.Next(open) {
		level = 0.97*level + 0.15*random.NormFloat64()
		size := 0.001 * (1 + 0.5*math.Sin(2*math.Pi*float64(open.Hour())/24)) * math.Exp(level)
		next := round(price * math.Exp(size*random.NormFloat64()))
		volume := math.Max(1, round(100*math.Exp(level)*random.ExpFloat64()))
		taker := round(volume * random.Float64())
		candles = append(candles, market.Candle{
			OpenTime: open, Open: price, Close: next,
			High: round(max(price, next) * (1 + size*random.ExpFloat64())), Low: round(min(price, next) * (1 - size*random.Float64())),
			Volume: volume, QuoteVolume: market.Some(round(volume * price)), Trades: market.Some(int64(random.IntN(1000))),
			TakerBuyVolume: market.Some(taker), TakerBuyQuoteVolume: market.Some(round(taker * price)),
			Source: interval, Parts: 1,
		})
		price = next
	}
	return candles
}

// without leaves out the candles that open in a range.
func without(candles []market.Candle, r market.TimeRange) []market.Candle {
	var rest []market.Candle
	for _, c := range candles {
		if !r.Contains(c.OpenTime) {
			rest = append(rest, c)
		}
	}
	return rest
}

// writeArchive writes candles to zips in the layout of the exchange's archive, one a
// month, of microseconds from 2025 on. Every second candle of the 1m series lacks the
// columns that not every source publishes.
func writeArchive(t testing.TB, folder string, series market.Series, candles []market.Candle) {
	t.Helper()
	months := map[string]*bytes.Buffer{}
	for k, c := range candles {
		month := monthOf(c.OpenTime)
		if months[month] == nil {
			months[month] = &bytes.Buffer{}
		}
		stamp := func(at time.Time) int64 {
			if c.OpenTime.Year() >= 2025 {
				return at.UnixMicro()
			}
			return at.UnixMilli()
		}
		number := func(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }
		fields := []string{
			fmt.Sprint(stamp(c.OpenTime)), number(c.Open), number(c.High), number(c.Low), number(c.Close), number(c.Volume),
			fmt.Sprint(stamp(series.Interval.Next(c.OpenTime).Add(-time.Microsecond))),
			number(c.QuoteVolume.Value), fmt.Sprint(c.Trades.Value), number(c.TakerBuyVolume.Value), number(c.TakerBuyQuoteVolume.Value), "0",
		}
		if series.Interval == market.Minute1 && k%2 == 0 {
			fields[7], fields[8], fields[9], fields[10] = "", "", "", ""
		}
		fmt.Fprintln(months[month], strings.Join(fields, ","))
	}
	path := filepath.Join(folder, "spot", "monthly", "klines", string(series.Symbol), string(series.Interval))
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for month, rows := range months {
		name := fmt.Sprintf("%s-%s-%s", series.Symbol, series.Interval, month)
		writeZip(t, filepath.Join(path, name+".zip"), name+".csv", rows.Bytes())
	}
}

func writeZip(t testing.TB, path, entry string, content []byte) {
	t.Helper()
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	w, err := archive.Create(entry)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = archive.Close()
	}
	if err == nil {
		err = os.WriteFile(path, packed.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openArchive(t testing.TB, folder string) *archiveCandles {
	t.Helper()
	archive, _, err := findArchiveCandles(folder)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// What is read from the files is what the database makes of them, whatever is asked
// for: delivered candles, those rolled up, and the holes.
func TestArchiveReadsLikeTheDatabase(t *testing.T) {
	if raceEnabled {
		t.Skip("it reads the same rows twice in one goroutine, which -race has nothing to say of")
	}
	folder := t.TempDir()
	// A walk by minutes, delivered coarser too, each series with holes of its own.
	whole := market.TimeRange{Start: monthStart(2024, time.November), End: monthStart(2025, time.February)}
	minutes := walk(1, market.Minute1, whole)
	day := func(month time.Month, first, last int) market.TimeRange {
		start := monthStart(2024, month)
		return market.TimeRange{Start: start.AddDate(0, 0, first-1), End: start.AddDate(0, 0, last-1)}
	}
	january := market.TimeRange{Start: monthStart(2025, time.January), End: whole.End}
	quarterHours := rollUp(market.Minute15, minutes)
	for interval, candles := range map[market.Interval][]market.Candle{
		market.Minute1:  without(without(minutes, day(time.November, 1, 25)), january),
		market.Minute5:  without(without(rollUp(market.Minute5, minutes), day(time.December, 10, 14)), january),
		market.Minute15: without(without(quarterHours, day(time.November, 3, 28)), day(time.December, 12, 13)),
		market.Hour4:    rollUp(market.Hour4, without(quarterHours, day(time.December, 2, 30))),
	} {
		writeArchive(t, folder, market.Series{Symbol: "BTCUSDT", Interval: interval}, candles)
	}

	files, _, err := binance.FindArchives([]string{folder}, market.Series{})
	if err != nil {
		t.Fatal(err)
	}
	database := timescaletest.Open(t)
	summary, err := history.Import(t.Context(), files, database, importWorkers, func(history.FileReport) {})
	if err != nil || summary.Failed > 0 {
		t.Fatalf("%d files failed, %v", summary.Failed, err)
	}
	archive := openArchive(t, folder)

	random := rand.New(rand.NewPCG(2, 2))
	found := 0
	for _, interval := range []market.Interval{
		market.Minute1, market.Minute3, market.Minute5, market.Minute15, market.Hour1, market.Hour4, market.Day1, market.Week1, market.Month1,
	} {
		series := market.Series{Symbol: "BTCUSDT", Interval: interval}
		ranges := []market.TimeRange{whole, {Start: whole.Start.AddDate(-1, 0, 0), End: whole.End.AddDate(1, 0, 0)}}
		for range 8 {
			start := whole.Start.Add(time.Duration(random.Int64N(int64(whole.End.Sub(whole.Start))))).Truncate(time.Second)
			ranges = append(ranges, market.TimeRange{Start: start, End: start.Add(time.Duration(random.Int64N(int64(20 * 24 * time.Hour))))})
		}
		for _, r := range ranges {
			limit := math.MaxInt32
			if random.IntN(3) == 0 {
				limit = random.IntN(50)
			}
			want, err := database.Candles(t.Context(), series, r, limit)
			if err != nil {
				t.Fatal(err)
			}
			got, err := archive.Candles(t.Context(), series, r, limit)
			if err != nil {
				t.Fatal(err)
			}
			found += len(want)
			if len(got) != len(want) {
				t.Errorf("%s in %v, at most %d: %d candles, the database has %d", series, r, limit, len(got), len(want))
				continue
			}
			for k := range want {
				if a, b := got[k], want[k]; !a.OpenTime.Equal(b.OpenTime) || a.Source != b.Source || a.Parts != b.Parts || !sameCandle(a, b) {
					t.Errorf("%s in %v: candle %d is\n%+v, the database has\n%+v", series, r, k, a, b)
					break
				}
			}
		}
		want, err := database.LatestCandle(t.Context(), series)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := archive.LatestCandle(t.Context(), series); err != nil || !got.OpenTime.Equal(want.OpenTime) || !sameCandle(got, want) {
			t.Errorf("%s: the latest is %+v, %v; the database has %+v", series, got, err, want)
		}
	}
	if found < 100_000 {
		t.Errorf("only %d candles were compared", found)
	}
}

func TestADaysFileHasTheSayOverAMonths(t *testing.T) {
	folder := t.TempDir()
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	r := market.TimeRange{Start: monthStart(2024, time.March), End: monthStart(2024, time.April)}
	candles := walk(1, market.Hour1, r)
	writeArchive(t, folder, series, candles)
	row := "1709294400000,100,110,90,105,1,1709297999999,100,5,0.5,50,0\n" // 2024-03-01 12:00
	writeZip(t, filepath.Join(folder, "BTCUSDT-1h-2024-03-01.zip"), "BTCUSDT-1h-2024-03-01.csv", []byte(row))

	got, err := openArchive(t, folder).Candles(t.Context(), series, r, math.MaxInt32)
	if err != nil || len(got) != len(candles) {
		t.Fatalf("%d candles of %d, %v", len(got), len(candles), err)
	}
	for k, c := range got {
		if want := candles[k]; k == 12 && c.Close != 105 || k != 12 && c != want {
			t.Errorf("candle %d is %+v", k, c)
		}
	}
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	r := market.TimeRange{Start: monthStart(2024, time.March), End: monthStart(2024, time.May)}
	for name, test := range map[string]struct{ row, says string }{
		"refused row":   {"1709294400000,100,110,-90,105,1,1709297999999,100,5,0.5,50,0\n", "line 1: low is -90"},
		"another month": {"1704067200000,100,110,90,105,1,1704070799999,100,5,0.5,50,0\n", "outside the period of the file's name"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			writeArchive(t, folder, series, walk(1, market.Hour1, market.TimeRange{Start: monthStart(2024, time.April), End: r.End}))
			writeZip(t, filepath.Join(folder, "BTCUSDT-1h-2024-03.zip"), "BTCUSDT-1h-2024-03.csv", []byte(test.row))
			archive := openArchive(t, folder)
			_, err := archive.Candles(t.Context(), series, r, math.MaxInt32)
			if market.ErrorCode(err) != market.Invalid || !strings.Contains(err.Error(), "BTCUSDT-1h-2024-03.zip") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v", err)
			}
			// What is not asked for does no harm.
			r := market.TimeRange{Start: monthStart(2024, time.April), End: r.End}
			if got, err := archive.Candles(t.Context(), series, r, math.MaxInt32); err != nil || len(got) != 30*24 {
				t.Errorf("of April: %d candles, %v", len(got), err)
			}
		})
	}
}

func TestAnArchiveSaysWhatItHolds(t *testing.T) {
	folder := t.TempDir()
	r := market.TimeRange{Start: monthStart(2024, time.January), End: monthStart(2024, time.March)}
	writeArchive(t, folder, market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}, walk(1, market.Hour1, r))
	archive := openArchive(t, folder)
	if _, err := archive.LatestCandle(t.Context(), market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}); market.ErrorCode(err) != market.NotFound {
		t.Errorf("of another symbol: %v", err)
	}
	if got, err := archive.Candles(t.Context(), market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}, r, math.MaxInt32); err != nil || len(got) != 0 {
		t.Errorf("of another symbol: %d candles, %v", len(got), err)
	}
	catalogue, err := archive.Catalogue(t.Context())
	if err != nil || len(catalogue) != 1 || !catalogue[0].First.Equal(r.Start) || !catalogue[0].Last.Equal(r.End.Add(-time.Hour)) {
		t.Errorf("the catalogue is %v, %v", catalogue, err)
	}
}
