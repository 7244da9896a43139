package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/cryptoboat/cryptoboat/internal/browsertest"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// feed is the service's stream and its list of candles, as the pages see them.
type feed struct {
	mutex    sync.Mutex
	readers  map[chan string]struct{}
	lastIDs  []string      // that readers came with
	left     chan struct{} // a token for each reader that left
	id       int
	newest   string       // price event
	candles  []fakeCandle // what the list of candles answers, from its start on
	mute     bool         // new readers get no answer at all
	joined   chan string  // the ID that each reader comes with
	baseline string       // name of the forecasts' baseline; HAR where empty
}

type object = map[string]any

type fakeCandle struct {
	OpenTime time.Time `json:"open_time"`
	Open     float64   `json:"open"`
	High     float64   `json:"high"`
	Low      float64   `json:"low"`
	Close    float64   `json:"close"`
	Volume   float64   `json:"volume"`
	Complete bool      `json:"complete"`
}

func (f *feed) serveStream(w http.ResponseWriter, r *http.Request) {
	events := make(chan string, 100)
	f.mutex.Lock()
	f.readers[events] = struct{}{}
	f.lastIDs = append(f.lastIDs, r.Header.Get("Last-Event-ID")+r.URL.Query().Get("last_event_id"))
	newest, mute := f.newest, f.mute
	f.mutex.Unlock()
	f.joined <- r.Header.Get("Last-Event-ID") + r.URL.Query().Get("last_event_id")
	defer func() {
		f.mutex.Lock()
		delete(f.readers, events)
		f.mutex.Unlock()
		f.left <- struct{}{}
	}()
	if mute {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "retry: 100\nevent: heartbeat\ndata: {\"time\":%q}\n\n%s", time.Now().UTC().Format(time.RFC3339Nano), newest)
	for {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			_, _ = fmt.Fprint(w, e) // a reader that is gone is noticed above
		}
	}
}

