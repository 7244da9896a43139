package dashboard

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/cryptoboat/cryptoboat/internal/browsertest"
	"github.com/cryptoboat/cryptoboat/internal/history"
)

// TestBrowserRecordAndModels opens the pages of the record and of the models.
func TestBrowserRecordAndModels(t *testing.T) {
	lacking := ""
	if _, err := staticFiles.Open("static/" + chartLibrary); err != nil {
		lacking = "the chart library has not been fetched (make assets)"
	}
	browser := browsertest.Start(t, lacking)
	simulated := withRecord()
	made := *simulated.History.(*fakeHistory)
	made.origin = history.Simulated
	simulated.History = &made
	empty := month()
	empty.Record, empty.Models = fakeRecord{}, fakeModels{}
	for name, test := range map[string]struct {
		dependencies Dependencies
		path         string
		charts       float64
	}{
		"record":           {withRecord(), "/record/BTCUSDT/15m", 3},
		"record-simulated": {simulated, "/record/BTCUSDT/15m?days=90", 3},
		"record-empty":     {empty, "/record/BTCUSDT/15m", 0},
		"models":           {withRecord(), "/models/BTCUSDT/15m", 0},
		"models-empty":     {empty, "/models/BTCUSDT/15m", 0},
	} {
		for _, view := range []struct {
			scheme string
			width  int64
		}{{"light", 1280}, {"dark", 1280}, {"light", 390}, {"dark", 390}} {
			t.Run(fmt.Sprintf("%s-%s-%d", name, view.scheme, view.width), func(t *testing.T) {
				page := openTables(t, browser, test.dependencies, test.path, view.width, view.scheme)
				page.poll(fmt.Sprintf(`document.querySelectorAll("[data-state=drawn]").length === %v`, test.charts))
				if width := page.number(`document.documentElement.scrollWidth`); width > float64(view.width) {
					t.Errorf("the page is %v pixels wide and scrolls sideways", width)
				}
				if wide := page.number(`Math.max(0, ...[...document.querySelectorAll(".scroll")].map((e) => e.scrollWidth - e.clientWidth))`); view.width >= 1280 && wide > 0 {
					t.Errorf("a table is %v pixels wider than a wide page and scrolls sideways", wide)
				}
				if out := page.number(`[...document.querySelectorAll("main *")].filter((e) =>
					e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === "auto" && e.tabIndex < 0).length`); out > 0 {
					t.Errorf("%v boxes that scroll sideways cannot be reached by keyboard", out)
				}
				if unnamed := page.number(`[...document.querySelectorAll("[aria-labelledby]")].filter((e) =>
					!document.getElementById(e.getAttribute("aria-labelledby"))?.textContent.trim()).length`); unnamed > 0 {
					t.Errorf("%v parts of the page have no name", unnamed)
				}
				if twice := page.number(`(() => { const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
					return ids.length - new Set(ids).size; })()`); twice > 0 {
					t.Errorf("%v elements share an ID with another", twice)
				}
				browsertest.Screenshot(t, page.ctx, fmt.Sprintf("%s-%s-%d", name, view.scheme, view.width))
			})
		}
	}

	t.Run("the charts hold the record", func(t *testing.T) {
		page := openTables(t, browser, withRecord(), "/record/BTCUSDT/15m", 1280, "light")
		page.poll(`document.querySelectorAll("[data-state=drawn]").length === 3`)
		page.poll(`(() => {
			const chart = (name) => echarts.getInstanceByDom(document.querySelector("[data-chart=" + name + "]")).getOption();
			const days = Object.fromEntries(chart("days").series.map(({ id, data }) => [id, data]));
			return days["Point skill"].length === 30 && days["Point skill"][29].value === "-" && days["80 % band held"][28].value > 50 &&
				chart("reliability").series[0].data.length === 10 && String(chart("places").series[1].data.map(({ value }) => value)) === "5,5,80,5,5";
		})()`)
		// The theme follows the visitor's while the page is open.
		page.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
		page.poll(`echarts.getInstanceByDom(document.querySelector("[data-chart=days]")).getOption().color[0] === "#c79bff"`)
		// The numbers by day open by keyboard.
		page.run(chromedp.Focus("summary", chromedp.ByQuery), chromedp.KeyEvent("\r"))
		page.poll(`document.querySelector("details").open`)
	})
}

// openTables opens a page that needs no chart.
func openTables(t *testing.T, browser context.Context, dependencies Dependencies, path string, width int64, scheme string) browserPage {
	t.Helper()
	server := httptest.NewServer(newHandler(t, dependencies))
	t.Cleanup(server.Close)
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	browsertest.Watch(t, ctx, server.URL)
	page := browserPage{t, ctx}
	page.run(cdppage.BringToFront(), chromedp.EmulateViewport(width, 900), emulation.SetEmulatedMedia().WithFeatures(
		[]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}), chromedp.Navigate(server.URL+path))
	return page
}
