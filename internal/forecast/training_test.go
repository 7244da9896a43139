package forecast

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// training trains on candles of the memory that open before the given one.
func training(t testing.TB, f *Forecaster, stores *memory, candles int) Model {
	t.Helper()
	r := market.TimeRange{Start: start, End: stores.candles[btc][candles-1].OpenTime.Add(15 * time.Minute)}
	m, known, err := f.Train(t.Context(), btc, r, nil)
	if err != nil || known {
		t.Fatalf("training on %d candles: known %t, %v", candles, known, err)
	}
	return m
}

func TestATrainingIsRecordedWhole(t *testing.T) {
	stores := newMemory(17000)
	f := NewForecaster(stores, stores)
	first := training(t, f, stores, 16000)
	if first.Metrics.Rows < 2800 || len(first.Metrics.Quarters) != quarters || first.Bytes != int64(len(stores.contents[0])) {
		t.Errorf("%d candles measured in %d quarters, %d bytes", first.Metrics.Rows, len(first.Metrics.Quarters), first.Bytes)
	}
	if len(first.Importance) != len(featureNames) || !slices.Equal(first.Features, featureNames) {
		t.Errorf("%d features, %d measured", len(first.Features), len(first.Importance))
	}
	var settings recipe
	if err := json.Unmarshal([]byte(first.Settings), &settings); err != nil || settings.Revision != newRecipe().Revision || settings.Return != returnSettings {
		t.Errorf("the settings are %s, %v", first.Settings, err)
	}
	if first.Verdict.Reason == "" || first.Verdict.Promoted != first.InUseSince.Valid {
		t.Errorf("the verdict is %+v, in use since %v", first.Verdict, first.InUseSince)
	}

	// The next has a thousand candles that are new to the first.
	if _, err := f.Promote(t.Context(), first.ID, "whatever the verdict"); err != nil {
		t.Fatal(err)
	}
	second := training(t, f, stores, 17000)
	if second.Verdict.Promoted != second.InUseSince.Valid ||
		second.Verdict.Promoted && !strings.Contains(second.Verdict.Reason, "model 1 on the 1000 candles new to it too") {
		t.Errorf("the verdict is %+v, in use since %v", second.Verdict, second.InUseSince)
	}
	inUse, err := f.rival(t.Context(), first, &exam{})
	if err != nil || inUse.own.Rows != 0 {
		t.Errorf("compared on no month: %+v, %v", inUse, err)
	}
}

func TestOnlyAGoodModelIsPutToUse(t *testing.T) {
	stores := newMemory(14000) // too few for a month that a training can do without
	f := NewForecaster(stores, stores)
	first := training(t, f, stores, 13000)
	if !first.Verdict.Promoted || !first.InUseSince.Valid {
		t.Errorf("the first: %+v", first.Verdict)
	}
	second := training(t, f, stores, 13500)
	if second.Verdict.Promoted || second.InUseSince.Valid || stores.inUse(btc) != first.ID {
		t.Errorf("one that nobody can measure: %+v, in use is model %d", second.Verdict, stores.inUse(btc))
	}
	// One of the past forecasts the past, where nothing else does.
	past := training(t, f, stores, 12500)
	if !past.Verdict.Promoted || stores.inUse(btc) != first.ID || !strings.Contains(past.Verdict.Reason, "model 1, which has learnt newer candles, stays in use") {
		t.Errorf("one of the past: %+v, in use is model %d", past.Verdict, stores.inUse(btc))
	}
	if other := training(t, f, stores, 12600); other.Verdict.Promoted {
		t.Errorf("another of the past: %+v", other.Verdict)
	}
	// One that cannot be read is no incumbent, whatever it has learnt.
	stores.contents[first.ID-1] = []byte("of another release")
	fresh := NewForecaster(stores, stores)
	third := training(t, fresh, stores, 12900)
	if !third.Verdict.Promoted || stores.inUse(btc) != third.ID || !strings.Contains(third.Verdict.Reason, "model 1 cannot forecast") {
		t.Errorf("in place of one that cannot be read: %+v, in use is model %d", third.Verdict, stores.inUse(btc))
	}
}

