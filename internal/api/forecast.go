package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

type forecastInput struct {
	Symbol   symbolName   `path:"symbol"`
	Interval intervalName `query:"interval" default:"15m"`
	At       instant      `query:"at" doc:"Forecast the candle that was open at this instant, RFC 3339 or epoch milliseconds, using nothing later: no candle, and no model that has learnt from a candle which closed after it. Where there is no such model, the answer is 404 and says how to train one. Without it, the candle after the newest stored one."`
}

type forecastAnswer struct {
	Symbol           market.Symbol      `json:"symbol" example:"BTCUSDT"`
	Interval         intervalName       `json:"interval"`
	AsOf             time.Time          `json:"as_of" doc:"Nothing later than this instant was used."`
	AgeSeconds       int64              `json:"age_seconds" doc:"Whole seconds since as_of."`
	Stale            bool               `json:"stale" doc:"Whether at was not given and as_of is more than one interval ago: newer candles are missing."`
	OpenTime         time.Time          `json:"open_time" doc:"First instant of the forecast candle."`
	CloseTime        time.Time          `json:"close_time" doc:"First instant after the forecast candle: the forecast is of the price then."`
	Last             float64            `json:"last" doc:"Newest price at as_of, in the quote asset."`
	Open             float64            `json:"open" doc:"Of the forecast candle; before it has traded, last stands in for it."`
	Elapsed          float64            `json:"elapsed" minimum:"0" maximum:"1" doc:"Share of the candle's time that had passed at as_of."`
	Point            float64            `json:"point" doc:"Expected close, in the quote asset."`
	ExpectedChangeBP float64            `json:"expected_change_bp" doc:"Point against last, in basis points (1/100 %)."`
	Bands            []forecastBand     `json:"bands" doc:"Narrowest first."`
	ProbabilityUp    float64            `json:"probability_up" minimum:"0" maximum:"1" doc:"Of a close above the newest price (last)."`
	AboveOpen        float64            `json:"probability_above_open" minimum:"0" maximum:"1" doc:"Of a close above the candle's open."`
	Analytic         float64            `json:"probability_analytic" minimum:"0" maximum:"1" doc:"The same by the normal distribution over the width of what is left of the candle, which probability_above_open starts from and has to beat."`
	Decision         forecastDecision   `json:"decision"`
	Baselines        []forecastBaseline `json:"baselines" doc:"Forecasts that need no model: it is worth as much as it beats them by."`
	Model            ForecastModel      `json:"model"`
	CompanionMissing bool               `json:"companion_missing" doc:"Whether the other pair's newest candles were not there, which makes the widths a little worse."`
	Disclaimer       string             `json:"disclaimer" const:"Information, not financial advice."`
}

type forecastBand struct {
	Level float64 `json:"level" doc:"Probability that the close lies in the band." example:"0.8"`
	Low   float64 `json:"low" doc:"In the quote asset."`
	High  float64 `json:"high" doc:"In the quote asset."`
}

type forecastBaseline struct {
	Name          string         `json:"name" example:"HAR"`
	Point         float64        `json:"point" doc:"In the quote asset."`
	Bands         []forecastBand `json:"bands" doc:"Narrowest first."`
	ProbabilityUp float64        `json:"probability_up" minimum:"0" maximum:"1" doc:"Of a close above the newest price (last): a half, as no baseline has a view of the direction."`
}

type forecastDecision struct {
	Action       string        `json:"action" enum:"buy,sell,hold" doc:"What the forecast would have one do until the candle closes: hold unless expected_gain is above 0. Not financial advice."`
	ExpectedGain float64       `json:"expected_gain" doc:"What the better of buying and selling at last, and undoing it at the close, is expected to earn after costs, as a share of the price."`
	Costs        decisionCosts `json:"costs"`
}

type decisionCosts struct {
	Fee    float64 `json:"fee" doc:"Of one trade, paid at its beginning and at its end, as a share of the price." example:"0.001"`
	Spread float64 `json:"spread" doc:"Between the best bid and the best ask, crossed once there and back, as a share of the price." example:"0.0001"`
}

// ForecastModel is what a forecast says of its model. It is exported for Huma, which
// passes over the fields of an embedded type that is not.
type ForecastModel struct {
	ID        int64           `json:"id"`
	TrainedAt time.Time       `json:"trained_at"`
	Window    timeRange       `json:"window" doc:"Open times of the candles learnt from."`
	Rows      int             `json:"rows" doc:"Training rows."`
	Skipped   int             `json:"skipped" doc:"Candles of the window that could not be learnt from."`
	Features  []string        `json:"features"`
	Metrics   forecastMetrics `json:"metrics" doc:"On the newest month, by a model that had not seen it."`
}

