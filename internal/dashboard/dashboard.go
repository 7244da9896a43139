// Package dashboard serves the HTML pages: charts for whoever has a browser
// with scripts, and the same facts in tables for whoever has not.
package dashboard

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// History reads candles, and says which there are.
type History interface {
	// Catalogue lists every stored series.
	Catalogue(ctx context.Context) (history.Catalogue, error)
	// Candles returns at most limit candles whose open times lie in r, oldest
	// first, as stored or rolled up from a finer stored interval.
	Candles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error)
	// Origin says where the candles come from, "" where that is not known yet.
	Origin(ctx context.Context) (history.Origin, error)
}

// Coins reads characteristics of coins.
type Coins interface {
	// Coins returns what is known of each coin as of the newest instant.
	Coins(ctx context.Context) ([]market.Coin, error)
}

// Forecaster forecasts the close of the candle that is open at an instant. At
// the zero instant it forecasts the candle after the newest stored one. A
// NotFound or Unavailable error says that no model can, and why.
type Forecaster interface {
	Forecast(ctx context.Context, series market.Series, at time.Time) (forecast.Forecast, error)
}

// Record reads stored forecasts and what became of them.
type Record interface {
	// Record measures the forecasts of the candles that open in the range.
	Record(ctx context.Context, series market.Series, r market.TimeRange) (forecast.Record, error)
	// RecentForecasts returns the newest forecasts, newest first, at most limit.
	RecentForecasts(ctx context.Context, series market.Series, limit int) ([]forecast.RecordRow, error)
	// FirstForecasts returns the first forecast of each candle that opens in the
	// range, oldest first.
	FirstForecasts(ctx context.Context, series market.Series, r market.TimeRange) ([]forecast.RecordRow, error)
}

// Models reads what is on record of trained models.
type Models interface {
	// Models returns the models of a series, the newest first.
	Models(ctx context.Context, series market.Series) ([]forecast.Model, error)
}

// Dependencies is what the pages ask.
type Dependencies struct {
	History    History
	Coins      Coins
	Forecaster Forecaster
	Record     Record   // nil where the service keeps none
	Models     Models   // nil where the service keeps none
	Accounts   Accounts // nil where nobody can log in
	Settings   Settings
	Jobs       Jobs
	Schedule   Schedule // nil where nothing is scheduled
	Runs       jobs.Records
	Live       bool             // whether the API's stream follows the market
	Now        func() time.Time // the clock that ages are told by
	Log        *slog.Logger     // takes what a visitor must not see
}

var (
	//go:embed static
	staticFiles embed.FS
	//go:embed templates
	templateFiles embed.FS
)

// Register adds the pages and their static files to mux. It counts on
// middleware in front of mux for security headers, access logs and the answer's
// X-Request-Id.
func Register(mux *http.ServeMux, dependencies Dependencies) error {
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return fmt.Errorf("reading the dashboard's static files: %w", err)
	}
	return register(mux, dependencies, files)
}

func register(mux *http.ServeMux, dependencies Dependencies, files fs.FS) error {
	static, err := loadAssets(files)
	if err != nil {
		return err
	}
	d := &dashboard{Dependencies: dependencies, chartLibrary: static.has(chartLibrary)}
	for name, page := range map[string]**template.Template{
		"market.html": &d.market, "record.html": &d.record, "models.html": &d.models, "failure.html": &d.failure,
		"login.html": &d.login, "jobs.html": &d.jobs, "run.html": &d.run, "settings.html": &d.settings,
		"people.html": &d.people, "me.html": &d.me, "audit.html": &d.audit,
	} {
		if *page, err = parsePage(name, static); err != nil {
			return err
		}
	}
	static.register(mux)
	mux.HandleFunc("GET /{$}", d.withHoldings(d.serveHome))
	mux.HandleFunc("GET /{symbol}/{interval}", serveSeries(d, marketSection, d.market, d.marketPage))
	mux.HandleFunc("GET /record/{symbol}", d.withHoldings(serveSymbol(recordSection)))
	mux.HandleFunc("GET /record/{symbol}/{interval}", serveSeries(d, recordSection, d.record, d.recordPage))
	mux.HandleFunc("GET /models/{symbol}", d.withHoldings(serveSymbol(modelsSection)))
	mux.HandleFunc("GET /models/{symbol}/{interval}", serveSeries(d, modelsSection, d.models, d.modelsPage))
	if dependencies.Accounts != nil {
		d.registerService(mux)
	}
	return nil
}

