package dashboard

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/cryptoboat/cryptoboat/internal/browsertest"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// TestBrowser opens pages in a real browser. Any console error, exception,
// breach of the content security policy or request to another host fails it.
func TestBrowser(t *testing.T) {
	lacking := ""
	if _, err := staticFiles.Open("static/" + chartLibrary); err != nil {
		lacking = "the chart library has not been fetched (make assets)"
	}
	browser := browsertest.Start(t, lacking)

	dependencies := month()
	dependencies.Now = func() time.Time { return midnight.Add(511 * 24 * time.Hour) }
	holed := map[market.Series][]market.Candle{
		bitcoin: slices.Delete(randomWalk(bitcoin, 2880), 2800, 2812),
	}
	holed[bitcoin][2860].Parts = 0 // incomplete
	withHole := Dependencies{History: newHistory(holed), Forecaster: noModel}

	t.Run("candles in light and dark", func(t *testing.T) {
		page := openPage(t, browser, dependencies, "/BTCUSDT/15m", 1280, 1100)
		for _, role := range []string{"up", "down", "volume", "forecast"} {
			page.waitForColour(role)
		}
		browsertest.Screenshot(t, page.ctx, "light")
		page.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: "dark"}}))
		for _, role := range []string{"up", "down", "volume", "forecast"} {
			page.waitForColour(role)
		}
		browsertest.Screenshot(t, page.ctx, "dark")
	})

	t.Run("read-out and zoom", func(t *testing.T) {
		page := openPage(t, browser, dependencies, "/BTCUSDT/15m", 1280, 900)
		if newest := page.text("#readout [data-field=time]"); newest != "2025-06-30 23:45\u00a0UTC" {
			t.Errorf("at first the read-out is of %q, want the newest candle", newest)
		}
		page.hoverSlot(2800)
		page.poll(`document.querySelector("#readout [data-field=time]").innerText === "2025-06-30 04:00\u00a0UTC"`)
		for _, slot := range []int{2700, 2879} {
			if above, below := page.placeOf(slot, 0), page.placeOf(slot, 1); above != below {
				t.Errorf("slot %d stands at %v in the prices, at %v in the volume", slot, above, below)
			}
		}
		page.hoverSlot(2880)
		page.poll(`document.querySelector("#readout .note").innerText.startsWith("forecast 109,277.62")`)
		page.click("[data-zoom=all]")
		page.hoverSlot(20) // a slot is narrower than a pixel now
		page.poll(`document.querySelector("#readout [data-field=time]").innerText.startsWith("2025-06-01")`)
		browsertest.Screenshot(t, page.ctx, "all")
	})

	t.Run("hole, incomplete candle, no model", func(t *testing.T) {
		page := openPage(t, browser, withHole, "/BTCUSDT/15m", 1280, 900)
		page.waitForColour("up")
		browsertest.Screenshot(t, page.ctx, "hole")
		page.hoverSlot(2805)
		page.poll(`document.querySelector("#readout .note").innerText === "no candle stored"`)
		page.hoverSlot(2872)
		page.poll(`document.querySelector("#readout .note").innerText === "incomplete"`)
	})

	t.Run("volumes of millions fit the margin", func(t *testing.T) {
		candles := randomWalk(bitcoin, 200)
		for k := range candles {
			candles[k].Volume *= 1e6
		}
		page := openPage(t, browser, only(bitcoin, candles), "/BTCUSDT/15m", 1280, 900)
		if longest := page.number(`Math.max(...echarts.getInstanceByDom(document.getElementById("chart"))
			.getModel().getComponent("yAxis", 1).axis.getViewLabels().map((label) => label.formattedLabel.length))`); longest > 6 {
			t.Errorf("a label has %v characters", longest)
		}
	})

	t.Run("without scripts", func(t *testing.T) {
		server := httptest.NewServer(newHandler(t, dependencies))
		t.Cleanup(server.Close)
		ctx, cancel := chromedp.NewContext(browser)
		t.Cleanup(cancel)
		page := browserPage{t, ctx}
		page.run(chromedp.EmulateViewport(1280, 900), emulation.SetScriptExecutionDisabled(true),
			chromedp.Navigate(server.URL+"/BTCUSDT/15m"))
		if height := page.number(`document.querySelector("figure").clientHeight`); height == 0 || height > 100 {
			t.Errorf("without a chart its place is %v pixels high", height)
		}
		browsertest.Screenshot(t, page.ctx, "without-scripts")
	})

	t.Run("simulated market", func(t *testing.T) {
		simulated := dependencies
		made := *dependencies.History.(*fakeHistory)
		made.origin = history.Simulated
		simulated.History = &made
		for _, view := range []struct {
			scheme string
			width  int64
		}{{"light", 1280}, {"dark", 1280}, {"light", 390}, {"dark", 390}} {
			page := openPage(t, browser, simulated, "/BTCUSDT/15m", view.width, 844, emulation.SetEmulatedMedia().
				WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: view.scheme}}))
			if width := page.number(`document.documentElement.scrollWidth`); width > float64(view.width) {
				t.Errorf("%+v: the page is %v pixels wide", view, width)
			}
			// Whole, in view without scrolling, and nothing lies on top of it.
			page.poll(`(() => {
				const badge = document.querySelector("header .simulated");
				const { left, right, top, bottom } = badge.getBoundingClientRect();
				return left >= 0 && right <= innerWidth && top >= 0 && bottom <= 200 &&
					badge.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
			})()`)
			if text := page.text("header .simulated"); !strings.HasPrefix(text, "Simulated market") {
				t.Errorf("%+v: the badge says %q", view, text)
			}
			browsertest.Screenshot(t, page.ctx, fmt.Sprintf("simulated-%s-%d", view.scheme, view.width))
		}
	})

	t.Run("phone", func(t *testing.T) {
		for _, scheme := range []string{"light", "dark"} {
			page := openPage(t, browser, dependencies, "/BTCUSDT/15m", 390, 844, emulation.SetEmulatedMedia().
				WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
			page.waitForColour("up")
			if width := page.number(`document.documentElement.scrollWidth`); width > 390 {
				t.Errorf("the page is %v pixels wide on a screen of 390 and scrolls sideways", width)
			}
			if out := page.number(`[...document.querySelectorAll("main *")].filter((e) =>
				e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === "auto" && e.tabIndex < 0).length`); out > 0 {
				t.Errorf("%v boxes that scroll sideways cannot be reached by keyboard", out)
			}
			browsertest.Screenshot(t, page.ctx, "phone-"+scheme)
		}
	})
}

