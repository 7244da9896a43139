package timescale_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// happened is a stored forecast and the close that scores it, 0 where nothing has.
type happened struct {
	forecast.Forecast
	closing float64
}

// someRecord stores forecasts of some days, two within each of a few candles a day,
// by two models, and scores all but the last candle's.
func someRecord(t *testing.T, d *timescale.Database, days int) []happened {
	t.Helper()
	models := [2]forecast.Model{}
	for k, hash := range []string{"first", "second"} {
		var err error
		models[k], err = d.SaveModel(t.Context(), forecast.Model{Series: btc15m, Window: market.TimeRange{Start: newYear.AddDate(0, -3, 0), End: newYear}, DataHash: hash, Features: []string{"a"}}, []byte("file"), market.Optional[int64]{})
		if err != nil {
			t.Fatal(err)
		}
	}
	var all []happened
	for day := range days {
		for candle := range 3 {
			// The last candle of a day opens just before it ends.
			open := newYear.AddDate(0, 0, day).Add([]time.Duration{0, 7 * time.Hour, 23*time.Hour + 45*time.Minute}[candle])
			closing := 42_000.1 + 90*math.Sin(float64(7*day+3*candle))
			if day == days-1 && candle == 2 {
				closing = 0
			}
			for k, after := range []time.Duration{5 * time.Second, time.Duration(1+(day+4*candle)%14) * time.Minute} {
				f := forecastAt(models[min(1, 2*day/days)], after)
				f.OpenTime, f.AsOf, f.CloseTime = open, open.Add(after), open.Add(15*time.Minute)
				f.ProbabilityAboveOpen = math.Abs(math.Sin(float64(day + candle + k)))
				if day == 2 && candle == 0 && k == 0 {
					f.ProbabilityAboveOpen = 1 // belongs into the last tenth
				}
				all = append(all, happened{f, closing})
			}
			writeForecasts(t, d, all[len(all)-2].Forecast, all[len(all)-1].Forecast)
			if closing > 0 {
				if n, err := d.ScoreForecasts(t.Context(), btc15m, open, 42_000.1, closing); err != nil || n != 2 {
					t.Fatalf("%d scored, %v", n, err)
				}
			}
		}
	}
	return all
}

// scoresOf measures forecasts one by one.
func scoresOf(all []happened) (s forecast.RecordScores) {
	var squares, stays, analytic float64
	var baselines [3]float64
	for _, h := range all {
		if h.closing == 0 {
			continue
		}
		s.Rows++
		squares += math.Pow(math.Log(h.closing/h.Point), 2)
		stays += math.Pow(math.Log(h.closing/h.Last), 2)
		rose := one(h.closing > 42_000.1)
		if (h.ProbabilityAboveOpen > 0.5) == (rose == 1) {
			s.HitRate++
		}
		s.Brier += math.Pow(h.ProbabilityAboveOpen-rose, 2)
		analytic += math.Pow(h.ProbabilityAnalytic-rose, 2)
		s.Coverage80 += one(h.Bands[0].Low <= h.closing && h.closing <= h.Bands[0].High)
		s.Coverage90 += one(h.Bands[1].Low <= h.closing && h.closing <= h.Bands[1].High)
		s.Width80BP += 1e4 * (h.Bands[0].High - h.Bands[0].Low) / h.Last
		s.Width90BP += 1e4 * (h.Bands[1].High - h.Bands[1].Low) / h.Last
		s.PinballLoss += bandsLoss(h.Prediction, h.closing)
		for k, b := range h.Baselines {
			baselines[k] += bandsLoss(b.Prediction, h.closing)
		}
	}
	n := float64(s.Rows)
	for _, sum := range []*float64{&s.HitRate, &s.Brier, &s.Coverage80, &s.Coverage90, &s.Width80BP, &s.Width90BP, &s.PinballLoss} {
		*sum /= n
	}
	s.PointSkill, s.BrierAnalytic = 1-squares/stays, market.Some(analytic/n)
	for k, name := range []string{"price stays", "EWMA", "HAR"} {
		s.Baselines = append(s.Baselines, forecast.BaselineLoss{Name: name, PinballLoss: baselines[k] / n})
	}
	return s
}

// numbersOf are the numbers of scores, but for the interval.
func numbersOf(s forecast.RecordScores) []float64 {
	numbers := []float64{
		float64(s.Rows), s.PointSkill, s.HitRate, s.Brier, s.BrierAnalytic.Value, one(s.BrierAnalytic.Valid), s.Coverage80, s.Coverage90,
		s.Width80BP, s.Width90BP, s.PinballLoss,
	}
	for _, b := range s.Baselines {
		numbers = append(numbers, b.PinballLoss)
	}
	return numbers
}

