package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Models reads the records of trained models, and says which is in use.
type Models interface {
	// Models returns every model of a series, the one trained last first.
	Models(ctx context.Context, series market.Series) ([]forecast.Model, error)
	// Model returns the model with an ID, or a NotFound error.
	Model(ctx context.Context, id int64) (forecast.Model, error)
	// Promote puts a model to use and records why. It returns a NotFound error where
	// there is no such model, and a Conflict one where it cannot be used any more.
	Promote(ctx context.Context, id int64, reason string) (forecast.Model, error)
}

// Trainer trains a model on the stored candles of a series that open in the range,
// and stores it with the verdict on it. known is true where one has learnt from the
// very same rows, which is returned then.
type Trainer interface {
	Train(
		ctx context.Context, series market.Series, r market.TimeRange, progress func(done, total int),
	) (trained forecast.Model, known bool, err error)
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

type trainInput struct {
	connection *http.ResponseController
	Body       training
}

// Resolve notes the connection, whose deadlines are too short for a training, for
// Huma.
func (i *trainInput) Resolve(ctx huma.Context) []error {
	_, w := humago.Unwrap(ctx)
	i.connection = http.NewResponseController(w)
	return nil
}

type training struct {
	Symbol   symbolName   `json:"symbol"`
	Interval intervalName `json:"interval,omitempty" default:"15m"`
}

type modelList struct {
	Models []modelRecord `json:"models" doc:"The one trained last first."`
}

type trained struct {
	Model modelRecord `json:"model"`
	Known bool        `json:"known" doc:"Whether the model has learnt from the very same rows before, so that nothing was trained."`
}

// modelRecord is all that is on record of a model.
type modelRecord struct {
	Symbol   market.Symbol `json:"symbol" example:"BTCUSDT"`
	Interval intervalName  `json:"interval"`
	ForecastModel
	InUse      bool            `json:"in_use" doc:"Whether it makes the forecasts."`
	InUseSince *time.Time      `json:"in_use_since" doc:"When it was put to use last; null where another one makes the forecasts."`
	Verdict    verdict         `json:"verdict"`
	DataHash   string          `json:"data_hash" doc:"SHA-256 of the training rows and of how they are learnt from, hexadecimal: the same gives the same model."`
	Settings   json.RawMessage `json:"settings" doc:"What else decided how it was learnt; null where it was not kept."`
	Importance []importance    `json:"importance" doc:"What each feature is worth, the most important first; empty where no month could be measured."`
	Bytes      int64           `json:"bytes" doc:"Size of its file; 0 where that was pruned and only the record is kept."`
}

type verdict struct {
	Promoted bool   `json:"promoted" doc:"Whether the training was good enough to make the forecasts."`
	Reason   string `json:"reason" doc:"Why, or why not."`
}

type importance struct {
	Feature     string  `json:"feature"`
	PinballLoss float64 `json:"pinball_loss" doc:"By how much the pinball loss rises, in basis points of the price, when the feature's values are shuffled; near or below 0 it is worth nothing."`
}

// trainTimeout bounds a training: of eight years of 15m candles, one takes about a
// minute.
const trainTimeout = 30 * time.Minute

func registerModels(api huma.API, h History, models Models, trainer Trainer, now func() time.Time) {
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
		OperationID: "promote-model", Method: http.MethodPost, Path: "/v1/models/{id}/promote", Tags: []string{"forecast"}, Security: closed,
		Summary:     "Put a model to use",
		Description: "Has a model make the forecasts from the next candle on, whatever the verdict on it: to go back to an earlier one, or to use one that was not good enough.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, input *promoteInput) (*struct{ Body modelRecord }, error) {
		m, err := models.Promote(ctx, input.ID, input.Body.Reason)
		if err != nil {
			return nil, fmt.Errorf("putting model %d to use: %w", input.ID, err)
		}
		return &struct{ Body modelRecord }{modelRecordOf(m)}, nil
	})
	t := trainings{history: h, trainer: trainer, now: now, running: map[market.Series]bool{}}
	registerFor(api, trainTimeout, huma.Operation{
		OperationID: "train-model", Method: http.MethodPost, Path: "/v1/models/train", Tags: []string{"forecast"}, Security: closed,
		Summary: "Train a model",
		Description: "Trains a model on all stored candles of a series and answers when that is done, which takes a minute or some: a client that gives up ends the training. " +
			"The model makes the forecasts if it is good enough; either way it is kept, with the verdict on it. One training of a series runs at a time.",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, t.train)
}

// trainings trains one model of a series at a time.
type trainings struct {
	history History
	trainer Trainer
	now     func() time.Time

	mutex   sync.Mutex
	running map[market.Series]bool
}

func (t *trainings) train(ctx context.Context, input *trainInput) (*struct{ Body trained }, error) {
	series, err := knownSeries(ctx, t.history, input.Body.Symbol, input.Body.Interval)
	if err != nil {
		return nil, err
	}
	if !t.begin(series) {
		return nil, market.Errorf(market.Conflict, "a training of %s is running: wait for its end", series)
	}
	defer t.end(series)
	if err := allow(input.connection, trainTimeout); err != nil {
		return nil, fmt.Errorf("training %s: %w", series, err)
	}
	window := market.TimeRange{Start: history.FirstListing, End: t.now().UTC()}
	m, known, err := t.trainer.Train(ctx, series, window, nil)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w (%w)", market.Errorf(market.Unavailable, "the training of %s did not end within %s", series, trainTimeout), err)
	}
	if err != nil {
		return nil, fmt.Errorf("training %s: %w", series, err)
	}
	return &struct{ Body trained }{trained{Model: modelRecordOf(m), Known: known}}, nil
}

func (t *trainings) begin(series market.Series) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.running[series] {
		return false
	}
	t.running[series] = true
	return true
}

func (t *trainings) end(series market.Series) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.running, series)
}

// allow gives a connection the time for an answer that takes long, and for writing
// it. The deadline for reading counts too: past it, the client would be taken for
// gone.
func allow(connection *http.ResponseController, timeout time.Duration) error {
	deadline := time.Now().Add(timeout + time.Minute)
	err := errors.Join(connection.SetReadDeadline(deadline), connection.SetWriteDeadline(deadline))
	if errors.Is(err, http.ErrNotSupported) {
		return nil // then there is none to extend
	}
	return err
}

func modelRecordOf(m forecast.Model) modelRecord {
	record := modelRecord{
		Symbol: m.Symbol, Interval: intervalName(m.Interval), ForecastModel: modelOf(m),
		InUse: m.InUseSince.Valid, InUseSince: instantOrNull(m.InUseSince), Verdict: verdict(m.Verdict),
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