// browserPage is a tab with the page under test.
type browserPage struct {
	t   *testing.T
	ctx context.Context
}

func openPage(
	t *testing.T, browser context.Context, dependencies Dependencies, path string, width, height int64,
	before ...chromedp.Action,
) browserPage {
	t.Helper()
	server := httptest.NewServer(newHandler(t, dependencies))
	t.Cleanup(server.Close)
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	browsertest.Watch(t, ctx, server.URL)
	page := browserPage{t, ctx}
	// A tab in the background gets no frames to draw in.
	page.run(cdppage.BringToFront(), chromedp.EmulateViewport(width, height))
	page.run(before...)
	page.run(chromedp.Navigate(server.URL+path), chromedp.WaitVisible(`#chart[data-state="drawn"]`, chromedp.ByQuery))
	return page
}

func (p browserPage) run(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p browserPage) poll(condition string) {
	p.t.Helper()
	err := chromedp.Run(p.ctx, chromedp.Poll(condition, nil,
		chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(10*time.Second)))
	if err != nil {
		p.t.Fatalf("waiting for %s: %v", condition, err)
	}
}

func (p browserPage) number(expression string) float64 {
	p.t.Helper()
	var value float64
	p.run(chromedp.Evaluate(expression, &value))
	return value
}

func (p browserPage) text(selector string) string {
	p.t.Helper()
	var text string
	p.run(chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

func (p browserPage) click(selector string) {
	p.t.Helper()
	p.run(chromedp.Click(selector, chromedp.ByQuery))
}

// placeOf returns how far from the chart's left edge a slot's middle stands, in
// pixels, on the time axis of a grid.
func (p browserPage) placeOf(slot, grid int) float64 {
	p.t.Helper()
	return p.number(fmt.Sprintf(
		`echarts.getInstanceByDom(document.getElementById("chart")).convertToPixel({xAxisIndex: %d}, %d)`, grid, slot))
}

// hoverSlot moves the pointer over a slot, into the upper half of the prices.
func (p browserPage) hoverSlot(slot int) {
	p.t.Helper()
	var box struct{ X, Y, Height float64 }
	p.run(chromedp.Evaluate(`document.getElementById("chart").getBoundingClientRect().toJSON()`, &box))
	p.run(chromedp.MouseEvent("mouseMoved", box.X+p.placeOf(slot, 0), box.Y+0.3*box.Height))
}

// waitForColour waits until the chart's canvases hold a good many pixels of the
// colour that the style sheet gives a role.
func (p browserPage) waitForColour(role string) {
	p.t.Helper()
	const enough = 40
	p.poll(fmt.Sprintf(`(() => {
		const hex = getComputedStyle(document.documentElement).getPropertyValue("--%s").trim();
		const want = [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
		const canvas = document.querySelector("#chart canvas");
		const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
		copy.drawImage(canvas, 0, 0);
		const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
		let count = 0;
		for (let k = 0; k < data.length; k += 4) {
			if (data[k + 3] > 200 && want.every((part, j) => Math.abs(data[k + j] - part) < 8)) count++;
		}
		return count > %d;
	})()`, role, enough))
}
