package simulator

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// statistics are what all markets have in common (Cont 2001), of
// 15m candles.
type statistics struct {
	volatility  float64         // standard deviation of log returns, in a year
	kurtosis    float64         // of log returns; 3 for a normal distribution
	echo        float64         // largest autocorrelation of log returns, without its sign
	memory      map[int]float64 // autocorrelation of absolute log returns by lag
	leastMemory float64         // of those
	season      float64         // volatility at 14:00 in relation to that at 04:00
	weekend     float64         // volatility in relation to that of other days
	activity    float64         // correlation of the logarithm of quote volume and the absolute return
	takers      float64         // correlation of the takers' share of the volume and the return
	ranges      float64         // volatility by highs and lows (Parkinson 1980) in relation to that by returns
	quoteVolume float64         // of a day
	tradeSize   float64
}

const lags = 96

func statisticsOf(candles []market.Candle) statistics {
	var returns, sizes, shares, volumes []float64
	var hours [24]average
	var workdays, weekends average
	var spans, trades, turnover average
	for _, c := range candles {
		if c.Volume == 0 {
			continue // trading halted without a hole: its logarithm says nothing
		}
		change := math.Log(c.Close / c.Open)
		returns = append(returns, change)
		sizes = append(sizes, math.Abs(change))
		shares = append(shares, c.TakerBuyVolume.Value/c.Volume)
		volumes = append(volumes, math.Log(c.QuoteVolume.Value))
		hours[c.OpenTime.Hour()].add(change * change)
		if c.OpenTime.Weekday() == time.Saturday || c.OpenTime.Weekday() == time.Sunday {
			weekends.add(change * change)
		} else {
			workdays.add(change * change)
		}
		high := math.Log(c.High / c.Low)
		spans.add(high * high / (4 * math.Ln2))
		turnover.add(c.QuoteVolume.Value)
		trades.add(float64(c.Trades.Value))
	}
	var variance, fourth average
	for _, r := range returns {
		variance.add(r * r)
		fourth.add(r * r * r * r)
	}
	f := statistics{
		volatility:  math.Sqrt(variance.mean() * lags * 365),
		kurtosis:    fourth.mean() / (variance.mean() * variance.mean()),
		memory:      map[int]float64{},
		leastMemory: 1,
		season:      math.Sqrt(hours[14].mean() / hours[4].mean()),
		weekend:     math.Sqrt(weekends.mean() / workdays.mean()),
		activity:    correlation(volumes, sizes),
		takers:      correlation(shares, returns),
		ranges:      math.Sqrt(spans.mean() / variance.mean()),
		quoteVolume: turnover.mean() * lags,
		tradeSize:   turnover.mean() / trades.mean(),
	}
	for lag := 1; lag <= lags; lag++ {
		f.echo = max(f.echo, math.Abs(correlation(returns[lag:], returns[:len(returns)-lag])))
		f.memory[lag] = correlation(sizes[lag:], sizes[:len(sizes)-lag])
		f.leastMemory = min(f.leastMemory, f.memory[lag])
	}
	return f
}

type average struct{ sum, count float64 }

func (a *average) add(x float64) { a.sum, a.count = a.sum+x, a.count+1 }
func (a average) mean() float64  { return a.sum / a.count }

func correlation(x, y []float64) float64 {
	var meanX, meanY average
	for k := range x {
		meanX.add(x[k])
		meanY.add(y[k])
	}
	var xx, yy, xy float64
	for k := range x {
		dx, dy := x[k]-meanX.mean(), y[k]-meanY.mean()
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
	}
	return xy / math.Sqrt(xx*yy)
}

func (f statistics) log(t *testing.T, name string) {
	t.Helper()
	t.Logf("%-22s volatility %2.0f %%, kurtosis %4.1f, |return| autocorrelation %.2f %.2f %.2f %.2f %.2f at lags 1 4 16 48 96, at least %.2f, "+
		"of returns at most %.3f, 14:00/04:00 %.2f, weekend %.2f, activity %.2f, takers %.2f, range %.2f, quote volume %.2g a day, %.0f a trade",
		name, 100*f.volatility, f.kurtosis, f.memory[1], f.memory[4], f.memory[16], f.memory[48], f.memory[96], f.leastMemory,
		f.echo, f.season, f.weekend, f.activity, f.takers, f.ranges, f.quoteVolume, f.tradeSize)
}

