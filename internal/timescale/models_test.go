package timescale_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// modelOf is a model with that hash, which has learnt from candles of 2024 until an
// instant.
func modelOf(hash string, end time.Time) forecast.Model {
	return forecast.Model{
		Series: btc15m, Window: market.TimeRange{Start: newYear, End: end}, Rows: 10, Skipped: 2, DataHash: hash,
		Features: []string{"a", "b"}, Settings: `{"seed": 1, "trees": 100}`,
		Metrics: forecast.Metrics{
			Fold: market.TimeRange{Start: newYear, End: end},
			Scores: forecast.Scores{
				Rows: 5, PointSkill: -0.25,
				WidthMetrics: forecast.WidthMetrics{PinballLoss: 1.5, Coverage80: 0.8},
				Baselines:    []forecast.BaselineMetrics{{Name: "HAR", WidthMetrics: forecast.WidthMetrics{PinballLoss: 2}}},
			},
			Quarters: []forecast.Scores{{Rows: 3, Brier: 0.2}},
			Trading:  forecast.Trading{Buys: 2, Earned: -0.01, Costs: &forecast.Costs{Fee: 0.002, Spread: 0.0003}},
		},
		Importance: []forecast.Importance{{Feature: "b", PinballLoss: 0.5}, {Feature: "a", PinballLoss: -0.01}},
		Verdict:    forecast.Verdict{Promoted: true, Reason: "no worse"},
	}
}

// nothing and inPlaceOf say which model a saved one is put to use in place of.
var nothing market.Optional[int64]

func inPlaceOf(id int64) market.Optional[int64] { return market.Some(id) }

func saveModel(
	t testing.TB, d *timescale.Database, m forecast.Model, content string, replaces market.Optional[int64],
) forecast.Model {
	t.Helper()
	saved, err := d.SaveModel(t.Context(), m, []byte(content), replaces)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func currentModel(t testing.TB, d *timescale.Database, learntBy time.Time) int64 {
	t.Helper()
	m, err := d.CurrentModel(t.Context(), btc15m, learntBy)
	if err != nil {
		t.Fatal(err)
	}
	return m.ID
}

func TestAModelIsReadAsItWasSaved(t *testing.T) {
	d := timescaletest.Open(t)
	june := newYear.AddDate(0, 5, 0)
	saved := saveModel(t, d, modelOf("all", june), "its file", inPlaceOf(0))
	if saved.TrainedAt.IsZero() || !saved.InUseSince.Valid || !saved.InUseSince.Value.Equal(saved.TrainedAt) {
		t.Errorf("trained at %s, in use since %v", saved.TrainedAt, saved.InUseSince)
	}
	want := modelOf("all", june)
	want.ID, want.Bytes, want.TrainedAt, want.InUseSince = 1, int64(len("its file")), saved.TrainedAt, saved.InUseSince
	want.InUseReason = "no worse"
	current, currentErr := d.CurrentModel(t.Context(), btc15m, time.Time{})
	one, oneErr := d.Model(t.Context(), saved.ID)
	for how, m := range map[string]forecast.Model{"saved": saved, "in use": current, "by its ID": one} {
		if err := errors.Join(currentErr, oneErr); err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v, %v; want %+v", how, m, err, want)
		}
	}
	if all, err := d.Models(t.Context(), btc15m); err != nil || !reflect.DeepEqual(all, []forecast.Model{want}) {
		t.Errorf("listed: %+v, %v", all, err)
	}
	bare := saveModel(t, d, forecast.Model{Series: btc15m, DataHash: "bare", Window: days(0, 1), Features: []string{}}, "x", nothing)
	if bare.Settings != "" || len(bare.Importance) != 0 || bare.InUseSince.Valid || bare.Verdict.Promoted {
		t.Errorf("one that lacks everything is %+v", bare)
	}
	if content, err := d.ModelContent(t.Context(), saved.ID); err != nil || string(content) != "its file" {
		t.Errorf("its content is %q, %v", content, err)
	}
	// The same rows make the same model: it keeps its place.
	mended := modelOf("all", june.AddDate(0, 0, 1))
	mended.Window.Start, mended.Rows, mended.Skipped = newYear.AddDate(0, 0, -1), 11, 3 // that range had more candles to skip
	again := saveModel(t, d, mended, "mended", inPlaceOf(saved.ID))
	if again.Window != mended.Window || again.Rows != mended.Rows || again.Skipped != mended.Skipped {
		t.Errorf("saved again over %v of %d rows, %d skipped", again.Window, again.Rows, again.Skipped)
	}
	if again.ID != saved.ID || !again.TrainedAt.After(saved.TrainedAt) || again.InUseSince != saved.InUseSince {
		t.Errorf("saved again: %+v", again)
	}
	if content, err := d.ModelContent(t.Context(), saved.ID); err != nil || string(content) != "mended" {
		t.Errorf("its content is %q, %v", content, err)
	}
	if promotions := ask[int64](t, d, `SELECT count(*) FROM model_promotions`); promotions[0] != 1 {
		t.Errorf("%d promotions of one model", promotions[0])
	}
}

