package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func get(handler http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for k := 0; k+1 < len(header); k += 2 {
		request.Header.Set(header[k], header[k+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

var (
	scripts = regexp.MustCompile(`(?s)<script.*?</script>`)
	tags    = regexp.MustCompile(`<[^>]*>`)
	spaces  = regexp.MustCompile(`[\s\x{a0}]+`)
)

// readable returns what a visitor without scripts reads of a page.
func readable(page string) string {
	text := tags.ReplaceAllString(scripts.ReplaceAllString(page, ""), " ")
	return spaces.ReplaceAllString(html.UnescapeString(text), " ")
}

// expect fails the test unless a page answers with that status and reads, among
// other things, each of the texts.
func expect(t *testing.T, response *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if response.Code != status {
		t.Errorf("status %d, want %d", response.Code, status)
	}
	if got := response.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	page := readable(response.Body.String())
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q; it says:\n%s", text, page)
		}
	}
}

func only(series market.Series, candles []market.Candle) Dependencies {
	return Dependencies{
		History:    newHistory(map[market.Series][]market.Candle{series: candles}),
		Forecaster: noModel,
	}
}

func TestHomeLeadsToAStoredSymbol(t *testing.T) {
	daily := market.Series{Symbol: "BTCUSDT", Interval: market.Day1}
	minutely := market.Series{Symbol: "BTCUSDT", Interval: market.Minute1}
	for name, test := range map[string]struct {
		dependencies Dependencies
		want         string
	}{
		"both pairs":       {month(), "/BTCUSDT/15m"},
		"ether only":       {only(ether, randomWalk(ether, 10)), "/ETHUSDT/15m"},
		"daily only":       {only(daily, randomWalk(daily, 10)), "/BTCUSDT/1d"},
		"minutes roll up":  {only(minutely, randomWalk(minutely, 10)), "/BTCUSDT/15m"},
		"nothing imported": {Dependencies{History: &fakeHistory{}, Forecaster: noModel}, "/BTCUSDT/15m"},
	} {
		t.Run(name, func(t *testing.T) {
			response := get(newHandler(t, test.dependencies), "/")
			if got := response.Header().Get("Location"); response.Code != http.StatusFound || got != test.want {
				t.Errorf("status %d to %q, want 302 to %q", response.Code, got, test.want)
			}
		})
	}
}

func TestMarketPageReadsWithoutScripts(t *testing.T) {
	dependencies := month()
	last := dependencies.History.(*fakeHistory).candles[bitcoin][2879]
	response := get(newHandler(t, dependencies), "/BTCUSDT/15m")
	expect(t, response, http.StatusOK,
		"BTCUSDT 15m",
		"The chart needs JavaScript. The tables below hold the newest values and a summary.",
		"Newest candle opened 2025-06-30 23:45 UTC",
		"Close "+formatNumber(last.Close, 2),
		"Stored up to 2025-07-01 00:00 UTC 5 minutes ago",
		"24 h change −0.80 % −880.09",
		"30-day high 135,073.74 2025-06-13 15:45 UTC",
		"30-day low 102,859.68 2025-06-01 04:45 UTC",
		"Candles shown 2,880 from 2025-06-01 00:00 UTC",
		"Candles missing none",
		"Where the next candle closes, at 2025-07-01 00:15 UTC, with what was known at 2025-07-01 00:00 UTC",
		"Point Change, bp 80 % band 90 % band Closes higher",
		"Forest 109,277.62 +1.2 108,980.42 to 109,548.60 108,866.79 to 109,676.44 51.4 %",
		"price stays 109,264.51 0.0 108,827.45 to 109,701.57 108,652.63 to 109,898.24 50.0 %",
		"HAR 109,264.51 0.0 108,969.50 to 109,559.52 108,851.49 to 109,692.28 50.0 %",
		"Trained 2025-07-01 06:30 UTC", "Learnt from 2023-01-09 to 2025-06-30", "Rows 86,779, and 2,028 that could not be learnt from",
		"At first the newest 2.5 days are in view; “All” shows 30 days.",
		"Candles as delivered by the exchange.",
		"The candle closes above its open with a probability of 51.4 % ; the normal distribution alone says 50.7 % .",
		"Decision: hold . The better of buying and selling now, and undoing it at the close, is expected to earn −0.198 % after a fee of 0.100 % for each of two trades and a spread of 0.010 %",
		"Point and direction on 2025-06-01 to 2025-06-30",
		"At the open 2,880 +0.06 % +0.02 % to +0.11 % 52.1 % 0.2479 0.2500",
		"First quarter 11,520 +0.03 %",
		"Second quarter 11,519 −0.01 % −0.04 % to +0.02 %: no skill is shown 72.1 %",
		"Quarters of the candle that are not listed could not be measured",
		"Forest 3.412 49.7 % 80.3 % 41.2 90.4 % 57.9 95.2 %",
		"HAR 3.450 49.7 % 79.8 % 41.9 89.9 % 58.8 95.2 %",
		"Its decisions at the open (3 to buy, 2 to sell, 2,875 to hold) would have earned −0.31 % after costs, with a drawdown of 0.42 %; holding the coin +2.41 %, with one of 8.71 %.",
		"Information, not financial advice.",
	)
	page := readable(response.Body.String())
	for _, untrue := range []string{"Stale", "incomplete", "without the other pair", "Third quarter", "Last quarter"} {
		if strings.Contains(page, untrue) {
			t.Errorf("a fresh page of whole candles says %q", untrue)
		}
	}
	body := response.Body.String()
	for _, want := range []string{
		`<a href="/BTCUSDT/15m" aria-current="page">BTCUSDT</a>`, `<a href="/ETHUSDT/15m">ETHUSDT</a>`,
		`<a href="/BTCUSDT/15m" aria-current="page">15m</a>`, `<a href="/BTCUSDT/1M">1M</a>`, `<a href="/docs">`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(body, `<a href="/BTCUSDT/5m"`) {
		t.Error("the page links to an interval that 15m candles cannot be rolled up into")
	}
}

// The policy forbids what is written into a page; this says where it is rather
// than leave it to a blank chart.
func TestPagesHoldNoInlineScriptOrStyle(t *testing.T) {
	body := get(newHandler(t, month()), "/BTCUSDT/15m").Body.String()
	for _, script := range regexp.MustCompile(`<script[^>]*>`).FindAllString(body, -1) {
		if !strings.Contains(script, ` src="/static/`) && !strings.Contains(script, ` type="application/json"`) {
			t.Errorf("inline script: %s", script)
		}
	}
	if found := regexp.MustCompile(`<style|\sstyle=|\son[a-z]+=`).FindString(body); found != "" {
		t.Errorf("inline style or handler: %q", found)
	}
}

func TestStaleBadge(t *testing.T) {
	for name, test := range map[string]struct {
		after time.Duration // since the newest candle closed
		stale string
	}{
		"two intervals":       {30 * time.Minute, ""},
		"above two intervals": {31 * time.Minute, "Stale: the newest candle closed 31 minutes ago"},
		"long ago":            {511*24*time.Hour + time.Hour, "Stale: the newest candle closed 511 days ago"},
	} {
		t.Run(name, func(t *testing.T) {
			dependencies := month()
			dependencies.Now = func() time.Time { return midnight.Add(test.after) }
			for _, path := range []string{"/BTCUSDT/15m", "/ETHUSDT/15m"} {
				page := readable(get(newHandler(t, dependencies), path).Body.String())
				if got := strings.Contains(page, "Stale"); got != (test.stale != "") || !strings.Contains(page, test.stale) {
					t.Errorf("%s: says stale: %v, want %q", path, got, test.stale)
				}
			}
		})
	}
}

func TestMissingAndIncompleteCandlesAreCounted(t *testing.T) {
	candles := randomWalk(bitcoin, 2880)
	candles[2850].Parts = 0
	candles = slices.Delete(candles, 2800, 2812)
	candles = slices.Delete(candles, 2000, 2001)
	expect(t, get(newHandler(t, only(bitcoin, candles)), "/BTCUSDT/15m"), http.StatusOK,
		"Candles shown 2,867",
		"Candles missing 13 of 2,880 2025-06-21 20:00 UTC to 2025-06-21 20:15 UTC 2025-06-30 04:00 UTC to 2025-06-30 07:00 UTC",
		"Candles incomplete 1 marked ▲ in the chart", "▲ incomplete: made of fewer parts")
}

func TestManyHolesAreSummedUp(t *testing.T) {
	candles := randomWalk(bitcoin, 200)
	for k := 5; k > 0; k-- {
		candles = slices.Delete(candles, 20*k, 20*k+1)
	}
	expect(t, get(newHandler(t, only(bitcoin, candles)), "/BTCUSDT/15m"), http.StatusOK,
		"Candles missing 5 of 200", "and 2 holes before")
}

func TestRolledUpCandles(t *testing.T) {
	// Four hours and a quarter of stored candles: the newest hour has one part.
	stored := history.StoredSeries{Series: bitcoin, First: midnight.Add(-4 * time.Hour), Last: midnight}
	hourly := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	candles := randomWalk(hourly, 5)
	for k := range candles {
		candles[k].OpenTime = candles[k].OpenTime.Add(time.Hour)
		candles[k].Source, candles[k].Parts = market.Minute15, 4
	}
	candles[4].Parts = 1
	dependencies := Dependencies{Forecaster: noModel, History: &fakeHistory{
		candles: map[market.Series][]market.Candle{hourly: candles}, stored: history.Catalogue{stored}}}
	dependencies.Now = func() time.Time { return midnight.Add(16 * time.Minute) }
	expect(t, get(newHandler(t, dependencies), "/BTCUSDT/1h"), http.StatusOK,
		"Interval 1h, rolled up from 15m",
		"Newest candle opened 2025-07-01 00:00 UTC incomplete: 1 of 4 15m candles",
		"Stored up to 2025-07-01 00:15 UTC less than two minutes ago",
		"Candles shown 5 from 2025-06-30 20:00 UTC", "Candles missing none", "Candles incomplete 1",
		"24 h change not known: no candle 24 hours earlier",
		"High since 2025-06-30")
}

func TestNoModel(t *testing.T) {
	fewest := forecast.FewestCandles(bitcoin.Interval)
	expect(t, get(newHandler(t, only(bitcoin, randomWalk(bitcoin, fewest))), "/BTCUSDT/15m"), http.StatusOK,
		"No model of BTCUSDT 15m has been trained.", "cryptoboat train -interval 15m BTCUSDT")
}

func TestNoModelCanBeTrainedOnTooFewCandles(t *testing.T) {
	fewest := forecast.FewestCandles(bitcoin.Interval)
	few := randomWalk(bitcoin, fewest-1)
	monthly := market.Series{Symbol: "BTCUSDT", Interval: market.Month1}
	months := []market.Candle{few[0], few[1]}
	months[0].OpenTime, months[1].OpenTime = midnight.AddDate(0, -95, 0), midnight.AddDate(0, -1, 0)
	for _, test := range []struct {
		dependencies Dependencies
		path         string
		stored       int
		fewest       int
	}{
		{only(bitcoin, few), "/BTCUSDT/15m", fewest - 1, fewest},
		{only(monthly, months), "/BTCUSDT/1M", 95, forecast.FewestCandles(market.Month1)},
	} {
		response := get(newHandler(t, test.dependencies), test.path)
		expect(t, response, http.StatusOK, fmt.Sprintf(
			"At this interval no more than %s candles are stored, too few to learn from: a training takes %s.",
			formatCount(test.stored), formatCount(test.fewest)))
		if strings.Contains(response.Body.String(), "cryptoboat train") {
			t.Errorf("%s: the page advises a training that cannot work", test.path)
		}
	}
}

func TestForecastWithoutItsCompanionSaysSo(t *testing.T) {
	dependencies := month()
	f := dependencies.Forecaster.(fakeForecaster)
	f.forecast.CompanionMissing = true
	dependencies.Forecaster = f
	expect(t, get(newHandler(t, dependencies), "/BTCUSDT/15m"), http.StatusOK,
		"with what was known at 2025-07-01 00:00 UTC, without the other pair’s newest candle, which makes the bands a little worse")
}

func TestUnavailableForecastSaysWhy(t *testing.T) {
	dependencies := only(bitcoin, randomWalk(bitcoin, 200))
	dependencies.Forecaster = fakeForecaster{err: market.Errorf(market.Unavailable, "candles before it are missing")}
	response := get(newHandler(t, dependencies), "/BTCUSDT/15m")
	expect(t, response, http.StatusOK, "Candles before it are missing.")
	if strings.Contains(response.Body.String(), "cryptoboat train") {
		t.Error("the page advises to train where that would not help")
	}
}

func TestUnmeasuredModel(t *testing.T) {
	candles := randomWalk(bitcoin, 200)
	f := forecastAfter(bitcoin, candles[199])
	f.Model.Metrics = forecast.Metrics{}
	dependencies := only(bitcoin, candles)
	dependencies.Forecaster = fakeForecaster{forecast: f}
	expect(t, get(newHandler(t, dependencies), "/BTCUSDT/15m"), http.StatusOK, "This model has not been measured.")
}

func TestFailedForecastLeavesTheCandles(t *testing.T) {
	var log bytes.Buffer
	dependencies := only(bitcoin, randomWalk(bitcoin, 200))
	dependencies.Forecaster = fakeForecaster{err: errors.New("password=hunter2")}
	dependencies.Log = slog.New(slog.NewTextHandler(&log, nil))
	response := get(newHandler(t, dependencies), "/BTCUSDT/15m")
	expect(t, response, http.StatusOK, "Candles shown 200",
		"The forecast failed. The service’s log has its cause under ID test-request.")
	if strings.Contains(response.Body.String(), "hunter2") {
		t.Error("the page shows an internal error's text")
	}
	if got := log.String(); !strings.Contains(got, "hunter2") || !strings.Contains(got, "request_id=test-request") {
		t.Errorf("the log does not hold the error under the request's ID: %s", got)
	}
}

func TestSimulatedMarketSaysSoOnEveryPage(t *testing.T) {
	const badge = "Simulated market : the offline exchange makes these prices up; nothing of this is traded anywhere."
	for origin, simulated := range map[history.Origin]bool{history.Simulated: true, history.Real: false, "": false} {
		dependencies := month()
		stored := dependencies.History.(*fakeHistory)
		stored.origin = origin
		broken := Dependencies{Forecaster: noModel, History: &fakeHistory{origin: origin, err: errors.New("refused")}}
		empty := Dependencies{Forecaster: noModel, History: &fakeHistory{origin: origin}}
		for name, response := range map[string]*httptest.ResponseRecorder{
			"market":  get(newHandler(t, dependencies), "/BTCUSDT/15m"),
			"roll-up": get(newHandler(t, dependencies), "/ETHUSDT/1d"),
			"no page": get(newHandler(t, dependencies), "/DOGEUSDT/15m"),
			"broken":  get(newHandler(t, broken), "/BTCUSDT/15m"),
			"empty":   get(newHandler(t, empty), "/BTCUSDT/15m"),
		} {
			body := response.Body.String()
			header, _, _ := strings.Cut(body, "</header>")
			if got := strings.Contains(readable(header), badge); got != simulated {
				t.Errorf("origin %q, %s: the header has the badge: %t; it says:\n%s", origin, name, got, readable(header))
			}
			if got := strings.Contains(body, "(simulated) · CryptoBoat</title>"); got != simulated {
				t.Errorf("origin %q, %s: the title says so: %t", origin, name, got)
			}
			if got := strings.Contains(strings.ToLower(body), "simulated"); got != simulated {
				t.Errorf("origin %q, %s: the page speaks of a simulation: %t", origin, name, got)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	broken := Dependencies{Forecaster: noModel,
		History: &fakeHistory{err: errors.New("dial tcp 10.0.0.1:5432: refused")}}
	busy := Dependencies{Forecaster: noModel,
		History: &fakeHistory{err: market.Errorf(market.Unavailable, "The database is starting.")}}
	stalled := Dependencies{Forecaster: noModel,
		History: &fakeHistory{err: fmt.Errorf("reading from 10.0.0.1: %w", context.DeadlineExceeded)}}
	unclaimed := Dependencies{Forecaster: noModel,
		History: &fakeHistory{originErr: errors.New("dial tcp 10.0.0.1:5432: refused")}}
	const cause = "The service’s log has its cause under ID test-request."
	for name, test := range map[string]struct {
		dependencies Dependencies
		path         string
		status       int
		text         string
	}{
		"unknown symbol":   {month(), "/DOGEUSDT/15m", 404, "No candles of DOGEUSDT are stored: ask for one of BTCUSDT, ETHUSDT."},
		"no symbol":        {month(), "/BTC-USDT/15m", 404, "Symbol \"BTC-USDT\" is not a pair: use 2 to 20 letters and digits"},
		"unknown interval": {month(), "/BTCUSDT/7m", 404, "Interval \"7m\" is unknown"},
		"finer than stored": {month(), "/BTCUSDT/5m", 404,
			"Candles of BTCUSDT 5m cannot be made of what is stored: ask for one of 15m, 30m, 1h"},
		"empty database": {Dependencies{History: &fakeHistory{}, Forecaster: noModel}, "/BTCUSDT/15m", 404, "cryptoboat import PATH"},
		"broken":         {broken, "/BTCUSDT/15m", 500, "The page could not be made " + cause},
		"broken home":    {broken, "/", 500, "The page could not be made " + cause},
		"no origin":      {unclaimed, "/BTCUSDT/15m", 500, "The page could not be made " + cause},
		"stalled":        {stalled, "/BTCUSDT/15m", 503, "Not available at the moment The candles could not be read in time. " + cause},
		"unavailable":    {busy, "/BTCUSDT/15m", 503, "The database is starting."},
	} {
		t.Run(name, func(t *testing.T) {
			response := get(newHandler(t, test.dependencies), test.path)
			expect(t, response, test.status, test.text)
			if strings.Contains(response.Body.String(), "10.0.0.1") {
				t.Error("the page shows an internal error's text")
			}
		})
	}
}

func TestLowerCaseSymbolIsRedirected(t *testing.T) {
	response := get(newHandler(t, month()), "/btcusdt/1h")
	if got := response.Header().Get("Location"); response.Code != http.StatusMovedPermanently || got != "/BTCUSDT/1h" {
		t.Errorf("status %d to %q, want 301 to /BTCUSDT/1h", response.Code, got)
	}
}

const hostile = `</script><script>alert(1)</script><img src=x onerror=alert(1)>`

func TestForeignTextIsEscaped(t *testing.T) {
	candles := randomWalk(bitcoin, 200)
	f := forecastAfter(bitcoin, candles[199])
	f.Baselines[0].Name, f.Model.Metrics.Baselines[0].Name = hostile, hostile
	dependencies := only(bitcoin, candles)
	dependencies.Forecaster = fakeForecaster{forecast: f}
	stored := dependencies.History.(*fakeHistory)
	stored.stored = append(stored.stored, history.StoredSeries{
		Series: market.Series{Symbol: hostile, Interval: market.Minute15}, First: midnight, Last: midnight})
	dependencies.Coins = fakeCoins{coins: []market.Coin{{Ticker: "BTC", Name: hostile, AsOf: midnight}}}
	named := only(bitcoin, candles)
	named.Coins = dependencies.Coins
	unnamed := only(bitcoin, candles)
	unnamed.Forecaster = fakeForecaster{err: market.Errorf(market.Unavailable, "%s", hostile)}

	for name, response := range map[string]*httptest.ResponseRecorder{
		"names":   get(newHandler(t, dependencies), "/BTCUSDT/15m"),
		"failure": get(newHandler(t, dependencies), "/DOGEUSDT/15m"),
		"coin":    get(newHandler(t, named), "/BTCUSDT/15m"),
		"error":   get(newHandler(t, unnamed), "/BTCUSDT/15m"),
		"record":  get(newHandler(t, hostileRecord()), "/record/BTCUSDT/15m"),
		"models":  get(newHandler(t, hostileRecord()), "/models/BTCUSDT/15m"),
		"address": get(newHandler(t, dependencies), "/%3Cscript%3Ealert(1)%3C%2Fscript%3E/15m"),
	} {
		t.Run(name, func(t *testing.T) {
			body := response.Body.String()
			if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
				t.Errorf("foreign text reached the page as markup:\n%s", body)
			}
			if !strings.Contains(readable(body), "alert(1)") {
				t.Error("the page does not show the foreign text at all, so that this test tests nothing")
			}
		})
	}
}

func TestChartOptionsAreTheJSONOfTheCandles(t *testing.T) {
	body := get(newHandler(t, month()), "/BTCUSDT/15m").Body.String()
	_, rest, _ := strings.Cut(body, `<script type="application/json" id="chart-options">`)
	encoded, _, found := strings.Cut(rest, "</script>")
	if !found {
		t.Fatal("the page holds no chart options")
	}
	var options struct {
		Series []struct {
			ID   string            `json:"id"`
			Data []json.RawMessage `json:"data"`
		} `json:"series"`
	}
	if err := json.Unmarshal([]byte(encoded), &options); err != nil {
		t.Fatal(err)
	}
	lengths := map[string]int{}
	for _, s := range options.Series {
		lengths[s.ID] = len(s.Data)
	}
	// 30 days and the slot of the forecast.
	if lengths["candles"] != 2881 || lengths["volume"] != 2881 || lengths["forecast"] != 1 {
		t.Errorf("series lengths %v, want 2881 candles and volumes and one forecast", lengths)
	}
}

func TestChartLibraryMissing(t *testing.T) {
	mux := http.NewServeMux()
	files := fstest.MapFS{"market.js": {}, "style.css": {}, "icon.svg": {}}
	dependencies := month()
	dependencies.Now = func() time.Time { return midnight }
	if err := register(mux, dependencies, files); err != nil {
		t.Fatal(err)
	}
	response := get(mux, "/BTCUSDT/15m")
	expect(t, response, http.StatusOK, "run make assets", "Candles shown 2,880")
	if strings.Contains(response.Body.String(), "<script") {
		t.Error("the page asks for scripts that have nothing to draw with")
	}
}

func TestStaticFiles(t *testing.T) {
	handler := newHandler(t, month())
	page := get(handler, "/BTCUSDT/15m").Body.String()
	for name, contentType := range map[string]string{
		"style.css": "text/css; charset=utf-8", "market.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		t.Run(name, func(t *testing.T) {
			address := regexp.MustCompile(`/static/` + regexp.QuoteMeta(name) + `\?v=[0-9a-f]+`).FindString(page)
			if address == "" {
				t.Fatalf("the page does not refer to %s by its hash", name)
			}
			response := get(handler, address)
			if response.Code != http.StatusOK || response.Header().Get("Content-Type") != contentType {
				t.Errorf("status %d, content type %q", response.Code, response.Header().Get("Content-Type"))
			}
			if caching := response.Header().Get("Cache-Control"); !strings.Contains(caching, "immutable") {
				t.Errorf("an address with a hash may be kept for ever; Cache-Control is %q", caching)
			}
			again := get(handler, "/static/"+name, "If-None-Match", response.Header().Get("ETag"))
			if again.Code != http.StatusNotModified {
				t.Errorf("status %d for a known ETag, want 304", again.Code)
			}
			if caching := again.Header().Get("Cache-Control"); caching != "no-cache" {
				t.Errorf("an address without a hash must be asked for again; Cache-Control is %q", caching)
			}
		})
	}
	for _, path := range []string{"/static/nothing.js", "/static/vendor/.gitignore", "/static/../dashboard.go"} {
		if response := get(handler, path); response.Code == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
}

func BenchmarkMarketPage(b *testing.B) {
	handler := newHandler(b, month())
	b.ReportAllocs()
	for b.Loop() {
		response := httptest.NewRecorder()
		response.Body = nil
		handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/BTCUSDT/15m", nil))
		if response.Code != http.StatusOK {
			b.Fatal(response.Code)
		}
	}
	response := get(handler, "/BTCUSDT/15m")
	size, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size), "page-bytes")
}
