package dashboard

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// TestBrowser opens pages in a real browser. Any console error, exception,
// breach of the content security policy or request to another host fails it.
func TestBrowser(t *testing.T) {
	browser := startBrowser(t)

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
		page.screenshot("light")
		page.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: "dark"}}))
		for _, role := range []string{"up", "down", "volume", "forecast"} {
			page.waitForColour(role)
		}
		page.screenshot("dark")
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
		page.screenshot("all")
	})

	t.Run("hole, incomplete candle, no model", func(t *testing.T) {
		page := openPage(t, browser, withHole, "/BTCUSDT/15m", 1280, 900)
		page.waitForColour("up")
		page.screenshot("hole")
		page.hoverSlot(2805)
		page.poll(`document.querySelector("#readout .note").innerText === "no candle stored"`)
		page.hoverSlot(2872)
		page.poll(`document.querySelector("#readout .note").innerText === "incomplete"`)
	})

	t.Run("phone", func(t *testing.T) {
		for _, scheme := range []string{"light", "dark"} {
			page := openPage(t, browser, dependencies, "/BTCUSDT/15m", 390, 844, emulation.SetEmulatedMedia().
				WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
			page.waitForColour("up")
			if width := page.number(`document.documentElement.scrollWidth`); width > 390 {
				t.Errorf("the page is %v pixels wide on a screen of 390 and scrolls sideways", width)
			}
			page.screenshot("phone-" + scheme)
		}
	})
}

// startBrowser returns a context in which chromedp opens tabs.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	missing := ""
	if _, err := staticFiles.Open("static/" + chartLibrary); err != nil {
		missing = "the chart library has not been fetched (make assets)"
	} else if path == "" {
		missing = "there is no chromium on this machine (Debian: apt-get install chromium)"
	}
	switch {
	case missing != "" && os.Getenv("CI") != "":
		t.Fatal(missing)
	case missing != "":
		t.Skip("the pages are not tested in a browser: " + missing)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		// Nothing but the page under test may use the network.
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.WSURLReadTimeout(time.Minute),
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	// Not the test's own context: that ends before the clean-up, which would
	// kill the browser while it writes into the folder that is to be removed.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing the browser: %v", err)
		}
	})
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
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
	watch(t, ctx, server.URL)
	page := browserPage{t, ctx}
	// A tab in the background gets no frames to draw in.
	page.run(cdplog.Enable(), cdppage.BringToFront(), chromedp.EmulateViewport(width, height))
	page.run(before...)
	page.run(chromedp.Navigate(server.URL+path), chromedp.WaitVisible(`#chart[data-state="drawn"]`, chromedp.ByQuery))
	return page
}

// watch fails the test at its end for whatever the tab complained of.
func watch(t *testing.T, ctx context.Context, server string) {
	own, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	var mutex sync.Mutex
	var complaints []string
	complain := func(format string, arguments ...any) {
		mutex.Lock()
		defer mutex.Unlock()
		complaints = append(complaints, fmt.Sprintf(format, arguments...))
	}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complain("exception: %v", e.ExceptionDetails)
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
				complain("console %s: %s", e.Type, e.Args[0].Value)
			}
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.LevelError || e.Entry.Level == cdplog.LevelWarning {
				complain("log %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if asked, err := url.Parse(e.Request.URL); err != nil || asked.Scheme != "data" && asked.Host != own.Host {
				complain("request to another host: %s", e.Request.URL)
			}
		case *network.EventLoadingFailed:
			complain("request failed: %s", e.ErrorText)
		}
	})
	t.Cleanup(func() {
		mutex.Lock()
		defer mutex.Unlock()
		for _, complaint := range complaints {
			t.Error(complaint)
		}
	})
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

// screenshot writes a picture of the whole page into the folder that
// CRYPTOBOAT_SCREENSHOTS names, if it names one.
func (p browserPage) screenshot(name string) {
	p.t.Helper()
	folder := os.Getenv("CRYPTOBOAT_SCREENSHOTS")
	if folder == "" {
		return
	}
	var picture []byte
	p.run(chromedp.FullScreenshot(&picture, 100))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