func (f *feed) serveCandles(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	start, err := time.Parse(time.RFC3339, r.URL.Query().Get("start"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	found := []fakeCandle{}
	for _, c := range f.candles {
		if !c.OpenTime.Before(start) && len(found) < 3000 { // the API's bound
			found = append(found, c)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object{"candles": found})
}

func (f *feed) publish(name string, data object) {
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.id++
	e := fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", f.id, name, encoded)
	if name == "price" {
		f.newest = e
	}
	for events := range f.readers {
		events <- e
	}
}

// price publishes the state of the candle of 15 minutes that is open at an
// instant of the market.
func (f *feed) price(at time.Time, open, high, low, last float64) {
	openTime := market.Minute15.Floor(at)
	f.publish("price", object{
		"symbol": "BTCUSDT", "interval": "15m", "price": last, "open": open, "high": high, "low": low, "close": last, "volume": 7.25,
		"open_time": openTime, "close_time": openTime.Add(15 * time.Minute), "event_time": at, "received_at": time.Now().UTC(),
	})
}

func (f *feed) candle(c fakeCandle) {
	f.publish("candle", object{
		"symbol": "BTCUSDT", "interval": "15m", "open_time": c.OpenTime, "open": c.Open, "high": c.High, "low": c.Low, "close": c.Close,
		"volume": c.Volume, "complete": true,
	})
}

func (f *feed) forecast(asOf time.Time, point float64, model int) {
	prediction := func(name string, point float64) object {
		return object{"name": name, "point": point, "probability_up": 0.625, "bands": []object{
			{"level": 0.8, "low": point - 100, "high": point + 100}, {"level": 0.9, "low": point - 150, "high": point + 150},
		}}
	}
	openTime := market.Minute15.Floor(asOf)
	data := object{
		"symbol": "BTCUSDT", "interval": "15m", "as_of": asOf, "open_time": openTime, "close_time": openTime.Add(15 * time.Minute),
		"last": 109_300.0, "probability_above_open": 0.875, "probability_analytic": 0.8125,
		"decision": object{"action": "buy", "expected_gain": 0.00123, "costs": object{"fee": 0.00075, "spread": 0.0002}}, "baselines": []object{prediction(cmp.Or(f.baseline, "HAR"), 109_300)}, "model": object{"id": model}, "companion_missing": true,
	}
	maps.Copy(data, prediction("Forest", point))
	f.publish("forecast", data)
}

// end ends every open stream, in good order.
func (f *feed) end() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for events := range f.readers {
		close(events)
		delete(f.readers, events)
	}
}

func openLivePage(t *testing.T, browser *browserPage, path string, width int64, dependencies Dependencies, before ...chromedp.Action) (browserPage, *feed) {
	t.Helper()
	dependencies.Live = true
	f := &feed{readers: map[chan string]struct{}{}, left: make(chan struct{}, 100), joined: make(chan string, 100)}
	mux := http.NewServeMux()
	mux.Handle("/", newHandler(t, dependencies))
	mux.HandleFunc("GET /v1/stream", f.serveStream)
	mux.HandleFunc("GET /v1/symbols/BTCUSDT/candles", f.serveCandles)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(f.end)
	ctx, cancel := chromedp.NewContext(browser.ctx)
	t.Cleanup(cancel)
	browsertest.Watch(t, ctx, server.URL)
	page := browserPage{t, ctx}
	page.run(cdppage.BringToFront(), chromedp.EmulateViewport(width, 900))
	page.run(before...)
	page.run(chromedp.Navigate(server.URL+path), chromedp.WaitVisible(`#chart[data-state="drawn"]`, chromedp.ByQuery))
	page.poll(`document.querySelector("[data-live=state]").dataset.state === "stale"`) // connected, and nothing came yet
	return page, f
}

// chartIs waits until an expression of the chart's options holds.
func (p browserPage) chartIs(condition string) {
	p.t.Helper()
	p.poll(fmt.Sprintf(`(() => {
		const options = echarts.getInstanceByDom(document.getElementById("chart")).getOption();
		const series = Object.fromEntries(options.series.map((s) => [s.id, s.data]));
		const [zoom, slots] = [options.dataZoom, options.xAxis[0].data];
		const near = (a, b) => Math.abs(a - b) < 1e-6;
		const inView = (k) => zoom[0][k] / 100 * (slots.length - 1);
		return %s;
	})()`, condition))
}

func (p browserPage) liveIs(name, text string) {
	p.t.Helper()
	p.poll(fmt.Sprintf(`document.querySelector("[data-live=%s]").innerText.replaceAll("\u00a0", " ") === %q`, name, text))
}

func at(minutes, seconds int) time.Time {
	return midnight.Add(time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second)
}

func TestBrowserLive(t *testing.T) {
	lacking := ""
	if _, err := staticFiles.Open("static/" + chartLibrary); err != nil {
		lacking = "the chart library has not been fetched (make assets)"
	}
	browser := &browserPage{t, browsertest.Start(t, lacking)}
	dependencies := month()

	t.Run("price, candle and forecast move and the zoom stays", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		f.price(at(7, 30), 109_264.51, 109_400, 109_200, 109_300)
		page.liveIs("close", "109,300.00")
		page.liveIs("state", "Live")
		page.chartIs(`String(series.candles[2880].value) === "109264.51,109300,109200,109400" && series.volume[2880].value === 7.25`)
		page.poll(`document.querySelector("#readout .note").innerText.startsWith("forecast 109,277.62")`)
		page.poll(`document.querySelector("#readout [data-field=close]").innerText === "109,300.00"`)
		page.poll(`/^closes in 07:(30|2\d)$/.test(document.querySelector("[data-live=countdown]").innerText)`)

		f.forecast(at(7, 35), 109_310, 1)
		page.chartIs(`String(series.forecast[0].value) === "2880,109160,109210,109310,109410,109460"`)
		page.poll(`document.querySelector("#forecast-section tbody tr").innerText.replaceAll(/\s+/g, " ") ===
			"Forest 109,310.00 +0.9 109,210.00 to 109,410.00 109,160.00 to 109,460.00 62.5 %"`)
		page.poll(`[...document.querySelectorAll("#forecast-section tbody tr")].map((row) => row.cells[1].innerText).join(" ") === "109,310.00 109,300.00"`)
		page.poll(`document.querySelector("[data-forecast=above-open]").innerText.replaceAll("\u00a0", " ") === "87.5 %"`)
		page.poll(`["analytic", "decision", "gain", "costs"].map((name) => document.querySelector("[data-forecast=" + name + "]").textContent).join("|")
			.replaceAll("\u00a0", " ") === "81.3 %|buy|+0.123 %|a fee of 0.075 % for each of two trades and a spread of 0.020 %"`)
		page.poll(`document.querySelector("#forecast-section caption").innerText.replaceAll("\u00a0", " ")
			.startsWith("Where the open candle closes, at 2025-07-01 00:15 UTC, with what was known at 2025-07-01 00:07:35 UTC, without the other pair’s")`)
		if page.number(`document.querySelectorAll("[data-forecast=newer-model]:not([hidden])").length`) > 0 {
			t.Error("the page's own model is said to be newer")
		}
		f.forecast(at(7, 40), 109_311, 2)
		page.poll(`document.querySelectorAll("[data-forecast=newer-model]:not([hidden])").length === 1`)

		// Somewhere in the past: what is in view does not move.
		page.run(chromedp.Evaluate(`echarts.getInstanceByDom(document.getElementById("chart")).dispatchAction({ type: "dataZoom", start: 40, end: 60 })`, nil))
		f.price(at(7, 45), 109_264.51, 109_410, 109_200, 109_410)
		page.chartIs(`series.candles[2880].value[1] === 109410 && zoom.every((z) => z.start === 40 && z.end === 60)`)
		f.candle(fakeCandle{at(0, 0), 109_264.51, 109_410, 109_190, 109_390, 9, true})
		f.price(at(15, 1), 109_390, 109_391, 109_390, 109_391)
		page.chartIs(`slots.length === 2882 && slots[2881] === "2025-07-01T00:15Z" && series.candles[2880].value[1] === 109390 &&
			series.candles[2881].value[1] === 109391 && near(inView("start"), 0.4 * 2880) && near(inView("end"), 0.6 * 2880)`)

		// At the right edge: the view goes along, as wide as it was.
		page.click("[data-zoom=newest]")
		page.chartIs(`zoom[0].end === 100 && zoom[0].start > 90`)
		width := page.number(`(() => { const { dataZoom: [z] } = echarts.getInstanceByDom(document.getElementById("chart")).getOption();
			return (z.end - z.start) / 100 * 2881; })()`)
		// A late state of a closed candle changes nothing.
		f.price(at(14, 59), 109_264.51, 200_000, 109_200, 200_000)
		f.candle(fakeCandle{at(15, 0), 109_390, 109_391, 109_390, 109_391, 1, true})
		f.price(at(30, 2), 109_391, 109_392, 109_391, 109_392)
		page.chartIs(fmt.Sprintf(`slots.length === 2883 && zoom[0].end === 100 && near(inView("end") - inView("start"), %v) && series.candles[2880].value[1] === 109390`, width))
		browsertest.Screenshot(t, page.ctx, "live")

		// A new theme starts from what has moved.
		page.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
		page.waitForColour("up")
		page.chartIs(`slots.length === 2883 && series.candles[2882].value[1] === 109392 && zoom[0].end === 100`)
		browsertest.Screenshot(t, page.ctx, "live-dark")
		t.Logf("one update of the chart takes %.1f ms", page.number(`(() => {
			const chart = echarts.getInstanceByDom(document.getElementById("chart"));
			const { series } = chart.getOption();
			const began = performance.now();
			for (let k = 0; k < 20; k++) chart.setOption({ series: series.map(({ id, data }) => ({ id, data })) });
			return (performance.now() - began) / 20;
		})()`))
	})

	t.Run("stale, lost and found again", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		page.liveIs("state", "Stale: no price yet")
		f.price(at(1, 0), 109_264.51, 109_400, 109_200, 109_300)
		page.liveIs("state", "Live")
		page.run(chromedp.Evaluate(`document.getElementById("heading").dataset.staleAfter = 500`, nil))
		page.poll(`/^Stale: last price [1-9] s ago$/.test(document.querySelector("[data-live=state]").innerText.replaceAll("\u00a0", " "))`)
		page.poll(`/ [2-9] s ago$/.test(document.querySelector("[data-live=state]").innerText.replaceAll("\u00a0", " "))`)
		if got := page.text("[data-live=state-name]"); got != "Stale" {
			t.Errorf("what is read out is %q, want the state without its age", got)
		}
		// Every word that the badge ever says, for its own sake and not by chance.
		page.run(chromedp.Evaluate(`window.said = []; new MutationObserver(() => said.push(document.querySelector("[data-live=state-name]").innerText))
			.observe(document.querySelector("[data-live=state-name]"), { childList: true })`, nil))
		page.run(chromedp.Evaluate(`document.getElementById("heading").dataset.staleAfter = 15000`, nil))
		f.end()
		f.price(at(1, 5), 109_264.51, 109_400, 109_200, 109_305)
		page.liveIs("close", "109,305.00")
		page.liveIs("state", "Live")
		page.poll(`said.includes("Reconnecting") && said.at(-1) === "Live"`)
		f.mutex.Lock()
		defer f.mutex.Unlock()
		if !slices.Equal(f.lastIDs, []string{"", "1"}) {
			t.Errorf("the page came with the IDs %q, want none and that of the last event", f.lastIDs)
		}
	})

	t.Run("hidden and looked at again", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		f.price(at(1, 0), 109_264.51, 109_400, 109_200, 109_300)
		page.liveIs("state", "Live")
		hide := func(hidden bool) {
			page.run(chromedp.Evaluate(fmt.Sprintf(`Object.defineProperty(document, "hidden", { value: %t, configurable: true });
				document.dispatchEvent(new Event("visibilitychange"))`, hidden), nil))
		}
		hide(true)
		page.poll(`document.hidden`)
		select {
		case <-f.left:
		case <-time.After(10 * time.Second):
			t.Fatal("a hidden page keeps its connection")
		}
		f.mutex.Lock()
		for k := range 4 {
			f.candles = append(f.candles, fakeCandle{at(15*k, 0), 109_300, 109_500, 109_100, 109_300 + float64(k), 3, true})
		}
		f.mutex.Unlock()
		f.price(at(62, 0), 109_303, 109_333, 109_300, 109_333)
		hide(false)
		page.liveIs("close", "109,333.00")
		page.chartIs(`slots.length === 2885 && [2880, 2881, 2882, 2883].every((k) => series.candles[k].value[1] === 109300 + k - 2880) &&
			series.candles[2884].value[1] === 109333`)
		f.mutex.Lock()
		defer f.mutex.Unlock()
		if !slices.Equal(f.lastIDs, []string{"", "1"}) {
			t.Errorf("the page came with the IDs %q", f.lastIDs)
		}
	})

	t.Run("an interval that is not streamed", func(t *testing.T) {
		hourly := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
		candles := randomWalk(hourly, 200)
		const legend = `document.getElementById("incomplete-legend").hidden`
		whole := newHistory(map[market.Series][]market.Candle{bitcoin: randomWalk(bitcoin, 800), hourly: candles})
		page, f := openLivePage(t, browser, "/BTCUSDT/1h", 1280, Dependencies{History: whole, Forecaster: noModel})
		f.price(at(3, 0), 109_264.51, 109_400, 109_200, 109_300) // begins the hour's candle
		page.liveIs("close", "109,300.00")
		page.chartIs(`slots.length === 201 && String(series.candles[200].value) === "109264.51,109300,109200,109400"`)
		page.poll(`document.querySelector("#readout .note").innerText === "still open"`)
		f.mutex.Lock()
		f.candles = []fakeCandle{{at(0, 0), 109_264.51, 109_450, 109_150, 109_290, 11, false}}
		f.mutex.Unlock()
		f.candle(fakeCandle{at(0, 0), 109_264.51, 109_450, 109_150, 109_290, 11, true})
		page.chartIs(`String(series.candles[200].value) === "109264.51,109290,109150,109450" && series.volume[200].value === 11`)
		f.price(at(16, 0), 109_290, 109_460, 109_280, 109_310)
		page.chartIs(`String(series.candles[200].value) === "109264.51,109310,109150,109460" && series.volume[200].value === 11`)
		page.chartIs(`series.incomplete.length === 0 && ` + legend)
		page.poll(`/^closes in (44:00|43:5\d)$/.test(document.querySelector("[data-live=countdown]").innerText)`)
		// The hour ends, and what it lacked has not come.
		f.price(at(61, 0), 109_310, 109_320, 109_300, 109_310)
		page.chartIs(`slots.length === 202 && String(series.incomplete[0]?.value) === "200,109150" && !` + legend)
	})

	t.Run("phone, light and dark, simulated", func(t *testing.T) {
		simulated := dependencies
		made := *dependencies.History.(*fakeHistory)
		made.origin = history.Simulated
		simulated.History = &made
		simulated.Now = func() time.Time { return midnight.Add(26 * time.Hour) } // what is stored is stale
		for _, scheme := range []string{"light", "dark"} {
			page, f := openLivePage(t, browser, "/BTCUSDT/15m", 390, simulated, emulation.SetEmulatedMedia().
				WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
			for _, state := range []string{"live", "stale"} {
				f.price(at(7, 30), 109_264.51, 109_400, 109_200, 109_300)
				if state == "stale" {
					page.run(chromedp.Evaluate(`document.getElementById("heading").dataset.staleAfter = 0`, nil))
				}
				page.poll(fmt.Sprintf(`document.querySelector("[data-live=state]").dataset.state === %q`, state))
				page.poll(`!document.querySelector("[data-live=countdown]").hidden`)
				if width := page.number(`document.documentElement.scrollWidth`); width > 390 {
					t.Errorf("%s, %s: the page is %v pixels wide", scheme, state, width)
				}
				browsertest.Screenshot(t, page.ctx, strings.Join([]string{"live", scheme, state, "390"}, "-"))
			}
			if moving := page.number(`document.getAnimations().length`); moving > 0 {
				t.Errorf("%v animations run for a visitor who asked for none", moving)
			}
			f.candle(fakeCandle{at(0, 0), 109_264.51, 109_400, 109_200, 109_300, 3, true})
			page.poll(`!document.querySelector("[data-live=stored-stale]")`)
		}
	})
}
