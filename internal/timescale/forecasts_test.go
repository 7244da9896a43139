package timescale_test

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func predicted(point, spread, up float64) forecast.Prediction {
	return forecast.Prediction{Point: point, ProbabilityUp: up, Bands: []forecast.Band{
		{Level: 0.8, Low: point - spread, High: point + spread},
		{Level: 0.9, Low: point - 1.3*spread, High: point + 1.3*spread},
	}}
}

// forecastAt is a forecast of the year's first candle, so long after its open.
func forecastAt(model forecast.Model, after time.Duration) forecast.Forecast {
	last := 42_000.1 + after.Seconds()/7
	return forecast.Forecast{
		Series: btc15m, AsOf: newYear.Add(after), OpenTime: newYear, CloseTime: newYear.Add(15 * time.Minute),
		Last: last, Open: 42_000.1, Elapsed: after.Seconds() / 900,
		Prediction: predicted(last*1.0001, 31.7, 0.53), ProbabilityAboveOpen: 0.61, ProbabilityAnalytic: 0.58,
		Decision: forecast.Decision{Action: forecast.Sell, ExpectedGain: 0.00012, Costs: forecast.Costs{Fee: 0.00075, Spread: 0.0002}},
		Baselines: []forecast.Baseline{
			{Name: "price stays", Prediction: predicted(last, 60, 0.5)},
			{Name: "EWMA", Prediction: predicted(last, 40, 0.5)},
			{Name: "HAR", Prediction: predicted(last, 33.3, 0.5)},
		},
		Model: model, CompanionMissing: after == 0,
	}
}

