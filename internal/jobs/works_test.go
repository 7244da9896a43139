package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

var noon = time.Date(2024, time.May, 6, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

type fixed settings.Settings

func (f fixed) Get(context.Context) (settings.Settings, error) { return settings.Settings(f), nil }

// trainer notes what it was asked to learn from, and takes a minute for each tree.
type trainer struct {
	series  market.Series
	window  market.TimeRange
	minutes time.Duration
	known   bool
	err     error
}

func (f *trainer) Train(
	_ context.Context, series market.Series, r market.TimeRange, progress func(done, total int),
) (forecast.Model, bool, error) {
	f.series, f.window = series, r
	for k := range 3 {
		f.minutes++
		progress(k+1, 3)
	}
	return forecast.Model{ID: 7, Rows: 1234}, f.known, f.err
}

func TestATrainingLearnsWhatTheSettingsSay(t *testing.T) {
	start := noon.AddDate(-1, 0, 0)
	failure := market.Errorf(market.Unavailable, "too few candles")
	for name, test := range map[string]struct {
		end   time.Time
		known bool
		err   error
		until time.Time
		rows  int64
	}{
		"up to now":                  {until: noon, rows: 1},
		"to an end":                  {end: noon.AddDate(0, -1, 0), until: noon.AddDate(0, -1, 0), rows: 1},
		"to an end that is to come":  {end: noon.AddDate(0, 1, 0), until: noon, rows: 1},
		"what a model knows already": {known: true, until: noon},
		"too little":                 {err: failure, until: noon},
	} {
		s := settings.Defaults()
		s.Training = settings.Range{Start: start, End: test.end, Interval: market.Hour1}
		f := &trainer{known: test.known, err: test.err}
		now := func() time.Time { return noon.Add(f.minutes * time.Minute) }
		var said bytes.Buffer
		report, err := jobs.NewTrain(fixed(s), f, now, slog.New(slog.NewTextHandler(&said, nil)))(t.Context(), jobs.Task{Symbol: "ETHUSDT"})
		if !errors.Is(err, test.err) || report["models_new"] != test.rows {
			t.Errorf("%s: %v, %v", name, report, err)
		}
		if want := (market.TimeRange{Start: start, End: test.until}); f.window != want || f.series != (market.Series{Symbol: "ETHUSDT", Interval: market.Hour1}) {
			t.Errorf("%s: learnt %s over %v, want %v", name, f.series, f.window, want)
		}
		if n := strings.Count(said.String(), "msg=training"); n != 3 {
			t.Errorf("%s: said %d times how far it has come:\n%s", name, n, &said)
		}
		if test.err == nil && !strings.Contains(said.String(), "model=7 rows=1234") {
			t.Errorf("%s: said %s", name, &said)
		}
	}
}

type scorer struct{ since time.Time }

func (s *scorer) ScoreClosed(_ context.Context, since time.Time) (news, corrected int64, err error) {
	s.since = since
	return 3, 2, errors.New("the rest failed")
}

func TestScoresOfAFailedRunCount(t *testing.T) {
	s := &scorer{}
	report, err := jobs.NewScore(s, atNoon)(t.Context(), jobs.Task{})
	if err == nil || !maps.Equal(report, jobs.Report{"scores_new": 3, "scores_corrected": 2}) || !s.since.Equal(noon.AddDate(0, 0, -60)) {
		t.Errorf("%v, %v, since %s", report, err, s.since)
	}
}

func TestAChoreThatFailsKeepsNoOtherWaiting(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	chore := func(name string, rows int64, err error) jobs.Chore {
		return jobs.Chore{Name: name, Do: func(context.Context) (int64, error) {
			if name == "stops" {
				stop()
			}
			return rows, err
		}}
	}
	quiet := slog.New(slog.DiscardHandler)
	gone := market.Errorf(market.NotFound, "gone")
	odd := errors.New("odd")
	report, err := jobs.NewMaintain([]jobs.Chore{chore("a", 1, nil), chore("b", 2, gone), chore("c", 3, odd), chore("d", 4, nil)}, quiet)(ctx, jobs.Task{})
	if !maps.Equal(report, jobs.Report{"a": 1, "b": 2, "c": 3, "d": 4}) || err == nil ||
		!strings.Contains(err.Error(), "b: gone") || !strings.Contains(err.Error(), "c: odd") {
		t.Errorf("%v, %v", report, err)
	}
	wantCode(t, err, market.Unavailable) // it is tried again
	report, err = jobs.NewMaintain([]jobs.Chore{chore("stops", 1, nil), chore("never", 2, nil)}, quiet)(ctx, jobs.Task{})
	if !errors.Is(err, context.Canceled) || !maps.Equal(report, jobs.Report{"stops": 1}) {
		t.Errorf("stopped: %v, %v", report, err)
	}
}

// exchange is a Backfiller that has a candle on each page, unless it fails.
type exchange struct {
	asked []market.TimeRange
	pages int // of each plan
	fail  func(market.Series) error
}

func (e *exchange) Plan(_ context.Context, r history.BackfillRequest) (history.BackfillPlan, error) {
	return history.BackfillPlan{Series: r.Series, Wanted: r.Wanted, Pages: slices.Repeat([]market.TimeRange{r.Wanted}, e.pages)}, nil
}

func (e *exchange) Run(_ context.Context, plan history.BackfillPlan, _ func(history.BackfillProgress)) (history.BackfillReport, error) {
	e.asked = append(e.asked, plan.Pages...)
	if e.fail != nil {
		if err := e.fail(plan.Series); err != nil {
			return history.BackfillReport{}, err
		}
	}
	return history.BackfillReport{New: int64(len(plan.Pages))}, nil
}

func (*exchange) Reconcile(
	context.Context, history.StoredCandles, history.ReconcileRequest, func(history.Difference), func(history.ReconcileReport),
) (history.ReconcileReport, error) {
	return history.ReconcileReport{}, nil
}

// ranges are requests of a day each.
type ranges []market.Symbol

func (r ranges) RangesToRecheck(_ context.Context, before time.Time, limit int) ([]history.BackfillRequest, error) {
	var requests []history.BackfillRequest
	for k, symbol := range r[:min(len(r), limit)] {
		requests = append(requests, history.BackfillRequest{
			Series: market.Series{Symbol: symbol, Interval: market.Minute15}, Recheck: true,
			Wanted: market.TimeRange{Start: before.AddDate(0, 0, -k-1), End: before.AddDate(0, 0, -k)},
		})
	}
	return requests, nil
}

func TestARecheckIsBounded(t *testing.T) {
	unknown := func(s market.Series) error {
		if s.Symbol == "GONE" {
			return market.Errorf(market.Invalid, "refused")
		}
		return nil
	}
	paused := &history.PausedError{Pause: history.Pause{Until: noon, Reason: "too many"}}
	for name, test := range map[string]struct {
		ranges ranges
		pages  int
		fail   func(market.Series) error
		asked  int
		found  int64
		code   market.Code
	}{
		"nothing to ask for":       {nil, 1, nil, 0, 0, ""},
		"a few":                    {ranges{"A", "B", "C"}, 2, nil, 6, 6, ""},
		"many ranges":              {slices.Repeat(ranges{"A"}, 80), 1, nil, 50, 50, ""},
		"a range of many pages":    {ranges{"A", "B", "C"}, 30, nil, 50, 50, ""},
		"one that is refused":      {ranges{"A", "GONE", "C"}, 1, unknown, 3, 2, market.Invalid},
		"an exchange that is away": {ranges{"A", "B"}, 1, func(market.Series) error { return paused }, 1, 0, market.Unavailable},
	} {
		e := &exchange{pages: test.pages, fail: test.fail}
		claims := 0
		found, err := jobs.Recheck(jobs.RecheckConfig{
			Ranges: test.ranges, Backfiller: e, Now: atNoon,
			Claim: func(context.Context) error { claims++; return nil },
		})(t.Context())
		if found != test.found || len(e.asked) != test.asked || market.ErrorCode(err) != test.code || claims != min(1, len(test.ranges)) {
			t.Errorf("%s: %d found on %d pages after %d claims, %v", name, found, len(e.asked), claims, err)
		}
	}
}

// nothing is stored yet.
type nothing struct{ jobs.IngestStore }

func (nothing) StoredCandles(context.Context, market.Series, market.TimeRange, int) ([]market.Candle, error) {
	return nil, nil
}

// A pause of the exchange can be told from what an ingest fails with, so that it is
// waited for.
func TestAnIngestFailsWithThePause(t *testing.T) {
	paused := &history.PausedError{Pause: history.Pause{Until: noon, Reason: "too many"}}
	s := settings.Defaults()
	s.CoinIDs = nil
	work := jobs.NewIngest(jobs.IngestConfig{
		Settings: fixed(s), Claim: func(context.Context) error { return nil }, Stored: nothing{},
		Backfiller: &exchange{pages: 1, fail: func(market.Series) error { return paused }},
		Mended:     func(market.Series, []market.Candle) { t.Error("told of candles that are not there") },
		Now:        atNoon, Log: slog.New(slog.DiscardHandler),
	})
	_, err := work(t.Context(), jobs.Task{Symbol: "BTCUSDT"})
	if got, is := errors.AsType[*history.PausedError](err); !is || got != paused {
		t.Errorf("the error is %v", err)
	}
	wantCode(t, err, market.Unavailable)
}
