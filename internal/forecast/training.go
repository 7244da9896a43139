package forecast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Train learns from every closed candle of the series that opens in the range,
// measures the same training on the newest month where it can do without, and
// stores the model with the verdict on it. One that is promoted is put to use,
// unless the one in use has learnt newer candles. Nothing is trained where a model
// has learnt from the very same rows and its file is kept: known is true, and that
// one is returned as it is. It returns an Invalid error where the range is empty or
// the candles are longer than a day, and an Unavailable one where there are too few of
// them. progress may be nil.
func (f *Forecaster) Train(
	ctx context.Context, series market.Series, r market.TimeRange, progress func(done, total int),
) (trained Model, known bool, err error) {
	trained, known, err = f.train(ctx, series, r, progress)
	if err != nil {
		return Model{}, false, fmt.Errorf("train %s: %w", series, err)
	}
	return trained, known, nil
}

func (f *Forecaster) train(
	ctx context.Context, series market.Series, r market.TimeRange, progress func(done, total int),
) (trained Model, known bool, err error) {
	s, err := f.samples(ctx, series, r)
	if err != nil {
		return Model{}, false, err
	}
	if err := enough(s); err != nil {
		return Model{}, false, err
	}
	hash := s.hash()
	trained, known, err = f.learnt(ctx, series, hash)
	if err != nil || known {
		return trained, known, err
	}
	settings, err := json.Marshal(newRecipe())
	if err != nil {
		return Model{}, false, err
	}
	end := series.Interval.Next(s.open(s.len() - 1))
	trained = Model{
		Series: series, Window: market.TimeRange{Start: s.open(0), End: end}, Skipped: s.skipped,
		DataHash: hash, Features: slices.Clone(featureNames), Settings: string(settings),
	}
	exam, err := f.examine(ctx, s, &trained, step(progress, 0, 2))
	if err != nil {
		return Model{}, false, err
	}
	m, err := fit(ctx, s, step(progress, 1, 2))
	if err != nil {
		return Model{}, false, err
	}
	trained.Rows = m.learnt
	content, err := m.encode()
	if err != nil {
		return Model{}, false, err
	}
	if trained, err = f.judgeAndSave(ctx, trained, content, exam); err != nil {
		return Model{}, false, err
	}
	if err := f.models.PruneModels(ctx, series, KeptFiles); err != nil {
		return Model{}, false, fmt.Errorf("model %d is stored, but: %w", trained.ID, err)
	}
	return trained, false, nil
}

// exam is what a training is judged by: a model that was trained in the same way on
// all but the newest month, and that month's samples. It is empty where there is too
// little history for it.
type exam struct {
	model  *model
	unseen *samples
}

// examine trains on all but the newest month, and notes in the record how that did on
// it.
func (f *Forecaster) examine(
	ctx context.Context, s *samples, record *Model, progress func(done, total int),
) (*exam, error) {
	end := record.Window.End
	fold := market.TimeRange{Start: end.AddDate(0, -1, 0), End: end}
	past := s.before(fold.Start)
	if enough(past) != nil {
		return new(exam), nil
	}
	m, err := fit(ctx, past, progress)
	if err != nil {
		return nil, err
	}
	e := &exam{model: m, unseen: s.since(fold.Start)}
	scores, trades, err := m.measure(ctx, e.unseen, f.costsNow())
	if err != nil {
		return nil, err
	}
	record.Metrics = scores.metrics(fold, trades)
	record.Importance, err = m.importance(ctx, e.unseen)
	return e, err
}

// learnt returns the model that was made of those rows, where it can be read.
func (f *Forecaster) learnt(ctx context.Context, series market.Series, hash string) (Model, bool, error) {
	models, err := f.models.Models(ctx, series)
	if err != nil {
		return Model{}, false, err
	}
	for _, record := range models {
		if record.DataHash != hash || record.Bytes == 0 {
			continue
		}
		_, err := f.read(ctx, record)
		if errors.As(err, new(*unreadableError)) || market.ErrorCode(err) == market.Conflict { // pruned just now
			return Model{}, false, nil
		}
		return record, err == nil, err
	}
	return Model{}, false, nil
}

