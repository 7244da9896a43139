package dashboard

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// fakeRecord makes a record of the same sums, whatever the range.
type fakeRecord struct {
	sums   []forecast.RecordSums
	recent []forecast.RecordRow

	err       error
	recentErr error
	asked     *market.TimeRange // the range of the last call, unless nil
}

func (f fakeRecord) Record(_ context.Context, series market.Series, r market.TimeRange) (forecast.Record, error) {
	if f.asked != nil {
		*f.asked = r
	}
	return forecast.NewRecord(series, r, f.sums), f.err
}

func (f fakeRecord) RecentForecasts(_ context.Context, _ market.Series, limit int) ([]forecast.RecordRow, error) {
	return f.recent[:min(limit, len(f.recent))], f.recentErr
}

func (f fakeRecord) FirstForecasts(_ context.Context, _ market.Series, r market.TimeRange) ([]forecast.RecordRow, error) {
	first := map[time.Time]forecast.RecordRow{}
	for _, row := range f.recent { // newest first
		if r.Contains(row.OpenTime) {
			first[row.OpenTime] = row
		}
	}
	rows := slices.Collect(maps.Values(first))
	slices.SortFunc(rows, func(a, b forecast.RecordRow) int { return a.OpenTime.Compare(b.OpenTime) })
	return rows, f.recentErr
}

type fakeModels struct {
	models []forecast.Model
	err    error
}

func (f fakeModels) Models(context.Context, market.Series) ([]forecast.Model, error) {
	return f.models, f.err
}

// recordOf makes a record of the days up to midnight by two models, the second of
// which made the forecasts of the last ten days.
func recordOf(days int) fakeRecord {
	random := rand.New(rand.NewPCG(11, 13))
	var f fakeRecord
	for day := range days {
		model := int64(1)
		if day >= days-10 {
			model = 2
		}
		calm := 1 + 0.4*math.Sin(float64(day)/3)
		for stage := range forecast.Stage(5) {
			for tenth := range 10 {
				rows := 10 + tenth*(9-tenth)*3
				if stage == forecast.AtOpen {
					rows = []int{0, 0, 0, 3, 45, 45, 3, 0, 0, 0}[tenth]
				}
				if rows == 0 {
					continue
				}
				n, left := float64(rows), calm*(1-0.2*float64(stage))
				squares := 6e-6 * left * n
				chance := (float64(tenth) + 0.5) / 10
				rose := int(n*chance + random.Float64())
				low, high := int(0.095*n+random.Float64()), int(0.1*n+random.Float64())
				f.sums = append(f.sums, forecast.RecordSums{
					Day: midnight.AddDate(0, 0, day-days), Stage: stage, ModelID: model, Tenth: tenth, Rows: rows,
					Squares: squares * (0.998 + 0.003*random.Float64()), SquaresStay: squares,
					Hits: max(rose, rows-rose), Brier: chance * (1 - chance) * n, Analytic: forecast.SumOfSome{Rows: rows, Sum: 1.01 * chance * (1 - chance) * n},
					Width80: 41e-4 * left * n, Width90: 58e-4 * left * n, PinballLoss: 3.1 * left * n,
					Stays: forecast.SumOfSome{Rows: rows, Sum: 3.7 * left * n}, EWMA: forecast.SumOfSome{Rows: rows, Sum: 3.3 * left * n},
					HAR:    forecast.SumOfSome{Rows: rows, Sum: 3.14 * left * n},
					Places: [5]int{low / 2, low - low/2, rows - low - high, high - high/2, high / 2}, AboveOpen: chance * n, Rose: rose,
				})
			}
		}
	}
	f.sums = append(f.sums, forecast.RecordSums{Day: midnight, Stage: forecast.AtOpen, ModelID: 2, Tenth: 5, Pending: 4})
	f.recent = recentRows(120)
	return f
}