func TestEveryFieldOfAModelIsGivenInTheTests(t *testing.T) {
	m := saveModel(t, timescaletest.Open(t), modelOf("all", newYear), "x", inPlaceOf(0))
	for k := range reflect.TypeOf(m).NumField() {
		if reflect.ValueOf(m).Field(k).IsZero() {
			t.Errorf("%s is not", reflect.TypeOf(m).Field(k).Name)
		}
	}
}

func TestTheModelInUse(t *testing.T) {
	d := timescaletest.Open(t)
	march, june, july := newYear.AddDate(0, 2, 0), newYear.AddDate(0, 5, 0), newYear.AddDate(0, 6, 0)
	none := func(says string, learntBy time.Time) {
		t.Helper()
		_, err := d.CurrentModel(t.Context(), btc15m, learntBy)
		if market.ErrorCode(err) != market.NotFound || !strings.Contains(err.Error(), says) {
			t.Errorf("none to forecast at %s: %v", learntBy, err)
		}
	}
	none("cryptoboat train -interval 15m BTCUSDT", time.Time{})
	wanting := modelOf("wanting", june)
	wanting.Verdict = forecast.Verdict{Reason: "worse"}
	poor := saveModel(t, d, wanting, "x", nothing)
	none("cryptoboat models -promote 1", time.Time{})

	first := saveModel(t, d, modelOf("first", june), "x", inPlaceOf(0))
	past := saveModel(t, d, modelOf("past", march), "x", nothing) // good, but not put to use
	for learntBy, want := range map[time.Time]int64{{}: first.ID, july: first.ID, june: first.ID, june.Add(-1): past.ID, march: past.ID} {
		if got := currentModel(t, d, learntBy); got != want {
			t.Errorf("learnt by %s: model %d, want %d", learntBy, got, want)
		}
	}
	none("has learnt from candles after 2024-02-29T23:59:59Z", march.Add(-time.Second))

	// Who was judged against another than the one in use by now is judged anew.
	for _, stale := range []int64{0, past.ID} {
		_, err := d.SaveModel(t.Context(), modelOf("late", july), []byte("x"), inPlaceOf(stale))
		if market.ErrorCode(err) != market.Conflict {
			t.Errorf("in place of model %d: %v", stale, err)
		}
	}
	if all, err := d.Models(t.Context(), btc15m); err != nil || len(all) != 3 {
		t.Errorf("%d models are left of a conflict, %v", len(all), err)
	}
	late := saveModel(t, d, modelOf("late", july), "x", inPlaceOf(first.ID))
	if got := currentModel(t, d, time.Time{}); got != late.ID {
		t.Errorf("after a better one: model %d", got)
	}
	if other, err := d.CurrentModel(t.Context(), market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}, time.Time{}); market.ErrorCode(err) != market.NotFound {
		t.Errorf("of another pair: %+v, %v", other, err)
	}

	// Back to an earlier one, and to one that was found wanting.
	for _, id := range []int64{first.ID, poor.ID, first.ID} {
		back, err := d.PromoteModel(t.Context(), id, "on second thoughts")
		if err != nil || back.ID != id || !back.InUseSince.Valid || currentModel(t, d, time.Time{}) != id {
			t.Errorf("promoting model %d: %+v, %v", id, back, err)
		}
	}
	if _, err := d.PromoteModel(t.Context(), first.ID, "it is already"); err != nil {
		t.Error(err)
	}
	listed, err := d.Models(t.Context(), btc15m)
	if err != nil {
		t.Fatal(err)
	}
	var inUse []int64
	for _, m := range listed {
		if m.InUseSince.Valid {
			inUse = append(inUse, m.ID)
		}
		if want := map[bool]string{true: "on second thoughts"}[m.InUseSince.Valid]; m.InUseReason != want {
			t.Errorf("model %d is in use because %q, want %q", m.ID, m.InUseReason, want)
		}
	}
	if newest := listed[0].ID; newest != late.ID || !slices.Equal(inUse, []int64{first.ID}) {
		t.Errorf("model %d is listed first, in use are %v", newest, inUse)
	}
	record := ask[string](t, d, `SELECT model_id || ' ' || promoted_by || ': ' || reason FROM model_promotions ORDER BY id`)
	want := []string{
		fmt.Sprintf("%d gate: no worse", first.ID), fmt.Sprintf("%d gate: no worse", late.ID),
		fmt.Sprintf("%d request: on second thoughts", first.ID), fmt.Sprintf("%d request: on second thoughts", poor.ID),
		fmt.Sprintf("%d request: on second thoughts", first.ID),
	}
	if !slices.Equal(record, want) {
		t.Errorf("on record are\n%s", strings.Join(record, "\n"))
	}
	for call, err := range map[string]error{
		"promote": func() error { _, err := d.PromoteModel(t.Context(), 999, ""); return err }(),
		"read":    func() error { _, err := d.Model(t.Context(), 999); return err }(),
		"load":    func() error { _, err := d.ModelContent(t.Context(), 999); return err }(),
	} {
		if market.ErrorCode(err) != market.NotFound {
			t.Errorf("%s no model: %v", call, err)
		}
	}
}