// judgeAndSave stores a model with the verdict on it, and puts it to use where that
// is good and the one in use has not learnt newer candles. Where another training put
// its model to use meanwhile it judges anew, or returns that one if it is the same.
func (f *Forecaster) judgeAndSave(ctx context.Context, m Model, content []byte, exam *exam) (Model, error) {
	for {
		if stored, known, err := f.learnt(ctx, m.Series, m.DataHash); err != nil || known {
			return stored, err
		}
		replaces, err := f.judge(ctx, &m, exam)
		if err != nil {
			return Model{}, err
		}
		saved, err := f.models.SaveModel(ctx, m, content, replaces)
		if market.ErrorCode(err) != market.Conflict {
			return saved, err
		}
	}
}

// judge sets a model's verdict, and returns which model it is to take the place of,
// if of any.
func (f *Forecaster) judge(ctx context.Context, m *Model, exam *exam) (replaces market.Optional[int64], err error) {
	inUse, err := f.currentModel(ctx, m.Series, time.Time{})
	if err != nil {
		return replaces, err
	}
	replaces = market.Some(inUse.ID)
	rival, err := f.rival(ctx, inUse, exam)
	if err != nil {
		return replaces, err
	}
	// A model of the past is for forecasts of the past, and vies with those of then.
	if rival != nil && rival.unreadable == nil && inUse.Window.End.After(m.Window.End) {
		replaces = market.Optional[int64]{}
		ofThen, err := f.currentModel(ctx, m.Series, m.Window.End)
		if err != nil {
			return replaces, err
		}
		if rival, err = f.rival(ctx, ofThen, exam); err != nil {
			return replaces, err
		}
	}
	m.Verdict = verdict(m.Metrics, rival)
	if m.Verdict.Promoted && !replaces.Valid {
		m.Verdict.Reason += fmt.Sprintf("; model %d, which has learnt newer candles, stays in use", inUse.ID)
	}
	if !m.Verdict.Promoted {
		replaces = market.Optional[int64]{}
	}
	return replaces, nil
}

// currentModel is that of the store, with the ID 0 where there is none.
func (f *Forecaster) currentModel(ctx context.Context, series market.Series, learntBy time.Time) (Model, error) {
	m, err := f.models.CurrentModel(ctx, series, learntBy)
	if market.ErrorCode(err) == market.NotFound {
		return Model{}, nil
	}
	return m, err
}

// rival measures an incumbent beside the training that is examined, nil where the
// incumbent has the ID 0.
func (f *Forecaster) rival(ctx context.Context, incumbent Model, exam *exam) (*rival, error) {
	if incumbent.ID == 0 {
		return nil, nil
	}
	r := &rival{id: incumbent.ID}
	m, err := f.load(ctx, incumbent)
	if unread := new(unreadableError); errors.As(err, &unread) {
		r.unreadable = unread.cause
		return r, nil
	}
	if err != nil || exam.model == nil {
		return r, err
	}
	fresh := exam.unseen.since(incumbent.Window.End)
	if fresh.openings().len() < fewestToCompare {
		return r, nil
	}
	r.own, err = measured(ctx, exam.model, fresh, f.costsNow())
	if err == nil {
		r.its, err = measured(ctx, m, fresh, f.costsNow())
	}
	return r, err
}

// measured returns the metrics of a model on samples that it has not seen.
func measured(ctx context.Context, m *model, unseen *samples, costs Costs) (Metrics, error) {
	scores, trades, err := m.measure(ctx, unseen, costs)
	if err != nil {
		return Metrics{}, err
	}
	last := unseen.open(unseen.len() - 1)
	return scores.metrics(market.TimeRange{Start: unseen.open(0), End: unseen.candles.interval.Next(last)}, trades), nil
}