func sameScores(t *testing.T, name string, got, want forecast.RecordScores) {
	t.Helper()
	if !slices.EqualFunc(numbersOf(got), numbersOf(want), closeTo) {
		t.Errorf("%s:\n got %v\nwant %v", name, numbersOf(got), numbersOf(want))
	}
}

func where(all []happened, keep func(happened) bool) []happened {
	return slices.DeleteFunc(slices.Clone(all), func(h happened) bool { return !keep(h) })
}

func stageOf(h happened) forecast.Stage {
	if h.AsOf.Sub(h.OpenTime) < time.Minute {
		return forecast.AtOpen
	}
	return forecast.Stage(1 + int(4*h.Elapsed))
}

// What SQL sums up is what comes of measuring the forecasts one by one.
func TestTheRecordMeasuresStoredForecasts(t *testing.T) {
	d := timescaletest.Open(t)
	const count = 24
	all := someRecord(t, d, count)
	got, err := d.Record(t.Context(), btc15m, days(0, count))
	if err != nil {
		t.Fatal(err)
	}
	if got.Series != btc15m || got.Range != days(0, count) || got.Pending != 2 {
		t.Errorf("the record is of %s, %v, %d pending", got.Series, got.Range, got.Pending)
	}
	sameScores(t, "overall", got.Overall, scoresOf(all))
	if len(got.Days) != count || len(got.Stages) != 5 || len(got.Models) != 2 {
		t.Fatalf("%d days, %d stages, %d models", len(got.Days), len(got.Stages), len(got.Models))
	}
	for k, day := range got.Days {
		if !day.Key.Equal(newYear.AddDate(0, 0, k)) || day.PointSkillInterval.Valid {
			t.Errorf("day %d is %s, interval %v", k, day.Key, day.PointSkillInterval)
		}
		sameScores(t, day.Key.String(), day.RecordScores,
			scoresOf(where(all, func(h happened) bool { return h.OpenTime.YearDay() == day.Key.YearDay() })))
	}
	for k, stage := range got.Stages {
		if stage.Key != forecast.Stage(k) {
			t.Errorf("stage %d is %s", k, stage.Key)
		}
		sameScores(t, stage.Key.String(), stage.RecordScores, scoresOf(where(all, func(h happened) bool { return stageOf(h) == stage.Key })))
	}
	if got.Models[0].Key <= got.Models[1].Key {
		t.Errorf("the models are %d and %d, want the newest first", got.Models[0].Key, got.Models[1].Key)
	}
	for _, model := range got.Models {
		sameScores(t, "a model", model.RecordScores, scoresOf(where(all, func(h happened) bool { return h.Model.ID == model.Key })))
	}
	overall := got.Overall
	if i := overall.PointSkillInterval; !i.Valid || i.Value.Low > overall.PointSkill || i.Value.High < overall.PointSkill || i.Value.Low == i.Value.High {
		t.Errorf("the skill is %v in %+v", overall.PointSkill, i)
	}
	checkCalibration(t, got.Calibration, all)
}

func checkCalibration(t *testing.T, got forecast.Calibration, all []happened) {
	t.Helper()
	var want forecast.Calibration
	bins := make([]forecast.ReliabilityBin, 10)
	for _, h := range all {
		if h.closing == 0 {
			continue
		}
		place := 0
		for _, over := range []bool{
			h.closing >= h.Bands[1].Low, h.closing >= h.Bands[0].Low, h.closing > h.Bands[0].High, h.closing > h.Bands[1].High,
		} {
			place += int(one(over))
		}
		want.Places[place]++
		bin := &bins[min(9, int(10*h.ProbabilityAboveOpen))]
		bin.Rows++
		bin.Forecast += h.ProbabilityAboveOpen
		bin.Observed += one(h.closing > 42_000.1)
	}
	if got.Places != want.Places || slices.Contains(want.Places[:], 0) {
		t.Errorf("the closes lie in %v, want %v", got.Places, want.Places)
	}
	for k, bin := range bins {
		bin.Low, bin.High = float64(k)/10, float64(k+1)/10
		bin.Forecast /= float64(bin.Rows)
		bin.Observed /= float64(bin.Rows)
		if bin.Rows > 0 {
			want.Reliability = append(want.Reliability, bin)
		}
	}
	if !slices.EqualFunc(got.Reliability, want.Reliability, func(a, b forecast.ReliabilityBin) bool {
		return a.Low == b.Low && a.High == b.High && a.Rows == b.Rows && closeTo(a.Forecast, b.Forecast) && closeTo(a.Observed, b.Observed)
	}) {
		t.Errorf("reliability is %+v,\nwant %+v", got.Reliability, want.Reliability)
	}
}

