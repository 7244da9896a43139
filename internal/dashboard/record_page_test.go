package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestRecordPageReadsWithoutScripts(t *testing.T) {
	response := get(newHandler(t, withRecord()), "/record/BTCUSDT/15m")
	expect(t, response, http.StatusOK,
		"BTCUSDT 15m record", "What became of the forecasts of the candles that opened from 2025-06-02 to 2025-07-01. Information, not financial advice.",
		"Waiting for their candle 4",
		"HAR 1.774 bp forest 1.27 % better",
		"At the open 2,880", "Last quarter", "Model 2", "Model 1", "2025-06-30 1,936",
		"30 to 40 %", "in 80 % 80 %",
		"The newest 100, newest first",
		"2025-07-01 00:00 00:04:00 27 %", "hold open not known yet",
		"right side, in both bands", "outside both bands", "not stored",
	)
	page := readable(response.Body.String())
	for _, untrue := range []string{"Stale", "Fewer than a day", "No record"} {
		if strings.Contains(page, untrue) {
			t.Errorf("a page of 30 fresh days says %q", untrue)
		}
	}
	if rows := strings.Count(response.Body.String(), "not known yet"); rows != 1 {
		t.Errorf("%d forecasts are marked as open, want 1", rows)
	}
}

func TestRecordStates(t *testing.T) {
	simulated := withRecord()
	made := *simulated.History.(*fakeHistory)
	made.origin = history.Simulated
	simulated.History = &made
	with := func(record Record) Dependencies {
		dependencies := month()
		dependencies.Record = record
		return dependencies
	}
	hours := recordOf(1)
	for k := range hours.sums {
		hours.sums[k].Rows = min(hours.sums[k].Rows, 5)
	}
	stale := withRecord()
	stale.Now = func() time.Time { return midnight.Add(35 * time.Minute) }
	unread := recordOf(30)
	unread.recentErr = errors.New("password=hunter2")
	pending := fakeRecord{sums: []forecast.RecordSums{{Day: midnight, Tenth: 5, Pending: 4}}}
	for name, test := range map[string]struct {
		dependencies Dependencies
		path         string
		status       int
		text         string
	}{
		"none kept":     {month(), "/record/BTCUSDT/15m", 200, "This service keeps no record of its forecasts."},
		"empty":         {with(fakeRecord{}), "/record/BTCUSDT/15m", 200, "No forecast of BTCUSDT 15m was stored in these days."},
		"pending":       {with(pending), "/record/BTCUSDT/15m", 200, "4 forecasts of these days: none has been measured yet"},
		"no interval":   {with(hours), "/record/BTCUSDT/15m", 200, "no interval: it takes 20 days"},
		"too few":       {with(hours), "/record/BTCUSDT/15m", 200, "Fewer than a day of candles (16) was forecast from the open: too few to tell skill from chance."},
		"stale":         {stale, "/record/BTCUSDT/15m", 200, "Stale: the newest forecast was made 31 minutes ago"},
		"simulated":     {simulated, "/record/BTCUSDT/15m", 200, "Simulated market"},
		"rows not read": {with(unread), "/record/BTCUSDT/15m", 200, "They could not be read. The service’s log has its cause under ID test-request."},
		"not read":      {with(fakeRecord{err: errors.New("password=hunter2")}), "/record/BTCUSDT/15m", 500, "The page could not be made"},
		"unknown":       {withRecord(), "/record/DOGEUSDT/15m", 404, "No candles of DOGEUSDT are stored"},
		"bad days":      {withRecord(), "/record/BTCUSDT/15m?days=8", 404, "Days is \"8\": ask for 7, 30 or 90."},
	} {
		t.Run(name, func(t *testing.T) {
			response := get(newHandler(t, test.dependencies), test.path)
			expect(t, response, test.status, test.text)
			if strings.Contains(response.Body.String(), "hunter2") {
				t.Error("the page shows an internal error's text")
			}
		})
	}
}

// Where a baseline lost nothing, no share of its loss can be told.
func TestRecordOfAPriceThatNeverMoved(t *testing.T) {
	for lost, says := range map[float64]string{0: "HAR 0.000 bp forest as good", 0.5: "HAR 0.000 bp forest worse"} {
		dependencies := month()
		one := forecast.SumOfSome{Rows: 1}
		dependencies.Record = fakeRecord{sums: []forecast.RecordSums{{
			Day: midnight, Tenth: 5, Rows: 1, PinballLoss: lost, Stays: one, EWMA: one, HAR: one, Places: [5]int{0, 0, 1},
		}}}
		response := get(newHandler(t, dependencies), "/record/BTCUSDT/15m")
		expect(t, response, http.StatusOK, says)
		for _, untrue := range []string{"NaN", "Inf\u00a0"} {
			if strings.Contains(response.Body.String(), untrue) {
				t.Errorf("the page says %s", untrue)
			}
		}
	}
}

