package api

import (
	"fmt"
	"io/fs"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/cryptoboat/cryptoboat/internal/browsertest"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// TestDocsInBrowser opens the page in a real browser. Any console error,
// exception, breach of the content security policy or request to another host
// fails it. With CRYPTOBOAT_SCREENSHOTS it leaves pictures in that folder.
func TestDocsInBrowser(t *testing.T) {
	f := newService(3)
	f.origin = history.Simulated
	f.coins = []market.Coin{wholeCoin(day1.Add(30 * time.Minute))}
	server := httptest.NewServer(serveFake(t, f))
	t.Cleanup(server.Close)
	lacking := ""
	if _, err := fs.Stat(static, viewer); err != nil {
		lacking = "the viewer has not been fetched (make assets)"
	}
	browser := browsertest.Start(t, lacking)
	browsertest.Watch(t, browser, server.URL)

	// Everything the viewer draws is in the shadow of its element.
	const drawn = `[...document.querySelector("rapi-doc").shadowRoot.querySelectorAll("*")].map(e => e.textContent).join()`
	for _, view := range []struct {
		scheme        string
		width, height int64
	}{{"light", 1280, 1400}, {"dark", 1280, 1400}, {"light", 390, 844}, {"dark", 390, 844}} {
		var theme string
		var width, noticeBottom, height int64
		err := chromedp.Run(browser,
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: view.scheme}}),
			chromedp.EmulateViewport(view.width, view.height),
			chromedp.Navigate(server.URL+"/docs"),
			chromedp.Poll(drawn+`.includes("/v1/symbols/{symbol}/candles")`, nil),
			chromedp.Evaluate(`document.querySelector("rapi-doc").getAttribute("theme")`, &theme),
			chromedp.Evaluate(`document.documentElement.scrollWidth`, &width),
			chromedp.Evaluate(`document.documentElement.scrollHeight`, &height),
			chromedp.Evaluate(`Math.ceil(document.querySelector(".notice").getBoundingClientRect().bottom)`, &noticeBottom),
		)
		if err != nil {
			t.Fatal(err)
		}
		if theme != view.scheme || width > view.width {
			t.Errorf("%+v: theme %s, %d pixels wide", view, theme, width)
		}
		if noticeBottom <= 0 || noticeBottom > 100 || height > view.height {
			t.Errorf("%+v: the notice ends at %d, the page at %d", view, noticeBottom, height)
		}
		browsertest.Screenshot(t, browser, fmt.Sprintf("docs-%s-%d", view.scheme, view.width))
	}

	// The viewer can call the API under the policy.
	const request = `document.querySelector("rapi-doc").shadowRoot.querySelector("api-request").shadowRoot`
	err := chromedp.Run(browser,
		chromedp.Evaluate(request+`.querySelector("button.primary").click()`, nil),
		chromedp.Poll(request+`.textContent.includes("2024-03-01T00:30:00Z")`, nil),
	)
	if err != nil {
		t.Errorf("trying out an operation: %v", err)
	}
}
