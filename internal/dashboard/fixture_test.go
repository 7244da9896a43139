package dashboard

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

var (
	bitcoin = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	ether   = market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}

	// midnight is the close time of the newest candle of every fixture.
	midnight = time.Date(2025, time.July, 1, 0, 0, 0, 0, time.UTC)
)

// policy is the header that the service's middleware sets.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// randomWalk makes n candles up to midnight whose volatility comes in bouts,
// as a market's does. The same series gives the same candles.
func randomWalk(series market.Series, n int) []market.Candle {
	random := rand.New(rand.NewPCG(7, uint64(len(series.Symbol))+uint64(series.Interval.Length())))
	price, volatility := 104_500.0, 0.002
	if series.Symbol == ether.Symbol {
		price = 2450
	}
	cents := func(x float64) float64 { return math.Round(100*x) / 100 }
	candles := make([]market.Candle, n)
	for i := range candles {
		volatility = 0.0004 + 0.93*(volatility-0.0004) + 0.0003*math.Abs(random.NormFloat64())
		open := price
		price = cents(price * math.Exp(volatility*random.NormFloat64()))
		reach := open * volatility
		candles[i] = market.Candle{
			OpenTime: midnight.Add(-time.Duration(n-i) * series.Interval.Length()),
			Open:     open, Close: price,
			High:   cents(max(open, price) + reach*random.Float64()),
			Low:    cents(min(open, price) - reach*random.Float64()),
			Volume: math.Round(1e5*volatility*1e5*(0.5+random.ExpFloat64())) / 1e5,
			Source: series.Interval, Parts: 1,
		}
	}
	return candles
}

// fakeHistory holds whole series in memory.
type fakeHistory struct {
	candles map[market.Series][]market.Candle
	stored  history.Catalogue
	origin  history.Origin

	err       error // what Catalogue returns
	originErr error // what Origin returns
}

func newHistory(candles map[market.Series][]market.Candle) *fakeHistory {
	h := &fakeHistory{candles: candles}
	for series, c := range candles {
		h.stored = append(h.stored, history.StoredSeries{Series: series,
			First: c[0].OpenTime, Last: c[len(c)-1].OpenTime})
	}
	return h
}

func (h *fakeHistory) Catalogue(context.Context) (history.Catalogue, error) {
	return h.stored, h.err
}

func (h *fakeHistory) Candles(
	_ context.Context, series market.Series, r market.TimeRange, limit int,
) ([]market.Candle, error) {
	var found []market.Candle
	for _, c := range h.candles[series] {
		if r.Contains(c.OpenTime) && len(found) < limit {
			found = append(found, c)
		}
	}
	return found, nil
}

func (h *fakeHistory) Origin(context.Context) (history.Origin, error) { return h.origin, h.originErr }

// fakeCoins knows the same coins, or fails, whenever it is asked.
type fakeCoins struct {
	coins []market.Coin
	err   error
}

func (c fakeCoins) Coins(context.Context) ([]market.Coin, error) { return c.coins, c.err }

// bothCoins are the base assets of the fixtures' pairs, as of 20 minutes before
// midnight.
var bothCoins = fakeCoins{coins: []market.Coin{
	{
		ID: "bitcoin", Ticker: "BTC", Name: "Bitcoin", AsOf: midnight.Add(-20 * time.Minute),
		MarketCap: market.Some(2130419876543.21), MarketCapRank: market.Some(int64(1)),
		CirculatingSupply: market.Some(19885721.0), MaxSupply: market.Some(21e6),
		AllTimeHigh: market.Some(111814.5), AllTimeHighAt: market.Some(time.Date(2025, time.May, 22, 18, 41, 28, 0, time.UTC)),
	},
	{ID: "ethereum", Ticker: "ETH", Name: "Ethereum", AsOf: midnight.Add(-20 * time.Minute), CirculatingSupply: market.Some(120718123.7)},
}}

// fakeForecaster answers every series with the same forecast or error.
type fakeForecaster struct {
	forecast forecast.Forecast
	err      error
}

func (f fakeForecaster) Forecast(context.Context, market.Series, time.Time) (forecast.Forecast, error) {
	return f.forecast, f.err
}

var noModel = fakeForecaster{err: market.Errorf(market.NotFound, "no model of the series has been trained")}