func TestRecordRangeIsInTheAddress(t *testing.T) {
	for query, days := range map[string]int{"": 30, "?days=7": 7, "?days=90": 90} {
		record := recordOf(30)
		record.asked = new(market.TimeRange)
		dependencies := month()
		dependencies.Record = record
		body := get(newHandler(t, dependencies), "/record/BTCUSDT/15m"+query).Body.String()
		tomorrow := midnight.AddDate(0, 0, 1)
		if want := (market.TimeRange{Start: tomorrow.AddDate(0, 0, -days), End: tomorrow}); *record.asked != want {
			t.Errorf("%q asks for %v, want %v", query, *record.asked, want)
		}
		if want := fmt.Sprintf(`<a href="/record/BTCUSDT/15m?days=%d" aria-current="page">`, days); !strings.Contains(body, want) {
			t.Errorf("%q: the page has no %s", query, want)
		}
	}
}

func TestSymbolLeadsToItsPages(t *testing.T) {
	for path, want := range map[string]string{
		"/record/BTCUSDT?days=7": "/record/BTCUSDT/15m?days=7", "/models/ETHUSDT": "/models/ETHUSDT/15m",
	} {
		response := get(newHandler(t, withRecord()), path)
		if got := response.Header().Get("Location"); response.Code != http.StatusFound || got != want {
			t.Errorf("%s: status %d to %q, want 302 to %q", path, response.Code, got, want)
		}
	}
	response := get(newHandler(t, withRecord()), "/record/btcusdt/15m?days=7")
	if got := response.Header().Get("Location"); response.Code != http.StatusMovedPermanently || got != "/record/BTCUSDT/15m?days=7" {
		t.Errorf("status %d to %q, want 301 to the symbol in capitals", response.Code, got)
	}
}

func TestModelsPage(t *testing.T) {
	response := get(newHandler(t, withRecord()), "/models/BTCUSDT/15m")
	expect(t, response, http.StatusOK,
		"BTCUSDT 15m models", "Model 2 makes the forecasts. Information, not financial advice.",
		"3 not promoted: its pinball loss on the newest month is 0.8 % above that of model 2: pinball loss 3.412 bp at the open",
		"2.412 of EWMA 2025-07-01 2023-01-01 to 2025-06-30", "+0.06 % −0.11 % to +0.11 %: no skill is shown 0.2479",
		"2 promoted: its pinball loss on the newest month is 1.1 % below HAR’s and 0.2 % below that of model 1 In use since 2025-06-01 07:00 UTC",
		"2025-06-01 to 2025-06-30 3.412 3.450 3.602 80.3 % 90.4 % +0.06 % +0.02 % to +0.11 % 0.2479 4.2 MB",
		"not measured", "pruned", `cryptoboat models -promote ID -reason "why"`, "/v1/models/ID/promote",
		"volatility so far +0.4123", "day of week −0.0011",
	)
	if body := response.Body.String(); !strings.Contains(body, `<rect width="73"`) || !strings.Contains(body, `<rect width="0"`) {
		t.Error("the bars are not as long as their features are important")
	}
}

func TestModelsStates(t *testing.T) {
	with := func(models Models) Dependencies {
		dependencies := month()
		dependencies.Models = models
		return dependencies
	}
	none := threeModels()
	none.models = none.models[:1]
	forgotten := withRecord()
	forgotten.Now = func() time.Time { return midnight.AddDate(0, 1, 2) }
	for name, test := range map[string]struct {
		dependencies Dependencies
		status       int
		text         string
	}{
		"none kept":   {month(), 200, "This service keeps no record of its models."},
		"none in use": {with(none), 200, "None of these models is in use."},
		"stale":       {forgotten, 200, "Stale: model 2 has learnt from no candle after 2025-05-31"},
		"not read":    {with(fakeModels{err: errors.New("refused")}), 500, "The page could not be made"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, get(newHandler(t, test.dependencies), "/models/BTCUSDT/15m"), test.status, test.text)
		})
	}
	unused := only(bitcoin, randomWalk(bitcoin, 200))
	unused.Models = none
	response := get(newHandler(t, unused), "/BTCUSDT/15m")
	expect(t, response, http.StatusOK, "No model of BTCUSDT 15m is in use, though some have been trained: the page of the models says why.")
	if strings.Contains(response.Body.String(), "cryptoboat train") {
		t.Error("the page advises to train what has been trained")
	}
	enough := only(bitcoin, randomWalk(bitcoin, forecast.FewestCandles(bitcoin.Interval)))
	enough.Models = fakeModels{}
	expect(t, get(newHandler(t, enough), "/models/BTCUSDT/15m"), http.StatusOK, "No models", "cryptoboat train -interval 15m BTCUSDT")
}