type forecastMetrics struct {
	Fold timeRange `json:"fold" doc:"Open times of the candles forecast."`
	MetricScores
	Quarters []MetricScores  `json:"quarters" doc:"Of forecasts within the candle, by the quarter of its time that had begun; without rows where no finer candles are stored."`
	Trading  tradingEarnings `json:"trading"`
}

// MetricScores measures forecasts of candles against what happened; those of a fold
// are at the open, one a candle. It is exported for Huma, which passes over the fields
// of an embedded type that is not.
type MetricScores struct {
	Rows           int               `json:"rows" doc:"Forecasts measured. Without any, all that follows is 0."`
	PointSkill     float64           `json:"point_skill" doc:"1 − MSE/MSE₀ of log returns against the forecast that the price stays; above 0 is better, 0 where no price moved."`
	PointSkillLow  float64           `json:"point_skill_low" doc:"The skill lies from here to point_skill_high with a confidence of 95 %, by a bootstrap over days. Where 0 lies between, nothing is known of it; of fewer than 20 days nothing ever is, and the two are -1, or the skill where that is less, and 1."`
	PointSkillHigh float64           `json:"point_skill_high"`
	HitRate        float64           `json:"hit_rate" doc:"Share of closes on the more probable side of the open, no move counting as below."`
	Brier          float64           `json:"brier" doc:"Brier score of probability_above_open; 0.25 is a coin."`
	BrierAnalytic  float64           `json:"brier_analytic" doc:"Brier score of probability_analytic."`
	Widths         widthMetrics      `json:"widths"`
	Baselines      []baselineMetrics `json:"baselines" doc:"The baselines on the same candles."`
}

type tradingEarnings struct {
	Buys             int      `json:"buys" doc:"Candles, by what the forecast at the open would have had one do."`
	Sells            int      `json:"sells"`
	Holds            int      `json:"holds"`
	Earned           float64  `json:"earned" doc:"What those decisions would have earned after costs, as a share of what one began with."`
	Drawdown         float64  `json:"drawdown" doc:"Their largest fall from a peak before, in [0, 1]."`
	EarnedByHolding  float64  `json:"earned_by_holding" doc:"What holding the coin would have earned."`
	HoldingsDrawdown float64  `json:"holdings_drawdown" doc:"The largest fall of the held coin."`
	Fee              *float64 `json:"fee" doc:"That it was reckoned with: of one trade, paid at its beginning and at its end, as a share of the price; null where nothing was decided, and of a model that was trained before this was kept."`
	Spread           *float64 `json:"spread" doc:"That it was reckoned with: between the best bid and the best ask, crossed once there and back, as a share of the price; null as the fee is."`
}

type baselineMetrics struct {
	Name   string       `json:"name" example:"HAR"`
	Widths widthMetrics `json:"widths"`
}

type widthMetrics struct {
	PinballLoss float64 `json:"pinball_loss" doc:"Mean over the quantiles 2.5, 5, 10, 25, 50, 75, 90, 95 and 97.5 %, in basis points of the price; less is better."`
	Coverage50  float64 `json:"coverage_50" doc:"Share of closes within the 50 % band."`
	Coverage80  float64 `json:"coverage_80" doc:"Share of closes within the 80 % band."`
	Coverage90  float64 `json:"coverage_90" doc:"Share of closes within the 90 % band."`
	Coverage95  float64 `json:"coverage_95" doc:"Share of closes within the 95 % band."`
	Width80     float64 `json:"width_80" doc:"Mean width of the 80 % band, in basis points of the price."`
	Width90     float64 `json:"width_90" doc:"Mean width of the 90 % band, in basis points of the price."`
}

type timeRange struct {
	Start time.Time `json:"start" doc:"Included."`
	End   time.Time `json:"end" doc:"Not included."`
}

const disclaimer = "Information, not financial advice."

func registerForecast(api huma.API, h History, f Forecaster, clock func() time.Time) {
	register(api, huma.Operation{
		OperationID: "get-forecast", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/forecast", Tags: []string{"forecast"}, Security: open,
		Summary:     "Get forecast",
		Description: "Where the open candle of a symbol may close: a point, bands, the probability of a close above the newest price and above the open, and what they would have one do, beside what simple baselines say, and how well the model did on candles that it had not seen. Information, not financial advice.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *forecastInput) (*body[forecastAnswer], error) {
		f, err := answerForecast(ctx, h, f, clock, input)
		return answerWith(f, err)
	})
}

