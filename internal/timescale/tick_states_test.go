package timescale_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var _ forecast.StateReader = (*timescale.Database)(nil)

const (
	ticksOfCandle  = 180 // of 15m, one every 5 seconds
	ticksOfQuarter = ticksOfCandle / 4
)

func insideStates(t testing.TB, d *timescale.Database, series market.Series, r market.TimeRange) []forecast.OpenCandle {
	t.Helper()
	states, err := d.InsideStates(t.Context(), series, r)
	if err != nil {
		t.Fatal(err)
	}
	return states
}

// stateOf is what a tick says of its candle, as far as it is asked for.
func stateOf(k market.Tick) forecast.OpenCandle {
	return forecast.OpenCandle{Series: k.Series, At: k.SampledAt, Candle: market.Candle{
		OpenTime: k.OpenTime, Open: k.Open, High: k.High, Low: k.Low, Close: k.Close,
		Volume: k.Volume, TakerBuyVolume: k.TakerBuyVolume, Source: k.Source, Parts: k.Parts,
	}}
}

func TestATickOfEachQuarterTellsOfTheInside(t *testing.T) {
	const candles = 200
	ticks := sample("BTCUSDT", newYear, candles*ticksOfCandle)
	ticks[ticksOfQuarter-1].TakerBuyVolume = market.Optional[float64]{}
	known := map[time.Time]market.Tick{}
	for _, k := range ticks {
		known[k.SampledAt] = k
	}
	d := timescaletest.Open(t)
	writeTicks(t, d, append(ticks, sample("ETHUSDT", newYear, ticksOfCandle)...))
	whole := market.TimeRange{Start: newYear, End: newYear.Add(candles * 15 * time.Minute)}
	states := insideStates(t, d, btc15m, whole)
	if len(states) != candles*4 {
		t.Fatalf("%d states of %d candles", len(states), candles)
	}
	var taken [ticksOfQuarter]int
	for k, state := range states {
		place := int(state.At.Sub(newYear) / (5 * time.Second))
		if place/ticksOfQuarter != k || place%ticksOfCandle == 0 {
			t.Fatalf("state %d is as of %s", k, state.At)
		}
		if want := stateOf(known[state.At]); state != want {
			t.Fatalf("got %+v, want %+v", state, want)
		}
		taken[place%ticksOfQuarter]++
	}
	for place, n := range taken {
		if n > candles*4/8 {
			t.Errorf("the tick %d of a quarter is taken %d times of %d: that is no lot", place, n, candles*4)
		}
	}

	// The lot is the same whatever else is asked for, and in a database that was filled
	// the other way round.
	part := market.TimeRange{Start: newYear.Add(15 * time.Minute), End: newYear.Add(45 * time.Minute)}
	other := timescaletest.Open(t)
	slices.Reverse(ticks)
	for few := range slices.Chunk(ticks, 1000) {
		writeTicks(t, other, few)
	}
	for _, database := range []*timescale.Database{d, other} {
		if got := insideStates(t, database, btc15m, part); !slices.Equal(got, states[4:12]) {
			t.Errorf("of two candles: %+v, want %+v", got, states[4:12])
		}
	}
	if again := insideStates(t, other, btc15m, whole); !slices.Equal(again, states) {
		t.Error("another database draws another lot")
	}
	for name, series := range map[string]market.Series{
		"another symbol":   {Symbol: "SOLUSDT", Interval: market.Minute15},
		"another interval": {Symbol: "BTCUSDT", Interval: market.Minute5},
	} {
		if got := insideStates(t, d, series, whole); len(got) != 0 {
			t.Errorf("%s has %d states", name, len(got))
		}
	}
}

func TestStatesAreOfTheInsideOnly(t *testing.T) {
	d := timescaletest.Open(t)
	tick := func(interval market.Interval, open time.Time, passed time.Duration) market.Tick {
		k := sample("BTCUSDT", open, 1)[0]
		k.Interval, k.Source, k.OpenTime, k.SampledAt = interval, interval, open, open.Add(passed)
		return k
	}
	quarter := 15 * time.Minute / 4
	last := tick(market.Minute15, newYear, 15*time.Minute-time.Microsecond)
	middle := tick(market.Minute15, newYear, 2*quarter)
	month := time.Date(2023, time.February, 1, 0, 0, 0, 0, time.UTC)
	second, third := tick(market.Month1, month, 7*24*time.Hour), tick(market.Month1, month, 15*24*time.Hour)
	writeTicks(t, d, []market.Tick{
		tick(market.Minute15, newYear, 0),              // its open
		tick(market.Minute15, newYear, 15*time.Minute), // its close
		tick(market.Minute15, newYear, 15*time.Minute+5*time.Second),
		middle, last, second, third,
	})
	if got, want := insideStates(t, d, btc15m, forever), []forecast.OpenCandle{stateOf(middle), stateOf(last)}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	months := market.Series{Symbol: "BTCUSDT", Interval: market.Month1}
	if got, want := insideStates(t, d, months, forever), []forecast.OpenCandle{stateOf(second), stateOf(third)}; !slices.Equal(got, want) {
		t.Errorf("of a month: %+v, want %+v", got, want)
	}
	if got := insideStates(t, d, btc15m, market.TimeRange{Start: newYear.Add(15 * time.Minute), End: forever.End}); len(got) != 0 {
		t.Errorf("of candles that open later: %+v", got)
	}
}

// uneasy makes candles whose volatility clusters, as it takes to learn anything.
func uneasy(count int) []market.Candle {
	random := rand.New(rand.NewPCG(1, 1))
	candles := walk(market.Minute15, newYear, count)
	price, level := 42000.0, 0.0
	for k := range candles {
		level = 0.97*level + 0.15*random.NormFloat64()
		next := price * math.Exp(0.002*math.Exp(level)*random.NormFloat64())
		c := &candles[k]
		c.Open, c.Close, c.High, c.Low = price, next, max(price, next)*1.0005, min(price, next)*0.9995
		price = next
	}
	return candles
}

// Training takes in what was sampled, where no finer candles are stored.
func TestTrainingLearnsFromTicks(t *testing.T) {
	d := timescaletest.Open(t)
	count := forecast.FewestCandles(market.Minute15) + 100
	write(t, d, btc15m, uneasy(count))
	forecaster := forecast.NewForecaster(d, d)
	train := func() forecast.Model {
		t.Helper()
		m, _, err := forecaster.Train(t.Context(), btc15m, forever, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	before := train()
	first := newYear.Add(time.Duration(count-10) * 15 * time.Minute)
	writeTicks(t, d, sample("BTCUSDT", first, 5*ticksOfCandle))
	with := train()
	if with.DataHash == before.DataHash {
		t.Error("the ticks of five candles changed nothing")
	}
	// Of the first two, all the finer candles are there now, which tell of fewer instants.
	finer := market.Series{Symbol: btc15m.Symbol, Interval: market.Minute5}
	write(t, d, finer, walk(market.Minute5, first, 2*3))
	if got := train(); got.DataHash == with.DataHash || got.DataHash == before.DataHash {
		t.Error("the finer candles of two changed nothing")
	}
	// So few of the inside are looked at, but not learnt from.
	if with.Rows != before.Rows {
		t.Errorf("%d rows with the ticks of five candles, %d without", with.Rows, before.Rows)
	}
}
