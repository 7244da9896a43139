package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// History reads candles, and says which there are.
type History interface {
	// Catalogue lists every stored series. It is asked on most calls, so it
	// should not read whole series.
	Catalogue(ctx context.Context) (history.Catalogue, error)
	// Candles returns at most limit candles whose open times lie in r, oldest
	// first, as stored or rolled up from a finer stored interval.
	Candles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error)
	// Coverage returns the coverage of each stored series of a symbol within
	// window, finest interval first, or a NotFound error where nothing of the
	// symbol is stored.
	Coverage(ctx context.Context, symbol market.Symbol, window market.TimeRange) ([]history.Coverage, error)
	// Origin says where the candles come from, "" where that is not known yet.
	Origin(ctx context.Context) (history.Origin, error)
}

// Coins reads characteristics of coins.
type Coins interface {
	// Coins returns what is known of each coin as of the newest instant, the
	// largest by market cap first, those without a rank last and by id.
	Coins(ctx context.Context) ([]market.Coin, error)
	// CoinHistory returns what was known of a coin as of the instants in r, oldest
	// first, the first limit of them, or a NotFound error where the coin is unknown.
	CoinHistory(ctx context.Context, id string, r market.TimeRange, limit int) ([]market.Coin, error)
}

// Forecaster forecasts the close of the candle that is open at an instant. At
// the zero instant it forecasts the candle after the newest stored one.
type Forecaster interface {
	Forecast(ctx context.Context, series market.Series, at time.Time) (forecast.Forecast, error)
}

// Pinger returns an error unless the database answers.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Replica is a database that history is read from while it follows the one that is
// written to.
type Replica interface {
	// Lag returns how old what it shows is at most.
	Lag(ctx context.Context) (time.Duration, error)
}

// Dependencies is what the operations ask.
type Dependencies struct {
	History    History
	Coins      Coins
	Forecaster Forecaster
	Records    forecast.RecordStore
	Models     Models
	Database   Pinger
	Replica    Replica // nil where history is read from the database itself
	Accounts   Accounts
	Settings   Settings
	Current    func() settings.Settings // the settings that hold; nil leaves all open that can be
	Jobs       Jobs
	Schedule   Schedule
	Runs       jobs.Records
	Live       Live             // nil where the market is not followed
	Now        func() time.Time // the clock that ages are told by
	// Stopping is closed when the service stops, which ends the streams: a server
	// waits for them otherwise. A nil one never is.
	Stopping <-chan struct{}
}

// Register adds the operations, the OpenAPI document and its viewer to mux.
// Serve mux through Wrap, which the operations count on for request ids and
// for whatever the mux answers by itself.
func Register(mux *http.ServeMux, dependencies Dependencies) error {
	// A page at /{symbol}/{interval} would take these paths for its own.
	mux.HandleFunc("GET /v1/{unknown}", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, newProblem(r.Context(), http.StatusNotFound, nothingHere))
	})
	return registerDocs(mux, registerOperations(mux, dependencies), dependencies.History)
}

// Document returns the OpenAPI document as YAML.
func Document() ([]byte, error) {
	document, err := registerOperations(http.NewServeMux(), Dependencies{}).YAML()
	if err != nil {
		return nil, fmt.Errorf("encoding the OpenAPI document: %w", err)
	}
	return document, nil
}

const description = `Candles, live prices, coverage and forecasts of crypto pairs, and characteristics of their coins.

- **Times** are UTC. Answers use RFC 3339 with ` + "`Z`" + `; parameters take RFC 3339 or epoch milliseconds. Ranges are half-open: start is included, end is not.
- **Numbers** are shortest decimals. What a source did not publish is null, never 0.
- **Failures** are problem documents (RFC 9457). Bad parameters get status 422, with the parameter's name and what it takes; a parameter that an operation does not know is refused rather than ignored. Every answer has an ` + "`X-Request-Id`" + `.
- **Reading** of the market and of forecasts is open to everybody unless the setting open_access says otherwise. Whatever else there is asks for a user, by HTTP Basic, a token or a session; what changes something, for an admin.
- **Lists** that can grow come page by page: ` + "`next_cursor`" + `, and the header Link with rel="next", lead to the next page, for as long as there is one. Nothing that is added meanwhile makes a page repeat or pass over an element. A cursor is opaque, and of one list only.
- **Caching**: what is read has an ETag; with If-None-Match it is answered 304 as long as it holds. Cache-Control says for how long it need not be asked for again. Answers to those who have logged in are private.
- **Compression**: gzip, where Accept-Encoding has it.
- **Limits**: RateLimit-Limit, -Remaining and -Reset say how many requests a minute a caller may make, by user or else by address, and how many are left. An answer 429 says in Retry-After when to try again.

A forecast is information, not financial advice.`