func answerForecast(ctx context.Context, h History, f Forecaster, clock func() time.Time, input *forecastInput) (forecastAnswer, error) {
	series, err := seriesOf(input.Symbol, input.Interval)
	if err != nil {
		return forecastAnswer{}, err
	}
	now, at := clock(), time.Time(input.At)
	if at.After(now) {
		return forecastAnswer{}, invalid(ctx, "query.at", "expected an instant that is not in the future")
	}
	if _, err := openTimesOf(ctx, h, series); err != nil {
		return forecastAnswer{}, err
	}
	forecasted, err := f.Forecast(ctx, series, at)
	if err != nil {
		return forecastAnswer{}, fmt.Errorf("forecasting %s: %w", series, err)
	}
	told := forecastOf(forecasted, now)
	told.Stale = told.Stale && at.IsZero()
	// Huma would find out after status 200 that a number is not finite.
	if _, err := json.Marshal(told); err != nil {
		return forecastAnswer{}, fmt.Errorf("encoding the forecast of %s: %w", series, err)
	}
	return told, nil
}

func forecastOf(f forecast.Forecast, now time.Time) forecastAnswer {
	age := now.Sub(f.AsOf)
	answer := forecastAnswer{
		Symbol: f.Symbol, Interval: intervalName(f.Interval),
		AsOf: f.AsOf.UTC(), AgeSeconds: int64(age / time.Second), Stale: age > f.Interval.Length(), OpenTime: f.OpenTime.UTC(), CloseTime: f.CloseTime.UTC(),
		Last: f.Last, Open: f.Open, Elapsed: f.Elapsed, Point: f.Point, ExpectedChangeBP: (f.Point - f.Last) / f.Last * 1e4,
		Bands: bandsOf(f.Bands), ProbabilityUp: f.ProbabilityUp, AboveOpen: f.ProbabilityAboveOpen,
		Analytic: f.ProbabilityAnalytic, Decision: decisionOf(f.Decision), Baselines: []forecastBaseline{},
		Model: modelOf(f.Model), CompanionMissing: f.CompanionMissing, Disclaimer: disclaimer,
	}
	for _, b := range f.Baselines {
		answer.Baselines = append(answer.Baselines, forecastBaseline{
			Name: b.Name, Point: b.Point, Bands: bandsOf(b.Bands), ProbabilityUp: b.ProbabilityUp,
		})
	}
	return answer
}

func bandsOf(bands []forecast.Band) []forecastBand {
	answer := []forecastBand{}
	for _, b := range bands {
		answer = append(answer, forecastBand{Level: b.Level, Low: b.Low, High: b.High})
	}
	return answer
}

func decisionOf(d forecast.Decision) forecastDecision {
	return forecastDecision{Action: string(d.Action), ExpectedGain: d.ExpectedGain, Costs: decisionCosts(d.Costs)}
}

func modelOf(m forecast.Model) ForecastModel {
	answer := ForecastModel{
		ID: m.ID, TrainedAt: m.TrainedAt.UTC(), Window: timeRangeOf(m.Window), Rows: m.Rows, Skipped: m.Skipped,
		Features: append([]string{}, m.Features...),
		Metrics: forecastMetrics{
			Fold: timeRangeOf(m.Metrics.Fold), MetricScores: metricScoresOf(m.Metrics.Scores),
			Quarters: []MetricScores{}, Trading: tradingOf(m.Metrics.Trading),
		},
	}
	for _, q := range m.Metrics.Quarters {
		answer.Metrics.Quarters = append(answer.Metrics.Quarters, metricScoresOf(q))
	}
	return answer
}

func tradingOf(t forecast.Trading) tradingEarnings {
	answer := tradingEarnings{
		Buys: t.Buys, Sells: t.Sells, Holds: t.Holds, Earned: t.Earned, Drawdown: t.Drawdown,
		EarnedByHolding: t.EarnedByHolding, HoldingsDrawdown: t.HoldingsDrawdown,
	}
	if t.Costs != nil {
		answer.Fee, answer.Spread = &t.Costs.Fee, &t.Costs.Spread
	}
	return answer
}

func metricScoresOf(s forecast.Scores) MetricScores {
	answer := MetricScores{
		Rows: s.Rows, PointSkill: s.PointSkill, PointSkillLow: s.PointSkillLow, PointSkillHigh: s.PointSkillHigh,
		HitRate: s.HitRate, Brier: s.Brier, BrierAnalytic: s.BrierAnalytic,
		Widths: widthMetrics(s.WidthMetrics), Baselines: []baselineMetrics{},
	}
	for _, b := range s.Baselines {
		answer.Baselines = append(answer.Baselines, baselineMetrics{Name: b.Name, Widths: widthMetrics(b.WidthMetrics)})
	}
	return answer
}

func timeRangeOf(r market.TimeRange) timeRange {
	return timeRange{Start: r.Start.UTC(), End: r.End.UTC()}
}