func TestPromotingByHand(t *testing.T) {
	stores := newMemory(14000)
	f := NewForecaster(stores, stores)
	first, second := training(t, f, stores, 13000), training(t, f, stores, 13500)
	for _, id := range []int64{second.ID, first.ID, second.ID} {
		m, err := f.Promote(t.Context(), id, "a try")
		if err != nil || m.ID != id || !m.InUseSince.Valid {
			t.Errorf("model %d: %+v, %v", id, m, err)
		}
		if got, err := f.Forecast(t.Context(), btc, time.Time{}); err != nil || got.Model.ID != id {
			t.Errorf("with model %d in use model %d forecasts, %v", id, got.Model.ID, err)
		}
	}
	stores.contents[first.ID-1] = []byte("of another release")
	if _, err := f.Promote(t.Context(), first.ID, "a try"); market.ErrorCode(err) != market.Conflict || !strings.Contains(err.Error(), "train again") {
		t.Errorf("one that cannot be read: %v", err)
	}
	stores.contents[first.ID-1] = nil
	if _, err := f.Promote(t.Context(), first.ID, "a try"); market.ErrorCode(err) != market.Conflict {
		t.Errorf("one that was pruned: %v", err)
	}
	if _, err := f.Promote(t.Context(), 999, "a try"); market.ErrorCode(err) != market.NotFound {
		t.Errorf("none: %v", err)
	}
	if stores.inUse(btc) != second.ID {
		t.Errorf("in use is model %d", stores.inUse(btc))
	}
}

// overtaken lets another training be first, once.
type overtaken struct {
	*memory
	first func(m Model, content []byte, replaces market.Optional[int64])
	saves int
}

func (o *overtaken) SaveModel(
	ctx context.Context, m Model, content []byte, replaces market.Optional[int64],
) (Model, error) {
	if o.saves++; o.saves == 1 {
		o.first(m, content, replaces)
	}
	return o.memory.SaveModel(ctx, m, content, replaces)
}

func TestAVerdictIsOnTheModelInUse(t *testing.T) {
	stores := newMemory(14000)
	f := NewForecaster(stores, stores)
	first, second := training(t, f, stores, 13000), training(t, f, stores, 13500)
	stores.contents[first.ID-1] = []byte("of another release") // so that it is replaced
	busy := &overtaken{memory: stores, first: func(Model, []byte, market.Optional[int64]) { stores.use(second) }}
	third := training(t, NewForecaster(busy, busy), stores, 14000)
	if busy.saves != 2 || third.Verdict.Promoted || stores.inUse(btc) != second.ID {
		t.Errorf("after %d attempts: %+v, in use is model %d", busy.saves, third.Verdict, stores.inUse(btc))
	}
}

func TestTwoTrainingsOfTheSameMakeOneModel(t *testing.T) {
	stores := newMemory(13000)
	busy := &overtaken{memory: stores, first: func(m Model, content []byte, replaces market.Optional[int64]) {
		if _, err := stores.SaveModel(t.Context(), m, content, replaces); err != nil {
			t.Error(err)
		}
	}}
	m := training(t, NewForecaster(busy, busy), stores, 13000)
	if busy.saves != 1 || len(stores.models) != 1 || !m.Verdict.Promoted || stores.inUse(btc) != m.ID {
		t.Errorf("after %d attempts there are %d models, and %d is in use: %+v", busy.saves, len(stores.models), stores.inUse(btc), m.Verdict)
	}
}

func TestOldFilesArePruned(t *testing.T) {
	stores := newMemory(13000)
	for k := range int64(KeptFiles) {
		old := Model{ID: 1 + k, Series: btc, DataHash: fmt.Sprint(k), Bytes: 1}
		stores.models, stores.contents, stores.order = append(stores.models, old), append(stores.contents, []byte{0}), append(stores.order, old.ID)
	}
	newest := training(t, NewForecaster(stores, stores), stores, 13000)
	if stores.contents[0] != nil || stores.contents[1] == nil || stores.contents[newest.ID-1] == nil {
		t.Error("not just the oldest file was pruned")
	}
}

func TestAPromotionNeedsAReasonThatCanBeKept(t *testing.T) {
	stores := newMemory(13000)
	f := NewForecaster(stores, stores)
	first := training(t, f, stores, 13000)
	for name, reason := range map[string]string{
		"none": "", "blank": " \t\n", "without end": strings.Repeat("x", 501), "no text": "a\xff", "with a zero byte": "a\x00b",
	} {
		if _, err := f.Promote(t.Context(), first.ID, reason); market.ErrorCode(err) != market.Invalid || !strings.Contains(market.ErrorMessage(err), "reason") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Promote(t.Context(), first.ID, strings.Repeat("é", 500)); err != nil {
		t.Error(err)
	}
}

// A file that is pruned while somebody trains on the same rows is made anew.
func TestAFilePrunedMeanwhileIsTrainedAgain(t *testing.T) {
	stores := newMemory(14000)
	f := NewForecaster(stores, stores)
	training(t, f, stores, 13000) // is in use, and never pruned
	second := training(t, f, stores, 13500)
	stores.contents[second.ID-1] = nil // though the record said that it has one
	if again := training(t, f, stores, 13500); again.ID != second.ID || stores.contents[second.ID-1] == nil {
		t.Errorf("trained again: model %d", again.ID)
	}
}