func someModel(t testing.TB, d *timescale.Database) forecast.Model {
	t.Helper()
	m, err := d.SaveModel(t.Context(), forecast.Model{
		Series: btc15m, Window: days(-100, 0), DataHash: "some", Features: []string{"a"},
	}, []byte("its file"), market.Optional[int64]{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func writeForecasts(t *testing.T, d *timescale.Database, forecasts ...forecast.Forecast) {
	t.Helper()
	if err := d.WriteForecasts(t.Context(), forecasts); err != nil {
		t.Fatal(err)
	}
}

// storedForecasts reads forecasts back, in the order of the key.
func storedForecasts(t *testing.T, d *timescale.Database) []forecast.Forecast {
	t.Helper()
	rows, _ := d.Pool().Query(t.Context(), `
		SELECT symbol, interval, open_time, as_of, model_id, close_time, elapsed, open, last, point, low_80, high_80, low_90, high_90,
			probability_up, probability_above_open, probability_analytic, decision, expected_gain, fee, spread, companion_missing,
			(SELECT json_agg(json_build_object('Name', name, 'Point', point, 'ProbabilityUp', probability_up, 'Bands', json_build_array(
				json_build_object('Level', 0.8, 'Low', low_80, 'High', high_80), json_build_object('Level', 0.9, 'Low', low_90, 'High', high_90))))
			 FROM forecast_baselines AS b
			 WHERE (b.symbol, b.interval, b.open_time, b.as_of, b.model_id) = (f.symbol, f.interval, f.open_time, f.as_of, f.model_id))
		FROM forecasts AS f ORDER BY symbol, interval, open_time, as_of, model_id`)
	forecasts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (forecast.Forecast, error) {
		var f forecast.Forecast
		f.Bands = []forecast.Band{{Level: 0.8}, {Level: 0.9}}
		var baselines []byte
		err := row.Scan(&f.Symbol, &f.Interval, &f.OpenTime, &f.AsOf, &f.Model.ID, &f.CloseTime, &f.Elapsed, &f.Open, &f.Last, &f.Point,
			&f.Bands[0].Low, &f.Bands[0].High, &f.Bands[1].Low, &f.Bands[1].High,
			&f.ProbabilityUp, &f.ProbabilityAboveOpen, &f.ProbabilityAnalytic,
			&f.Decision.Action, &f.Decision.ExpectedGain, &f.Decision.Costs.Fee, &f.Decision.Costs.Spread,
			&f.CompanionMissing, &baselines)
		if err == nil {
			err = json.Unmarshal(baselines, &f.Baselines)
		}
		return f, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return forecasts
}

func TestForecastsAreStoredOnce(t *testing.T) {
	d := timescaletest.Open(t)
	model := someModel(t, d)
	writeForecasts(t, d)
	first, second := forecastAt(model, 0), forecastAt(model, time.Minute)
	writeForecasts(t, d, second, first)
	changed := first
	changed.Point *= 2
	third := forecastAt(model, 15*time.Minute-1000) // the last microsecond
	writeForecasts(t, d, changed, third, third)
	want := []forecast.Forecast{first, second, third}
	for k := range want {
		want[k].Model = forecast.Model{ID: model.ID}
	}
	if got := storedForecasts(t, d); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v,\nwant %+v", got, want)
	}
}

func TestForecastsAreStoredAllOrNone(t *testing.T) {
	d := timescaletest.Open(t)
	model := someModel(t, d)
	invalid := map[string]func(*forecast.Forecast){
		"one band":                      func(f *forecast.Forecast) { f.Bands = f.Bands[:1] },
		"three bands":                   func(f *forecast.Forecast) { f.Bands = append(slices.Clone(f.Bands), forecast.Band{Level: 0.99}) },
		"bands of other levels":         func(f *forecast.Forecast) { f.Bands = []forecast.Band{f.Bands[1], f.Bands[0]} },
		"a baseline without a band":     func(f *forecast.Forecast) { f.Baselines = []forecast.Baseline{{Name: "HAR"}} },
		"a baseline that is no number":  func(f *forecast.Forecast) { f.Baselines[0].Point = math.NaN() },
		"a point that is no number":     func(f *forecast.Forecast) { f.Point = math.NaN() },
		"an infinite band":              func(f *forecast.Forecast) { f.Bands[0].High = math.Inf(1) },
		"a negative price":              func(f *forecast.Forecast) { f.Bands[1].Low = -1 },
		"a probability above 1":         func(f *forecast.Forecast) { f.ProbabilityUp = 1.01 },
		"a probability that is none":    func(f *forecast.Forecast) { f.ProbabilityAboveOpen = math.NaN() },
		"an analytic probability of 2":  func(f *forecast.Forecast) { f.ProbabilityAnalytic = 2 },
		"no decision":                   func(f *forecast.Forecast) { f.Decision = forecast.Decision{} },
		"a gain that is no number":      func(f *forecast.Forecast) { f.Decision.ExpectedGain = math.NaN() },
		"a loss worth buying":           func(f *forecast.Forecast) { f.Decision.ExpectedGain = -0.001 },
		"a negative fee":                func(f *forecast.Forecast) { f.Decision.Costs.Fee = -0.001 },
		"made before the candle opened": func(f *forecast.Forecast) { f.AsOf = f.OpenTime.Add(-time.Second) },
		"made after it closed":          func(f *forecast.Forecast) { f.AsOf = f.CloseTime },
		"no stored model":               func(f *forecast.Forecast) { f.Model.ID = 999 },
	}
	for name, spoil := range invalid {
		bad := forecastAt(model, time.Minute)
		spoil(&bad)
		if err := d.WriteForecasts(t.Context(), []forecast.Forecast{forecastAt(model, 0), bad, forecastAt(model, time.Hour/6)}); err == nil {
			t.Errorf("%s: stored", name)
		} else if strings.Contains(name, "band") && name != "an infinite band" && market.ErrorCode(err) != market.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if got := storedForecasts(t, d); len(got) != 0 {
			t.Fatalf("%s: %d forecasts were left behind", name, len(got))
		}
	}
}

func score(t *testing.T, d *timescale.Database, open, closing float64, want int64) {
	t.Helper()
	if n, err := d.ScoreForecasts(t.Context(), btc15m, newYear, open, closing); err != nil || n != want {
		t.Errorf("%d forecasts scored, %v; want %d", n, err, want)
	}
}

func TestForecastsAreScored(t *testing.T) {
	d := timescaletest.Open(t)
	model := someModel(t, d)
	score(t, d, 42_000, 42_050, 0)
	f := forecastAt(model, 5*time.Minute)
	other := f
	other.OpenTime, other.AsOf, other.CloseTime = f.CloseTime, f.CloseTime, f.CloseTime.Add(15*time.Minute)
	writeForecasts(t, d, f, other)

	outcome := func() []float64 {
		return ask[float64](t, d, `
			SELECT unnest(ARRAY[actual_open, actual_close, log_return, squared_error, squared_error_if_stays, hit::int, hit_above_open::int,
				brier, brier_above_open, brier_analytic, in_band_80::int, in_band_90::int,
				pinball_loss, pinball_loss_stays, pinball_loss_ewma, pinball_loss_har])
			FROM forecasts WHERE open_time = $1 AND scored_at <= now()`, newYear)
	}
	if got := outcome(); len(got) != 0 {
		t.Errorf("before it is scored: %v", got)
	}
	for _, test := range []struct {
		open, closing                     float64
		up, aboveOpen, inside80, inside90 bool
	}{
		{42_000.2, f.Last + 20, true, true, true, true},
		{42_000.2, f.Last - 20, false, true, true, true},
		{42_000.2, f.Bands[0].Low - 1, false, true, false, true}, // the candle was corrected
		{42_000.2, f.Bands[1].High + 1, true, true, false, false},
		{f.Last, f.Last, false, false, true, true}, // no move counts as down
		{42_000.2, f.Bands[0].High, true, true, true, true},
	} {
		score(t, d, test.open, test.closing, 1)
		score(t, d, test.open, test.closing, 0)
		actual := math.Log(test.closing / f.Last)
		toPoint := math.Log(test.closing / f.Point)
		brier := func(p float64, happened bool) float64 { return math.Pow(p-one(happened), 2) }
		want := []float64{
			test.open, test.closing, actual, toPoint * toPoint, actual * actual, one(test.up), one(test.aboveOpen),
			brier(f.ProbabilityUp, test.up), brier(f.ProbabilityAboveOpen, test.aboveOpen), brier(f.ProbabilityAnalytic, test.aboveOpen),
			one(test.inside80), one(test.inside90), bandsLoss(f.Prediction, test.closing),
			bandsLoss(f.Baselines[0].Prediction, test.closing), bandsLoss(f.Baselines[1].Prediction, test.closing),
			bandsLoss(f.Baselines[2].Prediction, test.closing),
		}
		if got := outcome(); !slices.EqualFunc(got, want, closeTo) {
			t.Errorf("closed at %v: got %v, want %v", test.closing, got, want)
		}

		baselines := ask[float64](t, d, `
			SELECT unnest(ARRAY[squared_error, brier, in_band_80::int, in_band_90::int, pinball_loss])
			FROM forecast_baselines WHERE name = 'HAR' AND open_time = $1`, newYear)
		p := f.Baselines[2]
		within := func(b forecast.Band) float64 { return one(b.Low <= test.closing && test.closing <= b.High) }
		want = []float64{actual * actual, 0.25, within(p.Bands[0]), within(p.Bands[1]), bandsLoss(p.Prediction, test.closing)}
		if !slices.EqualFunc(baselines, want, closeTo) {
			t.Errorf("closed at %v: HAR got %v, want %v", test.closing, baselines, want)
		}
	}
	if n := ask[int64](t, d, `SELECT count(*) FROM forecasts WHERE scored_at IS NULL AND pinball_loss IS NULL AND hit IS NULL`)[0]; n != 1 {
		t.Error("the next candle was scored too")
	}
	writeForecasts(t, d, f) // a forecast that comes again does not lose its score
	if got := outcome(); len(got) == 0 {
		t.Error("the score was lost")
	}
	for _, prices := range [][2]float64{{0, 1}, {1, -1}, {math.NaN(), 1}, {1, math.NaN()}, {math.Inf(1), 1}, {1, math.Inf(1)}} {
		if _, err := d.ScoreForecasts(t.Context(), btc15m, newYear, prices[0], prices[1]); market.ErrorCode(err) != market.Invalid {
			t.Errorf("scored by %v: %v", prices, err)
		}
	}
}

// bandsLoss is the mean pinball loss of the bands' ends, in basis points.
func bandsLoss(p forecast.Prediction, closing float64) float64 {
	loss := 0.0
	for _, b := range p.Bands {
		tail := (1 - b.Level) / 2
		for quantile, price := range map[float64]float64{tail: b.Low, 1 - tail: b.High} {
			miss := math.Log(closing / price)
			loss += max(quantile*miss, (quantile-1)*miss)
		}
	}
	return loss / 4 * 1e4
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func closeTo(a, b float64) bool {
	return math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b))+1e-15
}

// The forecasts of a candle, one a minute, beside a year of others.
func BenchmarkScoreForecasts(b *testing.B) {
	d := timescaletest.Open(b)
	model := someModel(b, d)
	var forecasts []forecast.Forecast
	for minute := range 15 {
		forecasts = append(forecasts, forecastAt(model, time.Duration(minute)*time.Minute))
	}
	if err := d.WriteForecasts(b.Context(), forecasts); err != nil {
		b.Fatal(err)
	}
	_, err := d.Pool().Exec(b.Context(), `
		INSERT INTO forecasts (symbol, interval, open_time, as_of, model_id, close_time, elapsed, open, last, point,
			low_80, high_80, low_90, high_90, probability_up, probability_above_open, probability_analytic,
			decision, expected_gain, fee, spread, companion_missing, baselines)
		SELECT symbol, interval, open_time + k * w, as_of + k * w, model_id, close_time + k * w, elapsed, open, last, point,
			low_80, high_80, low_90, high_90, probability_up, probability_above_open, probability_analytic,
			decision, expected_gain, fee, spread, companion_missing, baselines
		FROM forecasts, generate_series(1, 35040) AS k, CAST('15 minutes' AS interval) AS w`)
	if err != nil {
		b.Fatal(err)
	}
	var bytes int64
	if err := d.Pool().QueryRow(b.Context(), `SELECT pg_total_relation_size('forecasts')`).Scan(&bytes); err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		open := newYear.AddDate(2, 0, 0)
		for b.Loop() {
			f := forecastAt(model, 0)
			f.OpenTime, f.AsOf, f.CloseTime = open, open, open.Add(15*time.Minute)
			open = open.Add(15 * time.Minute)
			if err := d.WriteForecasts(b.Context(), []forecast.Forecast{f}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("score", func(b *testing.B) {
		open := newYear
		for b.Loop() {
			if n, err := d.ScoreForecasts(b.Context(), btc15m, open, 42_000, 42_010); err != nil || n != 15 {
				b.Fatal(n, err)
			}
			open = open.Add(15 * time.Minute)
		}
		b.ReportMetric(float64(bytes)/(15*35041), "B/row")
	})
}
