package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Models reads the records of trained models, and says which is in use.
type Models interface {
	// Models returns every model of a series, the one trained last first.
	Models(ctx context.Context, series market.Series) ([]forecast.Model, error)
	// Model returns the model with an ID, or a NotFound error.
	Model(ctx context.Context, id int64) (forecast.Model, error)
	// Promote puts a model to use and records why. It returns an Invalid error for a
	// reason that says nothing or cannot be kept, a NotFound one where there is no such
	// model, and a Conflict one where it cannot be used any more.
	Promote(ctx context.Context, id int64, reason string) (forecast.Model, error)
}

type modelsInput struct {
	Symbol   symbolName   `query:"symbol" required:"true"`
	Interval intervalName `query:"interval" default:"15m"`
}

type modelInput struct {
	ID int64 `path:"id" minimum:"1" doc:"The model's number." example:"7"`
}

type promoteInput struct {
	ID   int64 `path:"id" minimum:"1" doc:"The model's number." example:"7"`
	Body promotion
}

type promotion struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for the record." example:"The newer one was trained on a day of broken candles."`
}

type training struct {
	Symbol symbolName `json:"symbol"`
}

type modelList struct {
	Models []modelRecord `json:"models" doc:"The one trained last first."`
}

// modelRecord is all that is on record of a model.
type modelRecord struct {
	Symbol   market.Symbol `json:"symbol" example:"BTCUSDT"`
	Interval intervalName  `json:"interval"`
	ForecastModel
	InUse       bool            `json:"in_use" doc:"Whether it makes the forecasts."`
	InUseSince  *time.Time      `json:"in_use_since" doc:"When it was put to use last; null where another one makes the forecasts."`
	InUseReason string          `json:"in_use_reason" doc:"Why it was put to use then: the verdict, or what the admin gave; empty where another one makes the forecasts."`
	Verdict     verdict         `json:"verdict"`
	DataHash    string          `json:"data_hash" doc:"SHA-256 of the training rows and of how they are learnt from, hexadecimal: the same gives the same model."`
	Settings    json.RawMessage `json:"settings" doc:"What else decided how it was learnt; null where it was not kept."`
	Importance  []importance    `json:"importance" doc:"What each feature is worth, the most important first; empty where no month could be measured."`
	Bytes       int64           `json:"bytes" doc:"Size of its file; 0 where that was pruned and only the record is kept."`
}

type verdict struct {
	Promoted bool   `json:"promoted" doc:"Whether the training was good enough to make the forecasts."`
	Reason   string `json:"reason" doc:"Why, or why not."`
}

type importance struct {
	Feature     string  `json:"feature"`
	PinballLoss float64 `json:"pinball_loss" doc:"By how much the pinball loss rises, in basis points of the price, when the feature's values are shuffled; near or below 0 it is worth nothing."`
}

func registerModels(api huma.API, h History, models Models, control Jobs, people Accounts) {
	register(api, huma.Operation{
		OperationID: "list-models", Method: http.MethodGet, Path: "/v1/models", Tags: []string{"forecast"}, Security: open,
		Summary:     "List models",
		Description: "Every model of a series that was trained, also those that were not good enough, with the verdict on it.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *modelsInput) (*struct{ Body modelList }, error) {
		series, err := knownSeries(ctx, h, input.Symbol, input.Interval)
		if err != nil {
			return nil, err
		}
		records, err := models.Models(ctx, series)
		if err != nil {
			return nil, fmt.Errorf("listing the models of %s: %w", series, err)
		}
		list := modelList{Models: []modelRecord{}}
		for _, m := range records {
			list.Models = append(list.Models, modelRecordOf(m))
		}
		return &struct{ Body modelList }{list}, nil
	})
	register(api, huma.Operation{
		OperationID: "get-model", Method: http.MethodGet, Path: "/v1/models/{id}", Tags: []string{"forecast"}, Security: open,
		Summary:     "Get model",
		Description: "All that is on record of a model: what it has learnt from, how it was measured, and the verdict on it.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *modelInput) (*struct{ Body modelRecord }, error) {
		m, err := models.Model(ctx, input.ID)
		if err != nil {
			return nil, fmt.Errorf("reading model %d: %w", input.ID, err)
		}
		return &struct{ Body modelRecord }{modelRecordOf(m)}, nil
	})
	register(api, huma.Operation{
		OperationID: "promote-model", Method: http.MethodPost, Path: "/v1/models/{id}/promote", Tags: []string{"forecast"}, Security: forAdmins,
		Summary:     "Put a model to use",
		Description: "Has a model make the forecasts from the next candle on, whatever the verdict on it: to go back to an earlier one, or to use one that was not good enough.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, input *promoteInput) (*struct{ Body modelRecord }, error) {
		m, err := models.Promote(ctx, input.ID, input.Body.Reason)
		if err != nil {
			return nil, fmt.Errorf("putting model %d to use: %w", input.ID, err)
		}
		details := map[string]string{"series": m.Series.String(), "reason": input.Body.Reason}
		if err := people.Note(ctx, accounts.CallerOf(ctx), accounts.PromoteModel, strconv.FormatInt(m.ID, 10), details); err != nil {
			return nil, err
		}
		return &struct{ Body modelRecord }{modelRecordOf(m)}, nil
	})
	register(api, huma.Operation{
		OperationID: "train-model", Method: http.MethodPost, Path: "/v1/models/train", Tags: []string{"forecast"}, Security: forAdmins,
		Summary: "Train a model",
		Description: "Queues a run of the job train, as POST /v1/jobs/train/runs does: a model learns from the candles that the settings name. " +
			"It makes the forecasts if it is good enough; either way it is kept, with the verdict on it. One training of a symbol runs at a time.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusConflict},
	}, func(ctx context.Context, input *struct{ Body training }) (*body[jobRun], error) {
		symbol, err := market.ParseSymbol(string(input.Body.Symbol))
		if err != nil {
			return nil, err
		}
		return runJob(ctx, control, people, jobs.Train, jobs.Task{Symbol: symbol})
	})
}
func modelRecordOf(m forecast.Model) modelRecord {
	record := modelRecord{
		Symbol: m.Symbol, Interval: intervalName(m.Interval), ForecastModel: modelOf(m),
		InUse: m.InUseSince.Valid, InUseSince: instantOrNull(m.InUseSince), InUseReason: m.InUseReason, Verdict: verdict(m.Verdict),
		DataHash: m.DataHash, Settings: json.RawMessage(m.Settings), Importance: []importance{}, Bytes: m.Bytes,
	}
	if m.Settings == "" {
		record.Settings = json.RawMessage("null")
	}
	for _, i := range m.Importance {
		record.Importance = append(record.Importance, importance(i))
	}
	return record
}
