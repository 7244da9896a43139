package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

type scoresInput struct {
	Symbol   symbolName   `path:"symbol"`
	Interval intervalName `query:"interval" default:"15m"`
	Start    instant      `query:"start" doc:"First open time of the candles, included: RFC 3339 or epoch milliseconds. Without it, 30 days before end."`
	End      instant      `query:"end" doc:"Last open time, not included: RFC 3339 or epoch milliseconds, at most 366 days after start. Without it, now."`
}

type forecastsInput struct {
	Symbol   symbolName   `path:"symbol"`
	Interval intervalName `query:"interval" default:"15m"`
	Limit    int          `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most forecasts in an answer."`
	Page[forecastKey]
}

type record struct {
	Symbol      market.Symbol `json:"symbol" example:"BTCUSDT"`
	Interval    intervalName  `json:"interval"`
	Range       timeRange     `json:"range" doc:"Open times of the candles."`
	Pending     int           `json:"pending" doc:"Stored forecasts of these candles that have not been scored yet."`
	Overall     RecordScores  `json:"overall" doc:"Of all stored forecasts of these candles, one a minute: several share one outcome."`
	Days        []dayScores   `json:"days" doc:"By the day, UTC, that the candle opens on, ascending; of all forecasts."`
	Stages      []stageScores `json:"stages" doc:"By how far the candle had come, ascending: one forecast a candle at the open, one a minute in the quarters."`
	Models      []modelScores `json:"models" doc:"By the model that made them, the newest first; of all forecasts."`
	Calibration calibration   `json:"calibration"`
	Disclaimer  string        `json:"disclaimer" const:"Information, not financial advice."`
}

type dayScores struct {
	Day string `json:"day" format:"date" example:"2024-03-01"`
	RecordScores
}

type stageScores struct {
	Stage stageName `json:"stage"`
	RecordScores
}

type modelScores struct {
	ModelID int64 `json:"model_id"`
	RecordScores
}

// stageName is how far a candle had come.
type stageName string

// Schema describes the field, for Huma.
func (stageName) Schema(huma.Registry) *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeString, Description: "How far the candle had come: in its first minute, or in which quarter of its time."}
	for stage := range forecast.Stage(5) {
		schema.Enum = append(schema.Enum, stage.String())
	}
	return schema
}

// RecordScores measures stored forecasts. It is exported for Huma, which passes over
// the fields of an embedded type that is not.
type RecordScores struct {
	Rows           int            `json:"rows" doc:"Forecasts measured. Without any, all that follows is 0."`
	PointSkill     float64        `json:"point_skill" doc:"1 − MSE/MSE₀ of log returns against the forecast that the price stays; above 0 is better, 0 where no price moved."`
	PointSkillLow  *float64       `json:"point_skill_low" doc:"The skill lies from here to point_skill_high with a confidence of 95 %, by a bootstrap over days; null where there are fewer than 20. Where 0 lies between, nothing is known of it."`
	PointSkillHigh *float64       `json:"point_skill_high"`
	HitRate        float64        `json:"hit_rate" doc:"Share of closes on the more probable side of the open, no move counting as below."`
	Brier          float64        `json:"brier" doc:"Brier score of probability_above_open; 0.25 is a coin."`
	BrierAnalytic  *float64       `json:"brier_analytic" doc:"Brier score of probability_analytic; null where that was not stored with every forecast."`
	Coverage80     float64        `json:"coverage_80" doc:"Share of closes within the 80 % band."`
	Coverage90     float64        `json:"coverage_90" doc:"Share of closes within the 90 % band."`
	Width80        float64        `json:"width_80" doc:"Mean width of the 80 % band, in basis points of the price."`
	Width90        float64        `json:"width_90" doc:"Mean width of the 90 % band, in basis points of the price."`
	PinballLoss    float64        `json:"pinball_loss" doc:"Mean over the quantiles 5, 10, 90 and 95 %, in basis points of the price; less is better. A model's metrics are over nine quantiles and cannot be held against it."`
	Baselines      []baselineLoss `json:"baselines" doc:"The baselines on the same forecasts."`
}

