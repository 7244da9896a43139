package api

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestDocsInBrowser opens the page in a real browser. Any console error,
// exception, breach of the content security policy or request to another host
// fails it. With CRYPTOBOAT_SCREENSHOTS it leaves pictures in that folder.
func TestDocsInBrowser(t *testing.T) {
	f := newService(3)
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{History: f, Forecaster: f, Database: f}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(Wrap(mux, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	browser := startBrowser(t)
	failOnTrouble(t, browser, server.URL)

	// Everything the viewer draws is in the shadow of its element.
	const drawn = `[...document.querySelector("rapi-doc").shadowRoot.querySelectorAll("*")].map(e => e.textContent).join()`
	for _, view := range []struct {
		scheme        string
		width, height int64
	}{{"light", 1280, 1400}, {"dark", 1280, 1400}, {"light", 390, 844}, {"dark", 390, 844}} {
		var theme string
		var width int64
		var picture []byte
		err := chromedp.Run(browser,
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: view.scheme}}),
			chromedp.EmulateViewport(view.width, view.height),
			chromedp.Navigate(server.URL+"/docs"),
			chromedp.Poll(drawn+`.includes("/v1/symbols/{symbol}/candles")`, nil),
			chromedp.Evaluate(`document.querySelector("rapi-doc").getAttribute("theme")`, &theme),
			chromedp.Evaluate(`document.documentElement.scrollWidth`, &width),
			chromedp.CaptureScreenshot(&picture),
		)
		if err != nil {
			t.Fatal(err)
		}
		if theme != view.scheme || width > view.width {
			t.Errorf("%+v: theme %s, %d pixels wide", view, theme, width)
		}
		if folder := os.Getenv("CRYPTOBOAT_SCREENSHOTS"); folder != "" {
			name := fmt.Sprintf("docs-%s-%d.png", view.scheme, view.width)
			if err := os.WriteFile(filepath.Join(folder, name), picture, 0o644); err != nil {
				t.Error(err)
			}
		}
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

// startBrowser returns a context with a tab of its own.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	missing := ""
	if err != nil {
		missing = "there is no chromium on this machine (Debian: apt-get install chromium)"
	} else if _, err := fs.Stat(static, viewer); err != nil {
		missing = "the viewer has not been fetched (make assets)"
	}
	switch {
	case missing != "" && os.Getenv("CI") != "":
		t.Fatal(missing)
	case missing != "":
		t.Skip("the page is not tested in a browser: " + missing)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		// Nothing but the page under test may use the network.
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.WSURLReadTimeout(time.Minute),
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
	if err := chromedp.Run(ctx, network.Enable(), cdplog.Enable()); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}

// failOnTrouble fails the test, when it ends, for what the browser reported.
func failOnTrouble(t *testing.T, browser context.Context, address string) {
	var mutex sync.Mutex
	var troubles []string
	trouble := func(format string, arguments ...any) {
		mutex.Lock()
		defer mutex.Unlock()
		troubles = append(troubles, fmt.Sprintf(format, arguments...))
	}
	own, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	chromedp.ListenTarget(browser, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			trouble("exception: %v", e.ExceptionDetails)
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				for _, argument := range e.Args {
					trouble("console: %s", argument.Value)
				}
			}
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.LevelError || e.Entry.Level == cdplog.LevelWarning {
				trouble("log: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" && u.Host != own.Host {
				trouble("request to %s", e.Request.URL)
			}
		}
	})
	t.Cleanup(func() {
		mutex.Lock()
		defer mutex.Unlock()
		for _, trouble := range troubles {
			t.Error(trouble)
		}
	})
}