// years are those of which real 15m candles are at hand.
var years = market.TimeRange{
	Start: time.Date(2023, time.January, 2, 0, 0, 0, 0, time.UTC),
	End:   time.Date(2025, time.July, 1, 0, 0, 0, 0, time.UTC),
}

// TestGeneratedMarketsLookReal checks generated candles of several seeds for
// what every market shows, and logs the same of real candles beside them.
func TestGeneratedMarketsLookReal(t *testing.T) {
	symbols := []market.Symbol{"BTCUSDT", "ETHUSDT"}
	for seed := range uint64(2) {
		g := NewGenerated(GeneratedConfig{Seed: seed})
		var both [2][]market.Candle
		for k, symbol := range symbols {
			both[k] = g.Candles(market.Series{Symbol: symbol, Interval: market.Minute15}, years, math.MaxInt)
			f := statisticsOf(both[k])
			f.log(t, "generated "+string(symbol))
			for _, fact := range []struct {
				name             string
				value, low, high float64
			}{
				{"annual volatility", f.volatility, 0.3, 1.2},
				{"kurtosis", f.kurtosis, 8, 150},
				{"largest autocorrelation of returns", f.echo, 0, 0.03},
				{"autocorrelation of absolute returns at lag 1", f.memory[1], 0.2, 0.5},
				{"least autocorrelation of absolute returns", f.leastMemory, 0.03, 0.3},
				{"volatility at 14:00 in relation to 04:00", f.season, 1.5, 2.5},
				{"volatility at weekends", f.weekend, 0.5, 0.85},
				{"activity", f.activity, 0.3, 0.8},
				{"takers", f.takers, 0.2, 0.7},
				{"range", f.ranges, 0.9, 1.15},
			} {
				if fact.value < fact.low || fact.value > fact.high {
					t.Errorf("seed %d, %s: %s is %.3f, want %v to %v", seed, symbol, fact.name, fact.value, fact.low, fact.high)
				}
			}
		}
		together := returnCorrelation(both[0], both[1])
		t.Logf("correlation of the two: %.2f", together)
		if together < 0.5 || together > 0.95 {
			t.Errorf("seed %d: the pairs' returns correlate by %.2f, want 0.5 to 0.95", seed, together)
		}
	}
	t.Run("beside real ones", func(t *testing.T) {
		var both [2][]market.Candle
		for k, symbol := range symbols {
			both[k] = realCandles(t, market.Series{Symbol: symbol, Interval: market.Minute15})
			statisticsOf(both[k]).log(t, "real "+string(symbol))
		}
		t.Logf("correlation of the two: %.2f", returnCorrelation(both[0], both[1]))
	})
}

func returnCorrelation(a, b []market.Candle) float64 {
	var x, y []float64
	for k := range min(len(a), len(b)) {
		x, y = append(x, math.Log(a[k].Close/a[k].Open)), append(y, math.Log(b[k].Close/b[k].Open))
	}
	return correlation(x, y)
}

func realCandles(t *testing.T, series market.Series) (candles []market.Candle) {
	t.Helper()
	for _, file := range realFiles(t, series) {
		reader, err := file.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		for {
			candle, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			candles = append(candles, candle)
		}
	}
	return candles
}

// TestGeneratedPricesKeepWithinReason looks at the whole of several markets: a
// price must neither vanish nor explode, or nothing else looks real.
func TestGeneratedPricesKeepWithinReason(t *testing.T) {
	for seed := range uint64(50) {
		g := NewGenerated(GeneratedConfig{Seed: seed})
		for symbol, bounds := range map[market.Symbol][2]float64{"BTCUSDT": {800, 1.5e6}, "ETHUSDT": {50, 60_000}} {
			pair := g.bySymbol[symbol]
			var prices []float64
			for day := range generatedDays {
				prices = append(prices, float64(pair.cents(day))/100)
			}
			if slices.Min(prices) < bounds[0] || slices.Max(prices) > bounds[1] {
				t.Errorf("seed %d: %s is between %.2f and %.2f, want %v", seed, symbol, slices.Min(prices), slices.Max(prices), bounds)
			}
		}
	}
}