func registerOperations(mux *http.ServeMux, dependencies Dependencies) *huma.OpenAPI {
	config := huma.DefaultConfig("CryptoBoat", "1.0.0")
	config.Info.Description = description
	config.Tags = []*huma.Tag{
		{Name: "market", Description: "What is stored of the market."},
		{Name: "forecast", Description: "Where the open candle may close, how earlier forecasts came out, and the models behind them."},
		{Name: "jobs", Description: "Scheduled work: what ran, and what became of it."},
		{Name: "settings", Description: "What can be changed while the service runs."},
		{Name: "people", Description: "Users, tokens, and who did what."},
		{Name: "service", Description: "The service itself."},
		{Name: "older", Description: "Calls of the older service, under their names."},
	}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Components.SecuritySchemes = securitySchemes

	api := humago.New(mux, config)
	api.UseMiddleware(guardOperations(api, dependencies.Current), strictQuery(api))
	registerHealth(api, dependencies.Database, dependencies.Replica)
	registerSymbols(api, dependencies.History)
	registerCandles(api, dependencies.History, dependencies.Now)
	registerIndicators(api, dependencies.History, dependencies.Now)
	registerExport(api, exports{history: dependencies.History, stopping: dependencies.Stopping})
	registerCoverage(api, dependencies.History, dependencies.Now)
	registerCoins(api, dependencies.Coins, dependencies.Now)
	registerPrice(api, priceReader{
		history: dependencies.History, live: dependencies.Live, now: dependencies.Now, known: &knownOrigin{history: dependencies.History},
	})
	registerStream(api, streams{
		live: dependencies.Live, history: dependencies.History, now: dependencies.Now,
		stopping: dependencies.Stopping, places: make(chan struct{}, mostStreams),
	})
	registerForecast(api, dependencies.History, dependencies.Forecaster, dependencies.Now)
	registerScores(api, dependencies.History, dependencies.Records, dependencies.Now)
	registerModels(api, dependencies.History, dependencies.Models, dependencies.Jobs, dependencies.Accounts)
	registerJobs(api, dependencies.Jobs, dependencies.Schedule, dependencies.Runs, dependencies.Accounts)
	registerSettings(api, dependencies.Settings)
	registerPeople(api, dependencies.Accounts)
	registerOlder(api, dependencies)
	documentHeaders(api.OpenAPI())
	return api.OpenAPI()
}

// operationTimeout bounds the work for one request.
const operationTimeout = 10 * time.Second

// register adds an operation whose errors become problems and whose work is
// bounded in time. The problems that any operation can end with are documented
// here; operation.Errors adds its own.
func register[I, O any](api huma.API, operation huma.Operation, handler func(context.Context, *I) (*O, error)) {
	registerFor(api, operationTimeout, operation, handler)
}

// registerFor is register for an operation that takes longer.
func registerFor[I, O any](
	api huma.API, timeout time.Duration, operation huma.Operation, handler func(context.Context, *I) (*O, error),
) {
	// Any operation is refused to who says wrongly who it is, or too often.
	operation.Errors = append(operation.Errors, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable)
	if operation.Method == http.MethodPost || operation.Method == http.MethodPut {
		operation.Errors = append(operation.Errors, http.StatusRequestTimeout,
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if operation.Method == http.MethodGet && reflect.TypeFor[O]() != reflect.TypeFor[huma.StreamResponse]() {
		conditional(api, &operation)
	}
	huma.Register(api, operation, func(ctx context.Context, input *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		output, err := handler(ctx, input)
		if err != nil {
			return nil, problemOf(ctx, err)
		}
		return output, nil
	})
}
