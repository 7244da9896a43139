package dashboard

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/cryptoboat/cryptoboat/internal/browsertest"
)

// joins waits for the next reader of the stream and fails the test unless it
// comes with that ID.
func (f *feed) joins(t *testing.T, id string) {
	t.Helper()
	select {
	case got := <-f.joined:
		if got != id {
			t.Errorf("the page came with the ID %q, want %q", got, id)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("the page did not connect, with the ID %q", id)
	}
}

func (f *feed) setMute(mute bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.mute = mute
}

// forwards sets a clock of the browser forwards.
func (p browserPage) forwards(clock string, by time.Duration) {
	p.t.Helper()
	p.run(chromedp.Evaluate(fmt.Sprintf(`(() => { const now = %[1]s.now.bind(%[1]s); %[1]s.now = () => now() + %[2]d; })()`,
		clock, by.Milliseconds()), nil))
}

// TestBrowserRecovers opens pages to which something happened that a stream does
// not tell of.
func TestBrowserRecovers(t *testing.T) {
	lacking := ""
	if _, err := staticFiles.Open("static/" + chartLibrary); err != nil {
		lacking = "the chart library has not been fetched (make assets)"
	}
	browser := &browserPage{t, browsertest.Start(t, lacking)}
	dependencies := month()

	t.Run("the machine slept", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		f.joins(t, "")
		f.price(at(1, 0), 109_264.51, 109_400, 109_200, 109_300)
		page.liveIs("state", "Live")
		f.setMute(true) // nothing tells the page what time it is
		page.forwards("Date", time.Hour)
		f.joins(t, "1")
		page.liveIs("state", "Reconnecting")
		page.poll(`document.querySelector("[data-live=countdown]").hidden`)
		f.setMute(false)
		page.forwards("Date", time.Hour)
		f.joins(t, "1")
		page.liveIs("state", "Live")
	})

	t.Run("a connection that hangs", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		f.joins(t, "")
		f.price(at(1, 0), 109_264.51, 109_400, 109_200, 109_300)
		page.liveIs("state", "Live")
		f.setMute(true)
		page.forwards("performance", 41*time.Second) // it was open
		f.joins(t, "1")
		f.setMute(false)
		page.forwards("performance", 41*time.Second) // it was being made
		f.joins(t, "1")
		page.liveIs("state", "Live")
	})

	t.Run("candles that could not be read", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		f.mutex.Lock()
		f.candles = []fakeCandle{{at(0, 0), 109_264.51, 109_500, 109_100, 109_400, 3, true}}
		f.mutex.Unlock()
		page.run(chromedp.Evaluate(`(() => {
			const [read, wait] = [fetch, setTimeout];
			window.fetch = () => { window.fetch = read; return Promise.reject(new TypeError("no network")); };
			window.setTimeout = (work, delay) => wait(work, delay === 5000 ? 0 : delay);
		})()`, nil))
		f.publish("missed", object{"candles": 1})
		page.chartIs(`series.candles[2880].value[1] === 109400`)
	})

	t.Run("more candles than one answer holds", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		f.mutex.Lock()
		for k := range 3100 {
			f.candles = append(f.candles, fakeCandle{at(15*k, 0), 109_300, 109_500, 109_100, 109_400, 3, true})
		}
		f.mutex.Unlock()
		f.publish("missed", object{"candles": 3100})
		page.chartIs(fmt.Sprintf(`slots.length === 3000 && slots[2999] === %q && series.candles[2999].value[1] === 109400`,
			at(15*3099, 0).Format("2006-01-02T15:04Z")))
		// What has left the chart is not kept.
		page.chartIs(`[series.candles, series.volume].every((data) => data.length === 3000) && series.forecast.length === 0`)
	})
}