type baselineLoss struct {
	Name        string  `json:"name" example:"HAR"`
	PinballLoss float64 `json:"pinball_loss" doc:"By the same measure."`
}

type calibration struct {
	Places      []calibrationPlace `json:"places" doc:"Where the closes lie in the predicted distributions, from the lowest up."`
	Reliability []reliabilityBin   `json:"reliability" doc:"probability_above_open against what happened, by tenths, ascending; those without forecasts are left out."`
}

type calibrationPlace struct {
	From     float64 `json:"from" doc:"Lower end of the place, as a probability." example:"0.1"`
	To       float64 `json:"to" doc:"Upper end." example:"0.9"`
	Expected float64 `json:"expected" doc:"Share of closes that belong here." example:"0.8"`
	Observed float64 `json:"observed" doc:"Share of closes that lie here; 0 where there are none."`
	Rows     int     `json:"rows" doc:"Forecasts whose closes lie here."`
}

type reliabilityBin struct {
	Low      float64 `json:"low" doc:"Lowest probability, included." example:"0.4"`
	High     float64 `json:"high" doc:"Highest probability, not included, except for 1." example:"0.5"`
	Forecast float64 `json:"forecast" doc:"Mean probability of a close above the open."`
	Observed float64 `json:"observed" doc:"Share of closes above it."`
	Rows     int     `json:"rows" doc:"Forecasts measured."`
}

type pastForecasts struct {
	Symbol     market.Symbol  `json:"symbol" example:"BTCUSDT"`
	Interval   intervalName   `json:"interval"`
	Forecasts  []pastForecast `json:"forecasts" doc:"Newest first. One a minute is stored."`
	NextCursor *string        `json:"next_cursor" doc:"Give it as cursor for the next page, of older ones; null where there is none."`
	Disclaimer string         `json:"disclaimer" const:"Information, not financial advice."`
}

type pastForecast struct {
	ModelID       int64             `json:"model_id"`
	AsOf          time.Time         `json:"as_of" doc:"Nothing later than this instant was used."`
	OpenTime      time.Time         `json:"open_time" doc:"First instant of the forecast candle."`
	CloseTime     time.Time         `json:"close_time" doc:"First instant after the forecast candle."`
	Elapsed       float64           `json:"elapsed" minimum:"0" maximum:"1" doc:"Share of the candle's time that had passed at as_of."`
	Open          float64           `json:"open" doc:"Of the candle, as it was known, in the quote asset."`
	Last          float64           `json:"last" doc:"Newest price at as_of."`
	Point         float64           `json:"point" doc:"Expected close."`
	Bands         []forecastBand    `json:"bands" doc:"Narrowest first."`
	ProbabilityUp float64           `json:"probability_up" minimum:"0" maximum:"1" doc:"Of a close above last."`
	AboveOpen     float64           `json:"probability_above_open" minimum:"0" maximum:"1" doc:"Of a close above the open."`
	Analytic      *float64          `json:"probability_analytic" doc:"The same by the normal distribution; null where it was not stored."`
	Decision      *forecastDecision `json:"decision" doc:"Null where it was not stored."`
	Outcome       *outcome          `json:"outcome" doc:"What happened; null until the candle has closed."`
}

// TransformSchema allows null for what may be absent, which Huma has no tag for where
// it is an object.
func (pastForecast) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	for _, name := range []string{"decision", "outcome"} {
		object := s.Properties[name]
		s.Properties[name] = &huma.Schema{
			Description: object.Description, AnyOf: []*huma.Schema{{Ref: object.Ref}, {Type: "null"}},
		}
	}
	return s
}