func TestTheRecordKeepsToItsRange(t *testing.T) {
	d := timescaletest.Open(t)
	all := someRecord(t, d, 3)
	for name, test := range map[string]struct {
		series market.Series
		r      market.TimeRange
		rows   int
	}{
		"a candle":           {btc15m, market.TimeRange{Start: newYear, End: newYear.Add(time.Second)}, 2},
		"its end, excluded":  {btc15m, market.TimeRange{Start: newYear.Add(time.Second), End: newYear.Add(7 * time.Hour)}, 0},
		"all but a day":      {btc15m, days(0, 2), 12},
		"another interval":   {market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}, days(0, 3), 0},
		"another symbol":     {market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}, days(0, 3), 0},
		"all but the scored": {btc15m, market.TimeRange{Start: all[len(all)-1].OpenTime, End: newYear.AddDate(1, 0, 0)}, 0},
	} {
		got, err := d.Record(t.Context(), test.series, test.r)
		if err != nil || got.Overall.Rows != test.rows {
			t.Errorf("%s: %d rows, %v; want %d", name, got.Overall.Rows, err, test.rows)
		}
		if test.rows == 0 && (!reflect.DeepEqual(got.Overall, forecast.RecordScores{}) || len(got.Days)+len(got.Stages)+len(got.Models) > 0) {
			t.Errorf("%s: the record of nothing is %+v", name, got)
		}
	}
}

func TestRecentForecasts(t *testing.T) {
	d := timescaletest.Open(t)
	all := someRecord(t, d, 2)
	slices.Reverse(all)
	for _, limit := range []int{1, 5, 100} {
		got, err := d.RecentForecasts(t.Context(), btc15m, limit)
		if err != nil || len(got) != min(limit, len(all)) {
			t.Fatalf("limit %d: %d forecasts, %v", limit, len(got), err)
		}
		for k, row := range got {
			f := all[k]
			want := forecast.RecordRow{
				Series: btc15m, OpenTime: f.OpenTime, CloseTime: f.CloseTime, AsOf: f.AsOf, ModelID: f.Model.ID, Elapsed: f.Elapsed,
				Open: f.Open, Last: f.Last, Prediction: f.Prediction, ProbabilityAboveOpen: f.ProbabilityAboveOpen,
				ProbabilityAnalytic: market.Some(f.ProbabilityAnalytic), Decision: market.Some(f.Decision),
			}
			if f.closing > 0 {
				want.Outcome = market.Some(forecast.Outcome{
					Open: 42_000.1, Close: f.closing, Hit: (f.ProbabilityAboveOpen > 0.5) == (f.closing > 42_000.1),
					InBand80: f.Bands[0].Low <= f.closing && f.closing <= f.Bands[0].High,
					InBand90: f.Bands[1].Low <= f.closing && f.closing <= f.Bands[1].High,
				})
			}
			row.OpenTime, row.CloseTime, row.AsOf = row.OpenTime.UTC(), row.CloseTime.UTC(), row.AsOf.UTC()
			if !reflect.DeepEqual(row, want) {
				t.Errorf("forecast %d:\n got %+v\nwant %+v", k, row, want)
			}
		}
	}
}

// Of forecasts that were stored before their decision was, what can be told is told.
func TestOldForecastsHaveARecord(t *testing.T) {
	d := timescaletest.Open(t)
	someRecord(t, d, 2)
	m, err := d.Migrator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	before, err := d.Record(t.Context(), btc15m, days(0, 2))
	if err != nil {
		t.Fatal(err)
	}
	const before18 = 17 // with 18 came what is kept of decisions
	if err := m.Migrate(before18); err != nil {
		t.Fatal(err)
	}
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Pool().Reset() // statements prepared before
	after, err := d.Record(t.Context(), btc15m, days(0, 2))
	if err != nil {
		t.Fatal(err)
	}
	if after.Overall.BrierAnalytic.Valid {
		t.Errorf("the analytic probability was not stored, its score is %v", after.Overall.BrierAnalytic)
	}
	before.Overall.BrierAnalytic = market.Optional[float64]{}
	sameScores(t, "an old record", after.Overall, before.Overall)
	recent, err := d.RecentForecasts(t.Context(), btc15m, 1)
	if err != nil || recent[0].Decision.Valid || recent[0].ProbabilityAnalytic.Valid {
		t.Errorf("an old forecast is %+v, %v", recent, err)
	}
}