// TestBrowserForecastComesAndGoes opens pages whose forecasts begin and stop
// while they are looked at.
func TestBrowserForecastComesAndGoes(t *testing.T) {
	lacking := ""
	if _, err := staticFiles.Open("static/" + chartLibrary); err != nil {
		lacking = "the chart library has not been fetched (make assets)"
	}
	browser := &browserPage{t, browsertest.Start(t, lacking)}
	const part = `document.querySelector("#forecast-section [data-forecast=%s]")`
	stale := fmt.Sprintf(part, "stale")
	staleIs := func(page browserPage, pattern string) {
		t.Helper()
		page.poll(fmt.Sprintf(`!%s.hidden && /%s/.test(%[1]s.innerText.replaceAll("\u00a0", " "))`, stale, pattern))
	}

	t.Run("none when the page was made", func(t *testing.T) {
		dependencies := month()
		dependencies.Forecaster = noModel
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, dependencies)
		page.poll(fmt.Sprintf(part, "made") + `.hidden && document.getElementById("forecast-legend").hidden && ` + stale + `.hidden`)
		f.price(at(7, 30), 109_264.51, 109_400, 109_200, 109_300)
		page.chartIs(`series.candles[2880]?.value[1] === 109300 && series.forecast.length === 0`)

		f.baseline = hostile
		f.forecast(at(7, 30), 109_310, 3)
		page.chartIs(`String(series.forecast[0]?.value) === "2880,109160,109210,109310,109410,109460"`)
		page.waitForColour("forecast")
		page.poll(`!document.querySelector("[data-forecast=none]") && !` + fmt.Sprintf(part, "newer-model") + `.hidden`)
		page.poll(`[...document.querySelectorAll("#forecast-section thead th")].map((cell) => cell.textContent).join("|").replaceAll("\u00a0", " ") ===
			"Prediction|Point|Change, bp|80 % band|90 % band|Closes higher"`)
		page.poll(fmt.Sprintf(`[...document.querySelectorAll("#forecast-section tbody tr")].map((row) => row.innerText.replaceAll(/\s+/g, " ")).join("|") ===
			"Forest 109,310.00 +0.9 109,210.00 to 109,410.00 109,160.00 to 109,460.00 62.5 %%|%s 109,300.00 0.0 109,200.00 to 109,400.00 109,150.00 to 109,450.00 62.5 %%"`,
			hostile))
		page.poll(`document.getElementById("forecast-legend").innerText.replaceAll("\u00a0", " ").trim() ===
			"forecast: the line is its point, the box holds 80 %, the whiskers 90 %"`)
		if foreign := page.number(`document.querySelectorAll("#forecast-section :is(img, script)").length`); foreign > 0 {
			t.Errorf("%v elements were made of a baseline's name", foreign)
		}

		// They stop.
		f.price(at(8, 29), 109_264.51, 109_400, 109_200, 109_300)
		page.poll(stale + `.hidden`)
		f.price(at(8, 35), 109_264.51, 109_400, 109_200, 109_300)
		staleIs(page, "^Stale: 1 min 0[5-9] s old$")
		page.poll(`/^forecast \(1 min \d\d s old\): the line/.test(document.getElementById("forecast-legend").innerText.replaceAll("\u00a0", " ").trim())`)
		browsertest.Screenshot(t, page.ctx, "forecast-stale")

		// They come again, by a model with other baselines.
		f.baseline = "EWMA"
		f.forecast(at(8, 36), 109_320, 4)
		page.poll(stale + `.hidden && document.querySelector("#forecast-section tbody").rows[1].cells[0].innerText === "EWMA"`)
		page.poll(`!document.getElementById("forecast-legend").innerText.includes("old)")`)

		// A new theme keeps a box that the page was not made with.
		page.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
		page.waitForColour("forecast")
	})

	t.Run("none any more", func(t *testing.T) {
		page, f := openLivePage(t, browser, "/BTCUSDT/15m", 1280, month())
		page.poll(stale + `.hidden`)
		f.price(at(7, 30), 109_264.51, 109_400, 109_200, 109_300)
		staleIs(page, "^Stale: 7 min 3[0-9] s old$")
	})
}