type outcome struct {
	Open     float64 `json:"open" doc:"Of the closed candle, in the quote asset."`
	Close    float64 `json:"close" doc:"Of the closed candle."`
	Hit      bool    `json:"hit" doc:"Whether the more probable side of the open came true, no move counting as below."`
	InBand80 bool    `json:"in_band_80" doc:"Whether the close lies in the 80 % band, its ends included."`
	InBand90 bool    `json:"in_band_90" doc:"Whether the close lies in the 90 % band, its ends included."`
}

const (
	// usualRecord is how much of the past a record is of unless the client says so.
	usualRecord = 30 * 24 * time.Hour
	// longestRecord bounds how much one answer goes through: a year of a forecast a
	// minute takes about a second.
	longestRecord = 366 * 24 * time.Hour
)

func registerScores(api huma.API, h History, records forecast.RecordStore, now func() time.Time) {
	register(api, huma.Operation{
		OperationID: "get-scores", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/scores", Tags: []string{"forecast"}, Security: open,
		Summary: "Get scores",
		Description: "How the forecasts that the service made and stored while it followed the market came out: overall, by day, by how far the candle had come, by model, and whether their probabilities came true. " +
			"A forecast a minute is stored, so that several share the outcome of one candle; those at the open are one a candle.",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, input *scoresInput) (*struct{ Body record }, error) {
		series, err := knownSeries(ctx, h, input.Symbol, input.Interval)
		if err != nil {
			return nil, err
		}
		r, err := recordRange(ctx, input, now())
		if err != nil {
			return nil, err
		}
		read, err := records.Record(ctx, series, r)
		if err != nil {
			return nil, fmt.Errorf("reading the record of %s: %w", series, err)
		}
		return &struct{ Body record }{recordOf(read)}, nil
	})
	register(api, huma.Operation{
		OperationID: "list-forecasts", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/forecasts", Tags: []string{"forecast"}, Security: open,
		Summary:     "List forecasts",
		Description: "The forecasts that the service made and stored while it followed the market, one a minute, the newest first, and what happened, page by page.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *forecastsInput) (*listed[pastForecasts], error) {
		series, err := knownSeries(ctx, h, input.Symbol, input.Interval)
		if err != nil {
			return nil, err
		}
		found, err := records.ForecastsBehind(ctx, series, recordPlaceOf(input.Cursor), input.Limit+1)
		if err != nil {
			return nil, fmt.Errorf("listing the forecasts of %s: %w", series, err)
		}
		answer := &listed[pastForecasts]{Body: pastForecasts{Symbol: series.Symbol, Interval: intervalName(series.Interval), Forecasts: []pastForecast{}, Disclaimer: disclaimer}}
		found, answer.Body.NextCursor, answer.Link = endPage(&input.Page, found, input.Limit, forecastKeyOf)
		for _, f := range found {
			answer.Body.Forecasts = append(answer.Body.Forecasts, pastForecastOf(f))
		}
		return answer, nil
	})
}

// recordPlaceOf returns the place behind which a page begins, nil for the first page.
func recordPlaceOf(c cursor[forecastKey]) *forecast.RecordPlace {
	if !c.given {
		return nil
	}
	return &forecast.RecordPlace{OpenTime: c.after.OpenTime.time(), AsOf: c.after.AsOf.time(), ModelID: c.after.ModelID}
}

// knownSeries returns the series that two parameters name, or a NotFound error
// where no candle of it can be had.
func knownSeries(ctx context.Context, h History, symbol symbolName, interval intervalName) (market.Series, error) {
	series, err := seriesOf(symbol, interval)
	if err == nil {
		_, err = openTimesOf(ctx, h, series)
	}
	return series, err
}

