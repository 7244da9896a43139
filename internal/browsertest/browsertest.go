// Package browsertest opens pages in a real browser for tests.
package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Start returns a context in which chromedp opens tabs of a browser that is
// closed when the test ends. Where there is none, or where lacking names
// something else that is missing, the test is skipped, or fails if CI is set.
func Start(t *testing.T, lacking string) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" && lacking == "" {
		lacking = "there is no chromium on this machine (Debian: apt-get install chromium)"
	}
	switch {
	case lacking != "" && os.Getenv("CI") != "":
		t.Fatal(lacking)
	case lacking != "":
		t.Skip("not tested in a browser: " + lacking)
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

// Watch fails the test at its end for whatever the tab complained of: a console
// error, an exception, a breach of the content security policy, a failed
// request, or one to another host than the server's.
func Watch(t *testing.T, ctx context.Context, server string) {
	t.Helper()
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
			if !e.Canceled { // by the page itself
				complain("request failed: %s", e.ErrorText)
			}
		}
	})
	if err := chromedp.Run(ctx, network.Enable(), cdplog.Enable()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mutex.Lock()
		defer mutex.Unlock()
		for _, complaint := range complaints {
			t.Error(complaint)
		}
	})
}

// Screenshot writes a picture of the whole page into the folder that
// CRYPTOBOAT_SCREENSHOTS names, if it names one.
func Screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("CRYPTOBOAT_SCREENSHOTS")
	if folder == "" {
		return
	}
	var picture []byte
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&picture, 100)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
