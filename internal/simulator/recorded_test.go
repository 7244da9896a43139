package simulator

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/binance"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// fileOf makes a file of candles, or of an error that reading ends with.
func fileOf(series market.Series, candles []market.Candle, end error) history.CandleFile {
	return history.CandleFile{Name: series.String() + ".csv", Series: series, Open: func(context.Context) (history.CandleReader, error) {
		return &candleSlice{candles, end}, nil
	}}
}

type candleSlice struct {
	left []market.Candle
	end  error
}

func (s *candleSlice) Next() (market.Candle, error) {
	if len(s.left) == 0 {
		return market.Candle{}, s.end
	}
	candle := s.left[0]
	s.left = s.left[1:]
	return candle, nil
}

func (s *candleSlice) Close() error { return nil }

// recordedFile makes a file of what a generated market traded.
func recordedFile(series market.Series, r market.TimeRange) history.CandleFile {
	return fileOf(series, NewGenerated(GeneratedConfig{Seed: 8}).Candles(series, r, math.MaxInt), io.EOF)
}

func play(t testing.TB, now time.Time, weeks int, files ...history.CandleFile) *Recorded {
	t.Helper()
	r, err := NewRecorded(t.Context(), files, now, weeks)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// later returns candles as they are some weeks later.
func later(weeks int, candles []market.Candle) []market.Candle {
	moved := slices.Clone(candles)
	for k := range moved {
		moved[k].OpenTime = moved[k].OpenTime.AddDate(0, 0, 7*weeks)
	}
	return moved
}

func TestRecordingsEndNow(t *testing.T) {
	file := recordedFile(bitcoin(market.Hour1), span("2020-01-01 00:00:00", "2020-01-05 00:00:00"))
	for _, test := range []struct {
		now   string
		weeks int
		end   string // of the newest candle, from which on there is nothing
	}{
		{"2020-01-05 00:00:00", 0, "2020-01-05 00:00:00"},
		{"2020-01-05 00:00:01", 1, "2020-01-12 00:00:00"},
		{"2020-01-12 00:00:00", 1, "2020-01-12 00:00:00"},
		{"2026-11-23 12:00:00", 360, "2026-11-29 00:00:00"},
		{"2020-01-04 00:00:00", 0, "2020-01-05 00:00:00"},
		{"2019-12-29 00:00:00", -1, "2019-12-29 00:00:00"},
		{"2019-12-28 23:00:00", -1, "2019-12-29 00:00:00"},
		{"2019-12-15 00:00:00", -3, "2019-12-15 00:00:00"},
	} {
		r := play(t, at(test.now), 0, file)
		candles := r.Candles(bitcoin(market.Hour1), ever, 1000)
		if r.Weeks() != test.weeks || len(candles) != 96 || !candles[95].OpenTime.Add(time.Hour).Equal(at(test.end)) {
			t.Errorf("at %s: %d weeks later, %d candles up to %v; want %d weeks, 96 candles up to %s",
				test.now, r.Weeks(), len(candles), candles[len(candles)-1].OpenTime, test.weeks, test.end)
		}
		if candle, ok := r.OpenCandle(bitcoin(market.Hour1), at(test.end)); ok {
			t.Errorf("at %s: %v is open after the end", test.now, candle)
		}
		if pairs := r.Pairs(); len(pairs) != 1 || pairs[0] != (Pair{Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT", Listed: at(test.end).AddDate(0, 0, -4)}) {
			t.Errorf("at %s: pairs %+v", test.now, pairs)
		}
	}
	// A restart later on plays the same market if it is told to.
	first := play(t, at("2026-11-23 12:00:00"), 0, file)
	again := play(t, at("2026-12-24 12:00:00"), first.Weeks(), file)
	for _, series := range []market.Series{bitcoin(market.Hour1), bitcoin(market.Day1)} {
		if !slices.Equal(first.Candles(series, ever, 1000), again.Candles(series, ever, 1000)) {
			t.Errorf("%s changed with the restart", series)
		}
	}
	instant := at("2026-11-28 12:34:56")
	a, _ := first.OpenCandle(bitcoin(market.Hour1), instant)
	if b, ok := again.OpenCandle(bitcoin(market.Hour1), instant); !ok || a != b {
		t.Errorf("the open candle changed with the restart from %v to %v", a, b)
	}
}

func TestRecordedCandlesAreAsDelivered(t *testing.T) {
	days := span("2018-02-05 00:00:00", "2018-02-14 00:00:00") // an outage, and candles off the grid after it
	g := NewGenerated(GeneratedConfig{Seed: 8})
	r := play(t, at("2020-01-01 00:00:00"), 10, recordedFile(bitcoin(market.Minute15), days), recordedFile(ether(market.Minute5), days))
	for _, series := range []market.Series{bitcoin(market.Minute15), ether(market.Minute5)} {
		if got, want := r.Candles(series, ever, math.MaxInt), later(10, g.Candles(series, days, math.MaxInt)); !slices.Equal(got, want) {
			t.Errorf("%s: %d candles differ from the %d delivered", series, len(got), len(want))
		}
	}
	for _, interval := range []market.Interval{market.Hour1, market.Hour8, market.Day1} {
		series := bitcoin(interval)
		if got, want := r.Candles(series, ever, math.MaxInt), later(10, g.Candles(series, days, math.MaxInt)); !slices.Equal(got, want) {
			t.Errorf("%s: %d candles differ from the %d of the market that was recorded", series, len(got), len(want))
		}
	}
	for _, series := range []market.Series{bitcoin(market.Minute5), ether(market.Minute3), {Symbol: "BOATUSDT", Interval: market.Day1}} {
		if got := r.Candles(series, ever, 1); len(got) > 0 {
			t.Errorf("%s cannot be made, but there is %v", series, got)
		}
		if _, ok := r.OpenCandle(series, at("2018-04-20 00:00:00")); ok {
			t.Errorf("%s cannot be made, but is open", series)
		}
	}
	// In the outage nothing is open at 15m, and the hour stands as it was.
	inside := at("2018-02-08 01:40:00").AddDate(0, 0, 70)
	if candle, ok := r.OpenCandle(bitcoin(market.Minute15), inside); ok {
		t.Errorf("open in an outage: %v", candle)
	}
	if candle, ok := r.OpenCandle(bitcoin(market.Day1), inside); !ok || candle != later(10, g.Candles(bitcoin(market.Day1), span("2018-02-08 00:00:00", "2018-02-09 00:00:00"), 1))[0] {
		t.Errorf("the day of the outage: %v, %t", candle, ok)
	}
}

func TestRecordedCandlesOffTheGrid(t *testing.T) {
	g := NewGenerated(GeneratedConfig{Seed: 8})
	candles := g.Candles(bitcoin(market.Minute15), span("2020-03-01 00:00:00", "2020-03-01 02:00:00"), 10)
	// The grid slips within the third candle.
	for k := range candles[3:] {
		candles[3+k].OpenTime = candles[3+k].OpenTime.Add(-2 * time.Minute)
	}
	r := play(t, at("2020-03-01 01:45:00"), 0, fileOf(bitcoin(market.Minute15), candles, io.EOF))
	for k, candle := range candles {
		closes := candle.OpenTime.Add(15 * time.Minute)
		switch {
		case k == 2: // the next one comes early
			closes = candle.OpenTime.Add(13 * time.Minute)
		case k > 2: // with the grid
			closes = candle.OpenTime.Add(2 * time.Minute)
		}
		if got, ok := r.OpenCandle(bitcoin(market.Minute15), closes.Add(-time.Millisecond)); !ok || got != candle {
			t.Errorf("at its end, the candle of %s is %v, %t", candle.OpenTime, got, ok)
		}
	}
}

func TestIntervalsThatAreRecordedWinOthers(t *testing.T) {
	days := span("2020-01-06 00:00:00", "2020-01-20 00:00:00")
	marked := func(series market.Series, r market.TimeRange, trades int64) history.CandleFile {
		candles := NewGenerated(GeneratedConfig{}).Candles(series, r, math.MaxInt)
		for k := range candles {
			candles[k].Trades = market.Some(trades)
		}
		return fileOf(series, candles, io.EOF)
	}
	r := play(t, at("2020-01-20 00:00:00"), 0,
		marked(bitcoin(market.Hour4), days, 4000), marked(bitcoin(market.Minute15), days, 15),
		marked(bitcoin(market.Minute1), span("2020-01-06 00:00:00", "2020-01-07 00:00:00"), 1),
		marked(bitcoin(market.Month1), days, 0), marked(bitcoin(market.Day3), days, 0), marked(bitcoin(market.Day3), days, 0))
	for interval, trades := range map[market.Interval]int64{
		market.Minute1: 1, market.Minute5: 5, market.Minute15: 15, market.Hour1: 60, market.Hour4: 4000,
		market.Day1: 24 * 60, market.Week1: 7 * 24 * 60,
	} {
		first := r.Candles(bitcoin(interval), ever, 1)
		if len(first) != 1 || first[0].Trades.Value != trades {
			t.Errorf("%s: %v, want %d trades", interval, first, trades)
		}
	}
	if got := r.Candles(bitcoin(market.Month1), ever, 10); len(got) != 1 || got[0].Trades.Value == 0 {
		t.Errorf("months: %v, want one made of finer candles", got)
	}
	if got, want := r.LeftOut(), []market.Series{bitcoin(market.Month1), bitcoin(market.Day3)}; !slices.Equal(got, want) {
		t.Errorf("left out %v, want %v", got, want)
	}
}

func TestLaterFilesHaveTheSay(t *testing.T) {
	days := span("2020-01-06 00:00:00", "2020-01-08 00:00:00")
	first := recordedFile(bitcoin(market.Hour1), days)
	corrected := NewGenerated(GeneratedConfig{Seed: 9}).Candles(bitcoin(market.Hour1), span("2020-01-07 12:00:00", "2020-01-08 12:00:00"), 100)
	slices.Reverse(corrected) // newest first, as some files are
	r := play(t, at("2020-01-08 12:00:00"), 0, first, fileOf(bitcoin(market.Hour1), corrected, io.EOF))
	slices.Reverse(corrected)
	want := append(NewGenerated(GeneratedConfig{Seed: 8}).Candles(bitcoin(market.Hour1), days, 36), corrected...)
	if got := r.Candles(bitcoin(market.Hour1), ever, 1000); !slices.Equal(got, want) {
		t.Errorf("%d candles, want %d: %v", len(got), len(want), got)
	}
}

func TestColumnsThatFilesLackAreMadeUp(t *testing.T) {
	series := ether(market.Minute15)
	candles := NewGenerated(GeneratedConfig{Seed: 8}).Candles(series, span("2020-01-06 00:00:00", "2020-01-08 00:00:00"), 1000)
	full := slices.Clone(candles)
	for k := range candles {
		c := &candles[k]
		c.QuoteVolume.Valid, c.Trades.Valid, c.TakerBuyVolume.Valid, c.TakerBuyQuoteVolume.Valid = false, false, false, false
	}
	candles[5].Volume = 0
	played := play(t, at("2020-01-08 00:00:00"), 0, fileOf(series, candles, io.EOF)).Candles(series, ever, 1000)
	for k, c := range played {
		if err := c.Validate(); err != nil {
			t.Errorf("%v: %v", c, err)
		}
		if !c.QuoteVolume.Valid || !c.Trades.Valid || !c.TakerBuyVolume.Valid || !c.TakerBuyQuoteVolume.Valid {
			t.Fatalf("a column is missing: %+v", c)
		}
		if k == 5 {
			if c.QuoteVolume.Value+c.TakerBuyVolume.Value+c.TakerBuyQuoteVolume.Value != 0 || c.Trades.Value != 0 {
				t.Errorf("no volume, but %+v", c)
			}
			continue
		}
		if ratio := c.QuoteVolume.Value / full[k].QuoteVolume.Value; ratio < 0.99 || ratio > 1.01 {
			t.Errorf("quote volume %v, want about %v", c.QuoteVolume.Value, full[k].QuoteVolume.Value)
		}
		if share := c.TakerBuyVolume.Value / c.Volume; share < 0.39 || share > 0.61 || c.Trades.Value < 1 {
			t.Errorf("%d trades, of which takers bought %v", c.Trades.Value, share)
		}
	}
	// A taker column without its whole bounds what is made up.
	one := full[:1]
	one[0].QuoteVolume.Valid, one[0].TakerBuyQuoteVolume.Value = false, 1e9
	if got := play(t, at("2020-01-08 00:00:00"), 0, fileOf(series, one, io.EOF)).Candles(series, ever, 1); got[0].Validate() != nil {
		t.Errorf("%+v: %v", got[0], got[0].Validate())
	}
}

func TestWhatCannotBePlayedIsRefused(t *testing.T) {
	good := NewGenerated(GeneratedConfig{Seed: 8}).Candles(bitcoin(market.Hour1), span("2020-01-06 00:00:00", "2020-01-07 00:00:00"), 24)
	with := func(change func(*market.Candle)) []market.Candle {
		candles := slices.Clone(good)
		change(&candles[7])
		return candles
	}
	torn := errors.New("the file is torn")
	strange := market.Series{Symbol: "BOATXYZ", Interval: market.Hour1}
	for _, test := range []struct {
		files []history.CandleFile
		says  string
		code  market.Code
	}{
		{nil, "no candles that can be played", market.Invalid},
		{[]history.CandleFile{fileOf(bitcoin(market.Month1), good, io.EOF)}, "no candles that can be played", market.Invalid},
		{[]history.CandleFile{fileOf(bitcoin(market.Hour1), nil, io.EOF)}, "no candles that can be played", market.Invalid},
		{[]history.CandleFile{fileOf(bitcoin(market.Hour1), good, torn)}, "reading BTCUSDT 1h.csv: the file is torn", market.Internal},
		{[]history.CandleFile{fileOf(bitcoin(market.Hour1), good, &history.RowError{Line: 25, Reason: "is bad"})}, "line 25: is bad", market.Internal},
		{[]history.CandleFile{fileOf(strange, good, io.EOF)}, "the assets of BOATXYZ cannot be told", market.Invalid},
		{[]history.CandleFile{fileOf(bitcoin(market.Hour1), with(func(c *market.Candle) { c.Volume = 1e11 }), io.EOF)},
			"the candle of 2020-01-06T07:00:00Z has a volume of 1e+11: at most 92233720368 can be played", market.Invalid},
		{[]history.CandleFile{fileOf(bitcoin(market.Hour1), with(func(c *market.Candle) { c.Low = 1e-9 }), io.EOF)}, "has a low of 1e-09", market.Invalid},
	} {
		_, err := NewRecorded(t.Context(), test.files, at("2020-01-08 00:00:00"), 0)
		if market.ErrorCode(err) != test.code || err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("error %v, want %q", err, test.says)
		}
	}
}

func TestToUnits(t *testing.T) {
	for value, want := range map[float64]int64{
		0: 0, 1e-8: 1, 4261.48: 426_148_000_000, 9_999_999.99999999: 999_999_999_999_999,
		19542988.4235452: 1_954_298_842_354_520, 92_233_720_368: 9_223_372_036_800_000_000,
	} {
		if got, ok := toUnits(value); !ok || got != want {
			t.Errorf("%v is %d units, %t; want %d", value, got, ok, want)
		}
	}
	if got, ok := toUnits(92_233_720_369); ok {
		t.Errorf("there is no room for %d", got)
	}
}

// dataFolder holds real archives, outside the repository.
const dataFolder = "../../../shared/data"

// realFiles returns the real archives of a series.
func realFiles(t testing.TB, series market.Series) []history.CandleFile {
	t.Helper()
	folder := dataFolder + "/spot/monthly/klines/" + string(series.Symbol) + "/" + string(series.Interval)
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("skipped: no real candles at %s", folder)
	}
	files, _, err := binance.FindArchives([]string{folder}, series)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRealRecordings plays real archives and compares them with the files.
func TestRealRecordings(t *testing.T) {
	var files []history.CandleFile
	for _, series := range []market.Series{bitcoin(market.Minute15), ether(market.Minute15), bitcoin(market.Hour1)} {
		files = append(files, realFiles(t, series)...)
	}
	r := play(t, at("2026-11-23 12:00:00"), 0, files...)
	if r.Weeks() != 73 {
		t.Errorf("played %d weeks later", r.Weeks())
	}
	for _, series := range []market.Series{bitcoin(market.Minute15), ether(market.Minute15), bitcoin(market.Hour1)} {
		if got, want := r.Candles(series, ever, math.MaxInt), later(73, realCandles(t, series)); !slices.Equal(got, want) {
			t.Errorf("%s: the %d candles differ from the %d recorded", series, len(got), len(want))
		}
	}
	// Native hours and those that are made of quarters are told apart by nothing
	// that quarters know.
	whole := realCandles(t, ether(market.Hour1))
	known := map[time.Time]market.Candle{}
	for _, candle := range later(73, whole) {
		known[candle.OpenTime] = candle
	}
	compared, differ := 0, 0
	for _, candle := range r.Candles(ether(market.Hour1), ever, math.MaxInt) {
		if want, ok := known[candle.OpenTime]; ok && want.Trades == candle.Trades {
			compared++
			if candle != want {
				differ++
				t.Logf("made %+v, recorded %+v", candle, want)
			}
		}
	}
	if compared < 20_000 || differ > 0 {
		t.Errorf("of %d hours that were compared, %d differ", compared, differ)
	}
}