// recordRange returns the range of open times to measure.
func recordRange(ctx context.Context, input *scoresInput, now time.Time) (market.TimeRange, error) {
	r := market.TimeRange{Start: time.Time(input.Start), End: time.Time(input.End)}
	if r.End.IsZero() {
		r.End = now.UTC()
	}
	if r.Start.IsZero() {
		r.Start = r.End.Add(-usualRecord)
	}
	switch {
	case r.Empty():
		return r, invalid(ctx, "query.start", "expected an instant before end, which is now where it is not given")
	case r.End.Sub(r.Start) > longestRecord:
		return r, invalid(ctx, "query.start", "expected an instant at most 366 days before end, which is now where it is not given")
	}
	return r, nil
}

func recordOf(r forecast.Record) record {
	answer := record{
		Symbol: r.Symbol, Interval: intervalName(r.Interval), Range: timeRangeOf(r.Range), Pending: r.Pending,
		Overall: recordScoresOf(r.Overall), Days: []dayScores{}, Stages: []stageScores{}, Models: []modelScores{},
		Calibration: calibrationOf(r.Calibration), Disclaimer: disclaimer,
	}
	for _, g := range r.Days {
		answer.Days = append(answer.Days, dayScores{g.Key.Format(time.DateOnly), recordScoresOf(g.RecordScores)})
	}
	for _, g := range r.Stages {
		answer.Stages = append(answer.Stages, stageScores{stageName(g.Key.String()), recordScoresOf(g.RecordScores)})
	}
	for _, g := range r.Models {
		answer.Models = append(answer.Models, modelScores{g.Key, recordScoresOf(g.RecordScores)})
	}
	return answer
}

func recordScoresOf(s forecast.RecordScores) RecordScores {
	answer := RecordScores{
		Rows: s.Rows, PointSkill: s.PointSkill, HitRate: s.HitRate, Brier: s.Brier, BrierAnalytic: orNull(s.BrierAnalytic),
		Coverage80: s.Coverage80, Coverage90: s.Coverage90, Width80: s.Width80BP, Width90: s.Width90BP,
		PinballLoss: s.PinballLoss, Baselines: []baselineLoss{},
	}
	if i := s.PointSkillInterval; i.Valid {
		answer.PointSkillLow, answer.PointSkillHigh = &i.Value.Low, &i.Value.High
	}
	for _, b := range s.Baselines {
		answer.Baselines = append(answer.Baselines, baselineLoss(b))
	}
	return answer
}

// placeEnds are the quantiles between which Calibration counts.
var placeEnds = [...]float64{0, 0.05, 0.1, 0.9, 0.95, 1}

func calibrationOf(c forecast.Calibration) calibration {
	answer := calibration{Reliability: []reliabilityBin{}}
	rows := 0
	for _, n := range c.Places {
		rows += n
	}
	for k, n := range c.Places {
		place := calibrationPlace{From: placeEnds[k], To: placeEnds[k+1], Expected: forecast.PlaceShares[k], Rows: n}
		if rows > 0 {
			place.Observed = float64(n) / float64(rows)
		}
		answer.Places = append(answer.Places, place)
	}
	for _, b := range c.Reliability {
		answer.Reliability = append(answer.Reliability, reliabilityBin(b))
	}
	return answer
}

func pastForecastOf(f forecast.RecordRow) pastForecast {
	answer := pastForecast{
		ModelID: f.ModelID, AsOf: f.AsOf.UTC(), OpenTime: f.OpenTime.UTC(), CloseTime: f.CloseTime.UTC(), Elapsed: f.Elapsed,
		Open: f.Open, Last: f.Last, Point: f.Point, Bands: bandsOf(f.Bands), ProbabilityUp: f.ProbabilityUp,
		AboveOpen: f.ProbabilityAboveOpen, Analytic: orNull(f.ProbabilityAnalytic),
	}
	if f.Decision.Valid {
		decision := decisionOf(f.Decision.Value)
		answer.Decision = &decision
	}
	if f.Outcome.Valid {
		happened := outcome(f.Outcome.Value)
		answer.Outcome = &happened
	}
	return answer
}
