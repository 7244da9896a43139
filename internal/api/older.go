package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// olderPaths are those of the older service's calls. /healthcheck is the same in both.
var olderPaths = []string{
	"/healthcheck", "/train", "/predict", "/predict_and_decide", "/add_user", "/import_users", "/authenticate", "/delete_user",
	"/get_current_price", "/get_crypto_characteristics", "/get_historical_data",
}

// OlderSeries names a series. It is exported for Huma, which passes over the fields of
// an embedded type that is not.
type OlderSeries struct {
	Symbol   symbolName   `query:"symbol" default:"BTCUSDT"`
	Interval intervalName `query:"interval" default:"15m"`
}

type olderDecision struct {
	Symbol    market.Symbol `json:"symbol" example:"BTCUSDT"`
	CloseTime time.Time     `json:"close_time"`
	Last      float64       `json:"last"`
	Point     float64       `json:"point"`
	Decision  string        `json:"decision" enum:"buy,sell,hold"`
	Note      string        `json:"note"`
}

// registerOlder adds the calls of the older service under their names. Each is a few
// lines over what the newer operations do.
func registerOlder(api huma.API, d Dependencies) {
	older := func(id, method, path, newer string, area settings.Area, security []map[string][]string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{"older"}, Security: security, Deprecated: true, Metadata: map[string]any{areaKey: area},
			Summary: "As in the older service: " + path, Description: "Kept for programs of the older service; newer ones use " + newer + ".",
			Errors: []int{http.StatusNotFound, http.StatusConflict},
		}
	}
	train := older("older-train", http.MethodPost, "/train", "POST /v1/jobs/train/runs", settings.ForecastsArea, forAdmins)
	train.DefaultStatus = http.StatusAccepted
	register(api, train, func(ctx context.Context, input *struct {
		Symbol symbolName `query:"symbol" default:"BTCUSDT"`
	}) (*body[jobRun], error) {
		symbol, err := market.ParseSymbol(string(input.Symbol))
		if err != nil {
			return nil, err
		}
		return runJob(ctx, d.Jobs, d.Accounts, jobs.Train, jobs.Task{Symbol: symbol})
	})
	forecasted := func(ctx context.Context, input *OlderSeries) (forecastAnswer, error) {
		return answerForecast(ctx, d.History, d.Forecaster, d.Now, &forecastInput{Symbol: input.Symbol, Interval: input.Interval})
	}
	predict := func(ctx context.Context, input *OlderSeries) (*body[forecastAnswer], error) {
		f, err := forecasted(ctx, input)
		return answerWith(f, err)
	}
	register(api, older("older-predict", http.MethodGet, "/predict", "GET /v1/symbols/{symbol}/forecast", settings.ForecastsArea, open), predict)
	register(api, older("older-predict-post", http.MethodPost, "/predict", "GET /v1/symbols/{symbol}/forecast", settings.ForecastsArea, open), predict)
	register(api, older("older-predict-and-decide", http.MethodGet, "/predict_and_decide", "GET /v1/symbols/{symbol}/forecast", settings.ForecastsArea, open),
		func(ctx context.Context, input *OlderSeries) (*body[olderDecision], error) {
			f, err := forecasted(ctx, input)
			return answerWith(olderDecision{f.Symbol, f.CloseTime, f.Last, f.Point, string(f.Decision.Action), disclaimer}, err)
		})
	addUser := older("older-add-user", http.MethodPost, "/add_user", "POST /v1/users", settings.Area(""), forAdmins)
	addUser.DefaultStatus = http.StatusCreated
	register(api, addUser, func(ctx context.Context, input *struct{ Body newUser }) (*body[user], error) {
		return createUser(ctx, d.Accounts, input.Body)
	})
	importing := older("older-import-users", http.MethodPost, "/import_users", "POST /v1/users/import", settings.Area(""), forAdmins)
	registerFor(api, importTimeout, importing, func(ctx context.Context, input *importInput) (*body[importReport], error) {
		return importUsers(ctx, d.Accounts, input)
	})
	type credentials struct {
		Username username `json:"username"`
		Password password `json:"password"`
	}
	// Of no area, which could be closed: who calls it has not logged in yet.
	authenticate := older("older-authenticate", http.MethodPost, "/authenticate", "HTTP Basic on every call, or a token", settings.Area(""), open)
	authenticate.Description += " It answers whether a username and a password are right, and what the user may do; it begins no session." +
		" It stays open where the setting open_access closes everything, as /login does. Wrong passwords are counted here as everywhere:" +
		" after a few of them the answer is 429, and Retry-After says how long to wait."
	register(api, authenticate,
		func(ctx context.Context, input *struct{ Body credentials }) (*body[caller], error) {
			by, err := d.Accounts.Authenticate(ctx, accounts.CallerOf(ctx).Address, string(input.Body.Username), string(input.Body.Password))
			return answerWith(caller{by.Username, string(by.Role), string(by.Method)}, err)
		})
	deleteUser := older("older-delete-user", http.MethodDelete, "/delete_user", "DELETE /v1/users/{username}", settings.Area(""), forAdmins)
	deleteUser.DefaultStatus = http.StatusNoContent
	register(api, deleteUser, func(ctx context.Context, input *struct {
		Username username `query:"username" required:"true"`
	}) (*empty, error) {
		return nil, d.Accounts.Delete(ctx, accounts.CallerOf(ctx), string(input.Username))
	})
	price := priceReader{history: d.History, live: d.Live, now: d.Now, known: &knownOrigin{history: d.History}}
	register(api, older("older-current-price", http.MethodGet, "/get_current_price", "GET /v1/symbols/{symbol}/price", settings.MarketArea, open),
		func(ctx context.Context, input *struct {
			Symbol symbolName `query:"symbol" default:"BTCUSDT"`
		}) (*struct{ Body latestPrice }, error) {
			return price.read(ctx, input.Symbol)
		})
	register(api, older("older-characteristics", http.MethodGet, "/get_crypto_characteristics", "GET /v1/coins", settings.MarketArea, open),
		func(ctx context.Context, _ *struct{}) (*struct{ Body coinList }, error) {
			return listCoins(ctx, d.Coins, d.Now)
		})
	history := older("older-historical-data", http.MethodGet, "/get_historical_data", "GET /v1/symbols/{symbol}/candles", settings.MarketArea, open)
	history.Responses = candleResponses(api)
	register(api, history, func(ctx context.Context, input *struct {
		OlderSeries
		Start  instant `query:"start" doc:"Earliest open time, included."`
		End    instant `query:"end" doc:"Latest open time, not included."`
		Limit  int     `query:"limit" minimum:"1" maximum:"3000" default:"500" doc:"Most candles in the answer."`
		Format string  `query:"format" enum:"json,csv" doc:"The answer's format."`
		Accept string  `header:"Accept" hidden:"true"`
	}) (*candlesOutput, error) {
		return listCandles(ctx, d.History, d.Now(), &candlesInput{
			Symbol: input.Symbol, Interval: input.Interval, Start: input.Start, End: input.End, Limit: input.Limit,
			Format: input.Format, Accept: input.Accept,
		})
	})
}