// registerService adds the pages of the service itself.
func (d *dashboard) registerService(mux *http.ServeMux) {
	mux.HandleFunc("GET /login", d.withHoldings(d.serveLogin))
	mux.HandleFunc("POST /login", d.withHoldings(d.takeLogin))
	mux.HandleFunc("POST /logout", d.forRole(accounts.Viewer, d.takeLogout))
	mux.HandleFunc("GET /jobs", d.withHoldings(d.serveJobs))
	mux.HandleFunc("GET /jobs/runs/{id}", d.withHoldings(d.serveRun))
	mux.HandleFunc("POST /jobs/{name}/run", d.forRole(accounts.Admin, d.takeRunNow))
	mux.HandleFunc("POST /jobs/runs/{id}/retry", d.forRole(accounts.Admin, d.takeRetry))
	mux.HandleFunc("POST /jobs/runs/{id}/cancel", d.forRole(accounts.Admin, d.takeCancel))
	mux.HandleFunc("GET /settings", d.forRole(accounts.Viewer, d.serveSettings))
	mux.HandleFunc("POST /settings", d.forRole(accounts.Admin, d.takeSetting))
	mux.HandleFunc("GET /people", d.forRole(accounts.Admin, d.servePeople))
	mux.HandleFunc("POST /people/{action}", d.forRole(accounts.Admin, d.takePeople))
	mux.HandleFunc("GET /audit", d.forRole(accounts.Admin, d.serveAudit))
	mux.HandleFunc("GET /me", d.forRole(accounts.Viewer, d.serveMe))
	mux.HandleFunc("POST /me/{action}", d.forRole(accounts.Viewer, d.takeMe))
}

// chartLibrary is fetched at build time, so that a build can lack it.
const chartLibrary = "vendor/echarts.min.js"

type dashboard struct {
	Dependencies
	market       *template.Template
	record       *template.Template
	models       *template.Template
	failure      *template.Template
	login        *template.Template
	jobs         *template.Template
	run          *template.Template
	settings     *template.Template
	people       *template.Template
	me           *template.Template
	audit        *template.Template
	chartLibrary bool
}

func parsePage(name string, static assets) (*template.Template, error) {
	page, err := template.New("layout.html").
		Funcs(template.FuncMap{"asset": static.url}).
		ParseFS(templateFiles, "templates/layout.html", "templates/facts.html", "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("parsing the page %s: %w", name, err)
	}
	return page, nil
}

// pageTimeout bounds the work for one page.
const pageTimeout = 10 * time.Second

// holdings is what every page shows of the database.
type holdings struct {
	stored history.Catalogue
	origin history.Origin
}

// withHoldings bounds the work for one page and looks up what every page shows.
func (d *dashboard) withHoldings(serve func(w http.ResponseWriter, r *http.Request, h holdings)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		var h holdings
		var err error
		// First, so that a page on which the rest fails can tell it.
		if h.origin, err = d.History.Origin(ctx); err != nil {
			d.fail(w, r, h, fmt.Errorf("asking where the candles come from: %w", err))
			return
		}
		if h.stored, err = d.History.Catalogue(ctx); err != nil {
			d.fail(w, r, h, fmt.Errorf("listing the stored series: %w", err))
			return
		}
		serve(w, r, h)
	}
}

// serveHome sends the visitor to the pair most of them come for, or else to the
// first that is stored.
func (d *dashboard) serveHome(w http.ResponseWriter, r *http.Request, h holdings) {
	http.Redirect(w, r, pagePath(home(h.stored)), http.StatusFound)
}

// serveSymbol sends the visitor to the page of the interval most of them come for.
func serveSymbol(within section) func(w http.ResponseWriter, r *http.Request, h holdings) {
	return func(w http.ResponseWriter, r *http.Request, h holdings) {
		series := home(h.stored)
		// What is no symbol has no page of its interval either, which says why.
		series.Symbol = market.Symbol(r.PathValue("symbol"))
		target := url.URL{Path: within.path(nearest(h.stored, series)), RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, target.String(), http.StatusFound)
	}
}