// recentRows makes forecasts, the newest first, one every five minutes up to four
// minutes past midnight; those of the candle that opened at midnight are open. The
// oldest has no decision.
func recentRows(n int) []forecast.RecordRow {
	rows := make([]forecast.RecordRow, n)
	candles := randomWalk(bitcoin, n)
	for k := range rows {
		asOf := midnight.Add(4*time.Minute - time.Duration(5*k)*time.Minute)
		open := bitcoin.Interval.Floor(asOf)
		last, closed := candles[n-1-k].Open, candles[n-1-k].Close
		row := forecast.RecordRow{
			Series: bitcoin, OpenTime: open, CloseTime: bitcoin.Interval.Next(open), AsOf: asOf, ModelID: 2,
			Elapsed: float64(asOf.Sub(open)) / float64(15*time.Minute), Open: last, Last: last,
			Prediction: forecast.Prediction{Point: last * 1.00012, ProbabilityUp: 0.51, Bands: []forecast.Band{
				{Level: 0.8, Low: last * 0.9985, High: last * 1.0015}, {Level: 0.9, Low: last * 0.9978, High: last * 1.0022}}},
			ProbabilityAboveOpen: 0.513, ProbabilityAnalytic: market.Some(0.5),
			Decision: market.Some(forecast.Decision{Action: forecast.Hold, ExpectedGain: -0.002, Costs: forecast.UsualCosts}),
		}
		if !row.CloseTime.After(midnight) {
			row.Outcome = market.Some(forecast.Outcome{
				Open: last, Close: closed, Hit: closed > last,
				InBand80: math.Abs(closed/last-1) <= 0.0015, InBand90: math.Abs(closed/last-1) <= 0.0022,
			})
		}
		rows[k] = row
	}
	rows[min(n, recentForecasts)-1].Decision = market.Optional[forecast.Decision]{}
	return rows
}

// threeModels are the newest, which was not promoted, the one in use, and an old
// one whose file was pruned.
func threeModels() fakeModels {
	model := func(id int64, month time.Time) forecast.Model {
		return forecast.Model{
			ID: id, Series: bitcoin, TrainedAt: month.Add(6*time.Hour + 30*time.Minute), Rows: 86_779 + int(id), DataHash: "00ff",
			Window: market.TimeRange{Start: month.AddDate(-2, -6, 0), End: month}, Metrics: metricsOfJune(), Bytes: 4_213_000,
			Settings: `{"trees":100,"leaf":200,"seed":1}`,
		}
	}
	newest, inUse, old := model(3, midnight), model(2, midnight.AddDate(0, -1, 0)), model(1, midnight.AddDate(0, -2, 0))
	newest.Verdict.Reason = "its pinball loss on the newest month is 0.8 % above that of model 2"
	inUse.Verdict = forecast.Verdict{Promoted: true, Reason: "its pinball loss on the newest month is 1.1 % below HAR’s and 0.2 % below that of model 1"}
	inUse.InUseSince = market.Some(midnight.AddDate(0, -1, 0).Add(7 * time.Hour))
	inUse.Importance = []forecast.Importance{
		{Feature: "volatility so far", PinballLoss: 0.4123}, {Feature: "share elapsed", PinballLoss: 0.3011},
		{Feature: "realised volatility 16", PinballLoss: 0.1204}, {Feature: "hour, sine", PinballLoss: 0.0213},
		{Feature: "companion_volatility_672", PinballLoss: 0.0005}, {Feature: "return 2", PinballLoss: 0.0004}, {Feature: "day of week", PinballLoss: -0.0011},
	}
	// The usual training: a month holds no skill of the point, and the verdict is long.
	newest.Metrics.PointSkillLow = -0.0011
	newest.Verdict.Reason += ": pinball loss 3.412 bp at the open and 2.123 bp within the candle, against 3.450 and 2.193 of HAR and 3.602 and 2.412 of EWMA"
	old.Verdict = forecast.Verdict{Promoted: true, Reason: "no other model of the series is in use"}
	old.Bytes, old.Metrics = 0, forecast.Metrics{}
	return fakeModels{models: []forecast.Model{newest, inUse, old}}
}

func withRecord() Dependencies {
	dependencies := month()
	dependencies.Record, dependencies.Models = recordOf(30), threeModels()
	return dependencies
}

// hostileRecord holds markup wherever a page writes text that a store holds.
func hostileRecord() Dependencies {
	dependencies := withRecord()
	models := threeModels()
	models.models[0].Verdict.Reason = hostile
	models.models[1].Settings = hostile
	models.models[1].Importance[0].Feature = hostile
	models.models[1].Metrics.Baselines[0].Name = hostile
	record := recordOf(30)
	record.recent[0].Decision.Value.Action = hostile
	dependencies.Models, dependencies.Record = models, record
	return dependencies
}