// The view says by model, stage and day what the record says of them.
func TestTheViewOfScores(t *testing.T) {
	d := timescaletest.Open(t)
	all := someRecord(t, d, 2)
	groups := ask[string](t, d, `SELECT concat_ws(' ', model_id, stage, day, forecasts, candles) FROM forecast_scores ORDER BY day, stage`)
	if got := strings.Join(groups, ", "); !strings.Contains(got, "0 2024-01-01 3 3, ") || len(groups) < 6 {
		t.Errorf("the groups are %s", got)
	}
	want := scoresOf(where(all, func(h happened) bool { return h.AsOf.Before(newYear.AddDate(0, 0, 1)) && stageOf(h) == forecast.AtOpen }))
	got := ask[float64](t, d, `
		SELECT unnest(ARRAY[forecasts, point_skill, hit_rate, brier, brier_analytic, 1, coverage_80, coverage_90, width_80, width_90,
			pinball_loss, pinball_loss_stays, pinball_loss_ewma, pinball_loss_har])
		FROM forecast_scores WHERE day = '2024-01-01' AND stage = 0`)
	if !slices.EqualFunc(got, numbersOf(want), closeTo) {
		t.Errorf("got %v, want %v", got, numbersOf(want))
	}
}

// A month of a forecast a minute of two pairs.
func BenchmarkRecord(b *testing.B) {
	d := timescaletest.Open(b)
	model := someModel(b, d)
	if err := d.WriteForecasts(b.Context(), []forecast.Forecast{forecastAt(model, 0)}); err != nil {
		b.Fatal(err)
	}
	fill := func(sql string) {
		b.Helper()
		if _, err := d.Pool().Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	// In the order of time, in which they are stored.
	fill(`
		INSERT INTO forecasts (symbol, interval, open_time, as_of, model_id, close_time, elapsed, open, last, point,
			low_80, high_80, low_90, high_90, probability_up, probability_above_open, probability_analytic,
			decision, expected_gain, fee, spread, companion_missing, baselines, scored_at, actual_open, actual_close)
		SELECT pair, interval, open_time + k / 15 * w, open_time + k / 15 * w + k % 15 * m, model_id, close_time + k / 15 * w, k % 15 / 15.0,
			open, last, point, low_80, high_80, low_90, high_90, probability_up, abs(sin(k)), probability_analytic,
			decision, expected_gain, fee, spread, companion_missing, baselines, now(), open, 42000 + 50 * sin(k / 15 * 15)
		FROM forecasts, generate_series(15, 43214) AS k, unnest(ARRAY['BTCUSDT', 'ETHUSDT']) AS pair,
			CAST('15 minutes' AS interval) AS w, CAST('1 minute' AS interval) AS m
		ORDER BY k`)
	fill(`VACUUM ANALYZE forecasts`)
	b.Run("month", func(b *testing.B) {
		for b.Loop() {
			r, err := d.Record(b.Context(), btc15m, days(0, 40))
			if err != nil || r.Overall.Rows != 43_200 {
				b.Fatal(r.Overall.Rows, err)
			}
		}
	})
	b.Run("recent", func(b *testing.B) {
		for b.Loop() {
			if recent, err := d.RecentForecasts(b.Context(), btc15m, 100); err != nil || len(recent) != 100 {
				b.Fatal(len(recent), err)
			}
		}
	})
}

// Records take long: however many are asked for, other questions are answered.
func TestRecordsLeaveConnectionsToOthers(t *testing.T) {
	d := timescaletest.Open(t)
	locked, err := d.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := locked.Exec(t.Context(), `LOCK TABLE forecasts`); err != nil {
		t.Fatal(err)
	}
	var asked sync.WaitGroup
	for range 20 {
		asked.Go(func() {
			if _, err := d.Record(t.Context(), btc15m, days(0, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	for ask[int](t, d, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'forecasts'::regclass`)[0] == 0 {
	}
	patience, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := d.Models(patience, btc15m); err != nil {
		t.Errorf("beside records: %v", err)
	}
	if _, err := d.Record(patience, btc15m, days(0, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits for too long gets %v", err)
	}
	if err := locked.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked.Wait()
}