// forecastAfter makes a forecast of the candle after the last one.
func forecastAfter(series market.Series, last market.Candle) forecast.Forecast {
	openTime := series.Interval.Next(last.OpenTime)
	prediction := func(point, halfWidth, up float64) forecast.Prediction {
		return forecast.Prediction{
			Point: last.Close * (1 + point/1e4), ProbabilityUp: up,
			Bands: []forecast.Band{
				{Level: 0.8, Low: last.Close * (1 - halfWidth/1e4), High: last.Close * (1 + halfWidth/1e4)},
				{Level: 0.9, Low: last.Close * (1 - 1.4*halfWidth/1e4), High: last.Close * (1 + 1.45*halfWidth/1e4)},
			}}
	}
	return forecast.Forecast{
		Series: series, AsOf: openTime, OpenTime: openTime, CloseTime: series.Interval.Next(openTime), Last: last.Close,
		Prediction: prediction(1.2, 26, 0.514),
		Baselines: []forecast.Baseline{
			{Name: "price stays", Prediction: prediction(0, 40, 0.5)},
			{Name: "EWMA", Prediction: prediction(0, 29, 0.5)},
			{Name: "HAR", Prediction: prediction(0, 27, 0.5)},
		},
		Model: forecast.Model{
			ID: 1, Series: series, TrainedAt: time.Date(2025, time.July, 1, 6, 30, 0, 0, time.UTC),
			Window: market.TimeRange{Start: time.Date(2023, time.January, 9, 0, 0, 0, 0, time.UTC), End: midnight},
			Rows:   86_779, Skipped: 2_028,
			Metrics: metricsOfJune(),
		},
		ProbabilityAboveOpen: 0.514, ProbabilityAnalytic: 0.507,
		Decision: forecast.Decision{Action: forecast.Hold, ExpectedGain: -0.00198, Costs: forecast.UsualCosts},
	}
}

// metricsOfJune has a point skill at the open, none in the second quarter, and no
// measure of the last two quarters.
func metricsOfJune() forecast.Metrics {
	widths := func(loss, coverage80, width80, coverage90, width90 float64) forecast.WidthMetrics {
		return forecast.WidthMetrics{PinballLoss: loss, Coverage50: 0.497, Coverage80: coverage80, Width80: width80,
			Coverage90: coverage90, Width90: width90, Coverage95: 0.952}
	}
	scores := func(rows int, skill, low, high, hits, brier, analytic, share float64) forecast.Scores {
		return forecast.Scores{
			Rows: rows, PointSkill: skill, PointSkillLow: low, PointSkillHigh: high, HitRate: hits, Brier: brier, BrierAnalytic: analytic,
			WidthMetrics: widths(3.412*share, 0.803, 41.2*share, 0.904, 57.9*share),
			Baselines: []forecast.BaselineMetrics{
				{Name: "EWMA", WidthMetrics: widths(3.602*share, 0.815, 45*share, 0.9, 61.3*share)},
				{Name: "HAR", WidthMetrics: widths(3.45*share, 0.798, 41.9*share, 0.899, 58.8*share)},
			},
		}
	}
	return forecast.Metrics{
		Fold:   market.TimeRange{Start: midnight.AddDate(0, -1, 0), End: midnight},
		Scores: scores(2880, 0.0006, 0.0002, 0.0011, 0.521, 0.2479, 0.25, 1),
		Quarters: []forecast.Scores{
			scores(11_520, 0.0003, 0.0001, 0.0005, 0.635, 0.2134, 0.2141, 0.93),
			scores(11_519, -0.0001, -0.0004, 0.0002, 0.721, 0.1712, 0.1725, 0.77), {}, {},
		},
		Trading: forecast.Trading{Buys: 3, Sells: 2, Holds: 2875, Earned: -0.0031, Drawdown: 0.0042, EarnedByHolding: 0.0241, HoldingsDrawdown: 0.0871},
	}
}

// month is a history of 30 days of both pairs and a forecast for bitcoin.
func month() Dependencies {
	candles := map[market.Series][]market.Candle{bitcoin: randomWalk(bitcoin, 2880), ether: randomWalk(ether, 2880)}
	last := candles[bitcoin][2879]
	return Dependencies{History: newHistory(candles), Coins: bothCoins, Forecaster: fakeForecaster{forecast: forecastAfter(bitcoin, last)}}
}

// builtFiles returns the static files, with something in the place of the chart
// library where it has not been fetched: only a browser needs the real one.
func builtFiles(t testing.TB) fs.FS {
	t.Helper()
	built := make(fstest.MapFS)
	for _, name := range []string{
		chartLibrary, "market.js", "record.js", "chart.js", "layers.js", "figure.js", "forecast.js", "grid.js", "stream.js", "theme.js", "words.js", "style.css", "icon.svg",
	} {
		content, err := fs.ReadFile(staticFiles, "static/"+name)
		if err != nil && name != chartLibrary {
			t.Fatal(err)
		}
		built[name] = &fstest.MapFile{Data: content}
	}
	return built
}

// newHandler serves the dashboard as the service does: behind its policy,
// each request with an ID. The clock stands at five minutes past midnight unless the test brings its own.
func newHandler(t testing.TB, dependencies Dependencies) http.Handler {
	t.Helper()
	if dependencies.Now == nil {
		dependencies.Now = func() time.Time { return midnight.Add(5 * time.Minute) }
	}
	if dependencies.Coins == nil {
		dependencies.Coins = fakeCoins{}
	}
	if dependencies.Log == nil {
		dependencies.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	mux := http.NewServeMux()
	if err := register(mux, dependencies, builtFiles(t)); err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "test-request")
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}