func TestPrunedModelsKeepTheirRecord(t *testing.T) {
	d := timescaletest.Open(t)
	june := newYear.AddDate(0, 5, 0)
	used := saveModel(t, d, modelOf("used", june), "x", inPlaceOf(0))
	old := saveModel(t, d, modelOf("old", newYear), "x", nothing)
	saveModel(t, d, modelOf("new", newYear), "x", nothing)
	eth := modelOf("eth", newYear)
	eth.Symbol = "ETHUSDT"
	other := saveModel(t, d, eth, "x", nothing)
	if err := d.PruneModels(t.Context(), btc15m, 1); err != nil {
		t.Fatal(err)
	}
	kept := ask[string](t, d, `SELECT data_hash FROM models WHERE bytes IS NOT NULL ORDER BY id`)
	if !slices.Equal(kept, []string{"used", "new", "eth"}) {
		t.Errorf("the files of %v are kept", kept)
	}
	record, err := d.Model(t.Context(), old.ID)
	old.Bytes = 0
	if err != nil || !reflect.DeepEqual(record, old) {
		t.Errorf("the record is %+v, %v; want %+v", record, err, old)
	}
	_, loadErr := d.ModelContent(t.Context(), old.ID)
	_, promoteErr := d.PromoteModel(t.Context(), old.ID, "")
	for _, err := range []error{loadErr, promoteErr} {
		if market.ErrorCode(err) != market.Conflict || !strings.Contains(err.Error(), "cryptoboat train -interval 15m -from 2024-01-01T00:00:00Z") {
			t.Errorf("a pruned one: %v", err)
		}
	}
	// It does not forecast the past any more, and a training brings it back.
	if got := currentModel(t, d, newYear); got == old.ID || got == used.ID || got == other.ID {
		t.Errorf("the past is forecast by model %d", got)
	}
	if mended := saveModel(t, d, modelOf("old", newYear), "x", nothing); mended.ID != old.ID || mended.Bytes != 1 {
		t.Errorf("trained again: %+v", mended)
	}
}

// What made the forecasts before there was a registry goes on to, until a better one
// comes; and a release without one can read what a later one leaves.
func TestModelsOfBeforeTheRegistry(t *testing.T) {
	d := timescaletest.Open(t)
	steps := func(n int) {
		t.Helper()
		m, err := d.Migrator(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Steps(n); err != nil && !errors.Is(err, migrate.ErrNoChange) {
			t.Fatal(err)
		}
	}
	status, err := d.SchemaStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const registry = 17
	down := int(status.Newest) - registry + 1
	march, june := newYear.AddDate(0, 2, 0), newYear.AddDate(0, 5, 0)
	pruned := saveModel(t, d, modelOf("pruned", june.AddDate(0, 1, 0)), "x", nothing)
	newest := saveModel(t, d, modelOf("newest", june), "x", inPlaceOf(0))
	saveModel(t, d, modelOf("older", march), "x", nothing)
	if _, err := d.Pool().Exec(t.Context(), `UPDATE models SET bytes = NULL WHERE id = $1`, pruned.ID); err != nil {
		t.Fatal(err)
	}
	steps(-down)
	if files := ask[int](t, d, `SELECT octet_length(bytes) FROM models ORDER BY id`); !slices.Equal(files, []int{0, 1, 1}) {
		t.Errorf("after down the files have %v bytes", files)
	}
	steps(down)
	m, err := d.CurrentModel(t.Context(), btc15m, time.Time{})
	if err != nil || m.ID != newest.ID || !m.Verdict.Promoted || m.Settings != "" || !m.InUseSince.Valid {
		t.Errorf("after up again %+v, %v", m, err)
	}
	if _, err := d.CurrentModel(t.Context(), btc15m, march); market.ErrorCode(err) != market.NotFound {
		t.Errorf("an older one that nobody judged: %v", err)
	}
	if _, err := d.ModelContent(t.Context(), pruned.ID); market.ErrorCode(err) != market.Conflict {
		t.Errorf("what was pruned before: %v", err)
	}
}
