package forecast

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Importance is what a feature is worth to a model: by how much the pinball loss
// rises, in basis points of the price, when the feature's values are shuffled among
// the samples of the newest month (Breiman 2001). Near or below 0 it is worth
// nothing.
type Importance struct {
	Feature     string  `json:"feature"`
	PinballLoss float64 `json:"pinball_loss"`
}

// Verdict says whether a training was good enough for its model to make the
// forecasts, and why.
type Verdict struct {
	Promoted bool   `json:"promoted"`
	Reason   string `json:"reason"`
}

// ModelReader reads the records of trained models.
type ModelReader interface {
	// CurrentModel returns the model of a series that makes the forecasts of
	// candles that open at learntBy or later, or the one in use where the instant
	// is zero. That is the one in use if it has learnt from no candle that closed
	// after learntBy, else of those that were promoted or put to use once, and
	// whose file is kept, the one that has learnt the newest candles before. Where
	// there is none it returns a NotFound error that says what to do.
	CurrentModel(ctx context.Context, series market.Series, learntBy time.Time) (Model, error)
	// Model returns the model with an ID, or a NotFound error.
	Model(ctx context.Context, id int64) (Model, error)
	// Models returns every model of a series, the one trained last first.
	Models(ctx context.Context, series market.Series) ([]Model, error)
}

// ModelStore keeps trained models, and which of them is in use.
type ModelStore interface {
	ModelReader
	// ModelContent returns the file stored under an ID: a NotFound error where there
	// is no such model, a Conflict one where its file was pruned.
	ModelContent(ctx context.Context, id int64) ([]byte, error)
	// SaveModel stores a model with its file and returns it with its ID, which it
	// keeps where a model of the same series and data hash is replaced. If replaces
	// is valid, the model is put to use in the same transaction, in place of the one
	// with that ID, 0 standing for none: where another one is in use by then, nothing
	// is stored and the error is a Conflict.
	SaveModel(ctx context.Context, m Model, content []byte, replaces market.Optional[int64]) (Model, error)
	// PromoteModel puts a model to use, whatever its verdict, and records why; it
	// leaves one that is in use as it is. It returns a NotFound error where there is
	// no such model, and a Conflict one where its file was pruned.
	PromoteModel(ctx context.Context, id int64, reason string) (Model, error)
	// PruneModels removes the files of a series' models, but for the newest, so many
	// of them, and the one in use. Their records stay.
	PruneModels(ctx context.Context, series market.Series, keep int) error
}

// KeptFiles is how many models of a series keep their file: two years of monthly
// trainings.
const KeptFiles = 24

// Models returns every model of a series, the one trained last first.
func (f *Forecaster) Models(ctx context.Context, series market.Series) ([]Model, error) {
	return f.models.Models(ctx, series)
}

// Model returns the model with an ID, or a NotFound error.
func (f *Forecaster) Model(ctx context.Context, id int64) (Model, error) {
	return f.models.Model(ctx, id)
}

// longestReason bounds the reason of a promotion, in characters.
const longestReason = 500

// checkReason returns an Invalid error for a reason that says nothing or cannot be
// kept.
func checkReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return market.Errorf(market.Invalid, "the reason is empty: say in words why the model is put to use")
	case utf8.RuneCountInString(reason) > longestReason:
		return market.Errorf(market.Invalid, "the reason has %d characters: at most %d are kept", utf8.RuneCountInString(reason), longestReason)
	case !utf8.ValidString(reason) || strings.ContainsRune(reason, 0):
		return market.Errorf(market.Invalid, "the reason is no text: give it in UTF-8, without zero bytes")
	}
	return nil
}

// Promote puts a model to use from the next candle on, whatever its verdict, and
// records the reason: it takes an earlier model back, or one that was not good
// enough. It returns an Invalid error for a reason that is blank, longer than 500
// characters or no UTF-8, a NotFound one where there is no such model, and a Conflict
// one where its file was pruned or cannot be read by this release.
func (f *Forecaster) Promote(ctx context.Context, id int64, reason string) (Model, error) {
	if err := checkReason(reason); err != nil {
		return Model{}, err
	}
	record, err := f.models.Model(ctx, id)
	if err != nil {
		return Model{}, err
	}
	if _, err := f.read(ctx, record); err != nil {
		if unread := new(unreadableError); errors.As(err, &unread) {
			return Model{}, market.Errorf(market.Conflict, "model %d cannot be put to use: %v", id, unread.cause)
		}
		return Model{}, err
	}
	return f.models.PromoteModel(ctx, id, reason)
}

// load returns the model of a record, from memory where it was used before.
func (f *Forecaster) load(ctx context.Context, record Model) (*model, error) {
	f.mutex.Lock()
	known := f.loaded[record.Series]
	f.mutex.Unlock()
	if known.id == record.ID {
		return known.model, nil
	}
	m, err := f.read(ctx, record)
	if err != nil {
		return nil, err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.loaded[record.Series] = loadedModel{record.ID, m}
	return m, nil
}

// read returns the model of a record as it is stored. A file that this release
// cannot read is an unreadableError.
func (f *Forecaster) read(ctx context.Context, record Model) (*model, error) {
	content, err := f.models.ModelContent(ctx, record.ID)
	if err != nil {
		return nil, err
	}
	m, err := decodeModel(content)
	if err != nil {
		return nil, &unreadableError{record.ID, err}
	}
	return m, nil
}

// unreadableError tells a model that has to be trained again from a store that
// fails.
type unreadableError struct {
	id    int64
	cause error
}

func (e *unreadableError) Error() string { return fmt.Sprintf("load model %d: %v", e.id, e.cause) }
func (e *unreadableError) Unwrap() error { return e.cause }
