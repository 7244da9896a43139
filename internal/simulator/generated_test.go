package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func at(text string) time.Time {
	t, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	return t
}

func bitcoin(interval market.Interval) market.Series {
	return market.Series{Symbol: "BTCUSDT", Interval: interval}
}

func ether(interval market.Interval) market.Series {
	return market.Series{Symbol: "ETHUSDT", Interval: interval}
}

func span(start, end string) market.TimeRange {
	return market.TimeRange{Start: at(start), End: at(end)}
}

// ever holds all instants that a TimeRange may be asked for.
var ever = market.TimeRange{Start: time.Time{}, End: time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)}

// TestGeneratedMarketsNeverChange pins candles of several intervals and years,
// and open ones: a database that was filled from a generated market must meet the
// same market after every restart, upgrade and move to another machine.
func TestGeneratedMarketsNeverChange(t *testing.T) {
	g := NewGenerated(GeneratedConfig{Seed: 42, Pairs: []Pair{
		{Symbol: "BTCUSDT"}, {Symbol: "ETHUSDT"}, {Symbol: "BOATUSDT", Listed: at("2021-02-03 04:05:00")},
	}})
	hash := sha256.New()
	record := func(c market.Candle) {
		for _, value := range []any{
			c.OpenTime.UnixMilli(), c.Open, c.High, c.Low, c.Close, c.Volume, c.QuoteVolume, c.Trades,
			c.TakerBuyVolume, c.TakerBuyQuoteVolume,
		} {
			if err := binary.Write(hash, binary.LittleEndian, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, pair := range g.Pairs() {
		for _, start := range []string{"2017-08-17 00:00:00", "2018-02-09 00:00:00", "2021-05-19 00:00:00", "2026-11-23 00:00:00", "2035-12-01 00:00:00"} {
			for _, interval := range market.Intervals() {
				series := market.Series{Symbol: pair.Symbol, Interval: interval}
				for _, candle := range g.Candles(series, market.TimeRange{Start: at(start), End: at(start).AddDate(0, 0, 40)}, 50) {
					record(candle)
				}
				if candle, ok := g.OpenCandle(series, at(start).Add(20*time.Hour+7*time.Minute+3456*time.Millisecond)); ok {
					record(candle)
				}
			}
		}
	}
	const want = "c440e0e6e64986bf250d438880585e4bc1b1169563c99164bbf5946396842506"
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("the market of seed 42 has changed: its hash is %s, was %s", got, want)
	}
}

func TestGeneratedCandlesDoNotDependOnTheOrderOfQuestions(t *testing.T) {
	type question struct {
		series market.Series
		r      market.TimeRange
	}
	var questions []question
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		series := market.Series{Symbol: "BTCUSDT", Interval: market.Intervals()[random.IntN(13)]}
		if random.IntN(2) == 0 {
			series.Symbol = "ETHUSDT"
		}
		start := generatedStart.Add(time.Duration(random.Int64N(int64(4 * 365 * 24 * time.Hour))))
		questions = append(questions, question{series, market.TimeRange{Start: start, End: start.Add(30 * time.Hour)}})
	}
	g := NewGenerated(GeneratedConfig{Seed: 3})
	answers := make([][]market.Candle, len(questions))
	for k, q := range questions {
		answers[k] = g.Candles(q.series, q.r, 200)
	}
	// Again, in another order, by several at once, on a market that starts empty.
	again := NewGenerated(GeneratedConfig{Seed: 3})
	var asking sync.WaitGroup
	for k := range 4 {
		asking.Go(func() {
			for _, n := range rand.New(rand.NewPCG(2, uint64(k))).Perm(len(questions)) {
				if got := again.Candles(questions[n].series, questions[n].r, 200); !slices.Equal(got, answers[n]) {
					t.Errorf("%s in %v differs", questions[n].series, questions[n].r)
				}
			}
		})
	}
	asking.Wait()
	if another := NewGenerated(GeneratedConfig{Seed: 4}); slices.Equal(another.Candles(questions[0].series, questions[0].r, 200), answers[0]) {
		t.Error("the market of another seed is the same")
	}
}

func TestGeneratedMarketsBeginWithTheListing(t *testing.T) {
	g := NewGenerated(GeneratedConfig{})
	if want := []Pair{
		{Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT", Listed: history.FirstListing},
		{Symbol: "ETHUSDT", Base: "ETH", Quote: "USDT", Listed: history.FirstListing},
	}; !slices.Equal(g.Pairs(), want) {
		t.Errorf("pairs %v, want %v", g.Pairs(), want)
	}
	for interval, open := range map[market.Interval]string{
		market.Minute1: "2017-08-17 04:00:00", market.Minute15: "2017-08-17 04:00:00", market.Hour4: "2017-08-17 04:00:00",
		market.Hour6: "2017-08-17 00:00:00", market.Day1: "2017-08-17 00:00:00", market.Day3: "2017-08-16 00:00:00",
		market.Week1: "2017-08-14 00:00:00", market.Month1: "2017-08-01 00:00:00",
	} {
		first := g.Candles(bitcoin(interval), ever, 1)
		if len(first) != 1 || !first[0].OpenTime.Equal(at(open)) {
			t.Errorf("%s: the first candle is %v, want one of %s", interval, first, open)
			continue
		}
		if price := first[0].Open; price < 3800 || price > 4800 {
			t.Errorf("%s: the first price is %v", interval, price)
		}
	}
	if _, ok := g.OpenCandle(bitcoin(market.Day1), at("2017-08-17 03:59:59")); ok {
		t.Error("a candle is open before the listing")
	}
	if candle, ok := g.OpenCandle(bitcoin(market.Day1), at("2017-08-17 04:00:00")); !ok || candle.Trades.Value == 0 {
		t.Errorf("the first trade is missing: %+v, %t", candle, ok)
	}
	for _, days := range []market.TimeRange{span("2010-01-01 00:00:00", "2017-08-01 00:00:00"), span("2036-01-01 00:00:00", "2040-01-01 00:00:00")} {
		if got := g.Candles(bitcoin(market.Day1), days, 10); len(got) > 0 {
			t.Errorf("candles in %v: %v", days, got)
		}
	}
	if got := g.Candles(market.Series{Symbol: "BOATUSDT", Interval: market.Day1}, ever, 10); len(got) > 0 {
		t.Errorf("candles of a pair that is not traded: %v", got)
	}
	if _, ok := g.OpenCandle(market.Series{Symbol: "BOATUSDT", Interval: market.Day1}, at("2020-01-01 00:00:00")); ok {
		t.Error("an open candle of a pair that is not traded")
	}
}

func TestGeneratedPairsAreListedWhenToldAndNotBeforeTheMarket(t *testing.T) {
	g := NewGenerated(GeneratedConfig{Pairs: []Pair{
		{Symbol: "YOUNGUSDT", Listed: at("2022-03-04 05:06:30")}, {Symbol: "OLDUSDT", Listed: at("2011-01-01 00:00:00")},
	}})
	for symbol, open := range map[market.Symbol]string{"YOUNGUSDT": "2022-03-04 05:07:00", "OLDUSDT": "2017-08-17 04:00:00"} {
		first := g.Candles(market.Series{Symbol: symbol, Interval: market.Minute1}, ever, 1)
		if len(first) != 1 || !first[0].OpenTime.Equal(at(open)) {
			t.Errorf("%s: the first candle is %v, want one of %s", symbol, first, open)
		}
	}
}

func TestGeneratedMarketsPauseInOutages(t *testing.T) {
	g := NewGenerated(GeneratedConfig{Seed: 5})
	for _, interval := range market.Intervals() {
		if interval.Length() > time.Hour {
			break
		}
		for _, outage := range outages {
			// The candle that holds the beginning may stand.
			hole := market.TimeRange{Start: interval.Next(interval.Floor(instant(outage.start - 1))), End: instant(outage.end)}
			for _, series := range []market.Series{bitcoin(interval), ether(interval)} {
				if interval.Floor(hole.End).Equal(hole.End) || slipsAt(interval, outage.end) {
					if got := g.Candles(series, hole, 10); len(got) > 0 {
						t.Errorf("%s in the outage of %v: %v", series, hole, got)
					}
				}
				if got := g.Candles(series, market.TimeRange{Start: interval.Floor(hole.End), End: ever.End}, 1); len(got) != 1 {
					t.Errorf("%s ends with the outage of %v", series, hole)
				}
			}
			if candle, ok := g.OpenCandle(bitcoin(interval), instant((outage.start+outage.end)/2)); ok && interval == market.Minute1 {
				t.Errorf("a minute is open in an outage: %v", candle)
			}
		}
	}
	// A coarser candle is made of what is there.
	day := g.Candles(bitcoin(market.Day1), span("2018-02-08 00:00:00", "2018-02-09 00:00:00"), 10)
	hour := g.Candles(bitcoin(market.Hour1), span("2018-02-08 00:00:00", "2018-02-09 00:00:00"), 100)
	if len(day) != 1 || len(hour) != 1 || day[0].Volume != hour[0].Volume || day[0].Close != hour[0].Close {
		t.Errorf("the day of the outage is %v, its only hour %v", day, hour)
	}
}

func TestOutagesAreInOrder(t *testing.T) {
	for k, o := range outages {
		if o.start >= o.end || k > 0 && outages[k-1].end >= o.start {
			t.Errorf("outage %d from %s to %s is out of order", k, instant(o.start), instant(o.end))
		}
		for _, instant := range []int64{o.start, o.end - 1} {
			if got := outagesOn(instant, instant+1); len(got) != 1 || got[0] != o {
				t.Errorf("at %d there are %v, want %v", instant, got, o)
			}
		}
		if got := outagesOn(o.end, o.end+1); len(got) > 0 {
			t.Errorf("%v has not ended", got)
		}
	}
}

func TestCandlesOfFebruary2018OpenOffTheGrid(t *testing.T) {
	g := NewGenerated(GeneratedConfig{Seed: 6})
	days := span("2018-02-08 00:00:00", "2018-02-11 00:00:00")
	for interval, want := range map[market.Interval]string{
		market.Minute1:  "",
		market.Minute5:  "09T09:28 09T10:22 09T13:11 09T19:38 10T03:52",
		market.Minute15: "09T09:28 09T10:22 09T13:11 09T19:38 10T03:52",
		market.Minute30: "09T09:28 09T13:11 09T19:38",
		market.Hour1:    "",
	} {
		var offGrid []string
		candles := g.Candles(bitcoin(interval), days, math.MaxInt)
		for k, candle := range candles {
			if !interval.Floor(candle.OpenTime).Equal(candle.OpenTime) {
				offGrid = append(offGrid, candle.OpenTime.Format("02T15:04"))
			}
			if k > 0 && !interval.Floor(candles[k-1].OpenTime).Before(interval.Floor(candle.OpenTime)) {
				t.Errorf("%s: %s follows %s", interval, candle.OpenTime, candles[k-1].OpenTime)
			}
		}
		if got := strings.Join(offGrid, " "); got != want {
			t.Errorf("%s: off the grid are %s, want %s", interval, got, want)
		}
	}
	// It is found under its own open time only, and open from then on.
	quarter := bitcoin(market.Minute15)
	for _, test := range []struct {
		r    market.TimeRange
		want int
	}{
		{span("2018-02-09 09:15:00", "2018-02-09 09:28:00"), 0},
		{span("2018-02-09 09:28:00", "2018-02-09 09:29:00"), 1},
		{span("2018-02-09 09:29:00", "2018-02-09 09:30:00"), 0},
	} {
		if got := g.Candles(quarter, test.r, 10); len(got) != test.want {
			t.Errorf("in %v open %v, want %d", test.r, got, test.want)
		}
	}
	if candle, ok := g.OpenCandle(quarter, at("2018-02-09 09:27:59")); ok {
		t.Errorf("open before the first trade: %v", candle)
	}
	if candle, ok := g.OpenCandle(quarter, at("2018-02-09 09:29:00")); !ok || !candle.OpenTime.Equal(at("2018-02-09 09:28:00")) {
		t.Errorf("open after the first trade: %v, %t", candle, ok)
	}
}

func TestGeneratedNumbersAreWholeCentsAndLots(t *testing.T) {
	g := NewGenerated(GeneratedConfig{Seed: 7})
	decimals := func(value float64) int {
		_, fraction, _ := strings.Cut(strconv.FormatFloat(value, 'f', -1, 64), ".")
		return len(fraction)
	}
	for _, interval := range []market.Interval{market.Minute1, market.Minute15, market.Hour1} {
		for _, candle := range g.Candles(ether(interval), span("2023-03-01 00:00:00", "2023-03-03 00:00:00"), 1000) {
			for field, places := range map[float64]int{
				candle.Open: 2, candle.High: 2, candle.Low: 2, candle.Close: 2,
				candle.Volume: 5, candle.TakerBuyVolume.Value: 5, candle.QuoteVolume.Value: 7, candle.TakerBuyQuoteVolume.Value: 7,
			} {
				if decimals(field) > places {
					t.Fatalf("%s has %v, more than %d decimals: %+v", interval, field, places, candle)
				}
			}
		}
	}
}

// TestManyGeneratedPairsAreCheap makes 500 pairs, of which one is asked for.
func TestManyGeneratedPairsAreCheap(t *testing.T) {
	var pairs []Pair
	for k := range 500 {
		pairs = append(pairs, Pair{Symbol: market.Symbol(fmt.Sprintf("C%dUSDT", k)), Base: fmt.Sprintf("C%d", k), Quote: "USDT"})
	}
	g := NewGenerated(GeneratedConfig{Pairs: pairs})
	first, second := g.Pairs()[0].Symbol, g.Pairs()[1].Symbol
	ask := func(symbol market.Symbol) []market.Candle {
		return g.Candles(market.Series{Symbol: symbol, Interval: market.Hour1}, span("2020-01-01 00:00:00", "2020-01-10 00:00:00"), 1000)
	}
	if got := ask(first); len(got) != 9*24 || reflect.DeepEqual(got, ask(second)) {
		t.Errorf("%d candles, want %d that differ from pair to pair", len(got), 9*24)
	}
	if made := testing.AllocsPerRun(5, func() { NewGenerated(GeneratedConfig{Pairs: pairs}) }); made > 20_000 {
		t.Errorf("%.0f allocations for 500 pairs", made)
	}
}