// serveSeries answers with the page that is made of the series in the address.
func serveSeries[P any](
	d *dashboard, within section, page *template.Template,
	compose func(r *http.Request, requestID string, h holdings, series market.Series) (P, error),
) http.HandlerFunc {
	return d.withHoldings(func(w http.ResponseWriter, r *http.Request, h holdings) {
		series, err := seriesOf(r)
		if err == nil && within.path(series) != r.URL.Path {
			target := url.URL{Path: within.path(series), RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, target.String(), http.StatusMovedPermanently)
			return
		}
		var content P
		if err == nil {
			content, err = compose(r, requestID(w), h, series)
		}
		if err != nil {
			d.fail(w, r, h, err)
			return
		}
		d.render(w, r, http.StatusOK, page, content)
	})
}

// seriesOf returns the series that a request's path names.
func seriesOf(r *http.Request) (market.Series, error) {
	symbol, err := market.ParseSymbol(r.PathValue("symbol"))
	if err != nil {
		return market.Series{}, err
	}
	interval, err := market.ParseInterval(r.PathValue("interval"))
	return market.Series{Symbol: symbol, Interval: interval}, err
}

// pagePath returns the address of a series' page.
func pagePath(series market.Series) string {
	return "/" + string(series.Symbol) + "/" + string(series.Interval)
}

// failurePage tells why there is no page.
type failurePage struct {
	layout
	Heading string
	Message string
	Empty   bool // no candles are stored at all
}

// fail answers with a page that says what went wrong. All that a visitor sends
// is the address, so that invalid input is an address without a page.
func (d *dashboard) fail(w http.ResponseWriter, r *http.Request, h holdings, err error) {
	page := failurePage{Heading: "There is no such page", Message: sentence(market.ErrorMessage(err))}
	status := http.StatusNotFound
	switch market.ErrorCode(err) {
	case market.Invalid, market.NotFound:
		page.Empty = len(h.stored) == 0
		if page.Empty {
			page.Heading = "No candles are stored yet"
		}
	case market.Unavailable:
		status = http.StatusServiceUnavailable
		page.Heading = "Not available at the moment"
	default:
		status = http.StatusInternalServerError
		page.Heading = "The page could not be made"
		page.Message = d.logError(r, requestID(w), "page failed", err)
		if errors.Is(err, context.DeadlineExceeded) {
			status = http.StatusServiceUnavailable
			page.Heading = "Not available at the moment"
			page.Message = "The candles could not be read in time. " + page.Message
		}
	}
	page.layout = newLayout(page.Heading, h, marketSection, market.Series{})
	d.render(w, r, status, d.failure, page)
}

// requestID returns the ID that middleware has given the answer.
func requestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }

// logError logs err unless the visitor has left, which is nobody's fault. It
// returns the sentence that leads from the page to the line in the log.
func (d *dashboard) logError(r *http.Request, requestID, message string, err error) string {
	if !errors.Is(r.Context().Err(), context.Canceled) {
		d.Log.ErrorContext(r.Context(), message, "request_id", requestID, "path", r.URL.Path, "error", err)
	}
	return fmt.Sprintf("The service’s log has its cause under ID %s.", requestID)
}

// render writes a page, whole or not at all.
func (d *dashboard) render(w http.ResponseWriter, r *http.Request, status int, page *template.Template, data any) {
	if framed, ok := data.(interface{ visitor() *visitor }); ok && framed.visitor() != nil {
		*framed.visitor() = d.visitorOf(r)
	}
	var body bytes.Buffer
	if err := page.Execute(&body, data); err != nil {
		cause := d.logError(r, requestID(w), "page not rendered", err)
		http.Error(w, "The page could not be made. "+cause, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// The next candle changes the page.
	w.Header().Set("Cache-Control", "no-cache")
	if accounts.CallerOf(r.Context()).Known() {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	if _, err := body.WriteTo(w); err != nil {
		d.Log.DebugContext(r.Context(), "page not delivered", "path", r.URL.Path, "error", err)
	}
}
