package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// fakeService is every dependency at once, in memory.
type fakeService struct {
	stored      history.Catalogue
	candles     map[market.Series][]market.Candle // oldest first
	coverage    map[market.Symbol][]history.Coverage
	origin      history.Origin
	coins       []market.Coin // the newest of each
	coinHistory []market.Coin // of one coin, oldest first
	forecast    forecast.Forecast
	err         error // what every method returns instead
	forecastErr error // what Forecast returns instead
	record      forecast.Record
	recent      []forecast.RecordRow // newest first
	models      []forecast.Model     // newest first
	closed      bool                 // whether nothing is open to those who have not logged in
	panics      any                  // what every method panics with instead
	waits       bool                 // Candles answers only when its context ends
	live        Live
	stopping    chan struct{}

	coverageReads atomic.Int64  // going on
	coverageHeld  chan struct{} // where not nil, Coverage answers only when it is closed

	mutex  sync.Mutex
	at     time.Time          // of the last forecast
	window market.TimeRange   // of the last coverage or record
	reason string             // of the last promotion
	asked  []market.TimeRange // ranges of candles
	lists  int                // of stored series
}

func (f *fakeService) fail() error {
	if f.panics != nil {
		panic(f.panics)
	}
	return f.err
}

func (f *fakeService) Catalogue(context.Context) (history.Catalogue, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.lists++
	return f.stored, f.fail()
}

func (f *fakeService) Candles(ctx context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.asked = append(f.asked, r)
	if f.waits {
		<-ctx.Done()
		return nil, fmt.Errorf("timeout: %w", ctx.Err())
	}
	var found []market.Candle
	for _, c := range f.candles[series] {
		if r.Contains(c.OpenTime) && len(found) < limit {
			found = append(found, c)
		}
	}
	return found, f.fail()
}

func (f *fakeService) Coverage(_ context.Context, symbol market.Symbol, window market.TimeRange) ([]history.Coverage, error) {
	f.coverageReads.Add(1)
	defer f.coverageReads.Add(-1)
	f.mutex.Lock()
	f.window = window
	f.mutex.Unlock()
	if f.coverageHeld != nil {
		<-f.coverageHeld
	}
	if err := f.fail(); err != nil {
		return nil, err
	}
	if c, ok := f.coverage[symbol]; ok {
		return c, nil
	}
	return nil, market.Errorf(market.NotFound, "no candles of %s are stored", symbol)
}

func (f *fakeService) Origin(context.Context) (history.Origin, error) { return f.origin, f.fail() }

func (f *fakeService) Coins(context.Context) ([]market.Coin, error) { return f.coins, f.fail() }

func (f *fakeService) CoinHistory(_ context.Context, id string, r market.TimeRange, limit int) ([]market.Coin, error) {
	var found []market.Coin
	for _, c := range f.coinHistory {
		if c.ID == id && r.Contains(c.AsOf) && len(found) < limit {
			found = append(found, c)
		}
	}
	if err := f.fail(); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(f.coins, func(c market.Coin) bool { return c.ID == id }) {
		return nil, market.Errorf(market.NotFound, "nothing is known of the coin %s", id)
	}
	return found, nil
}

func (f *fakeService) Forecast(_ context.Context, series market.Series, at time.Time) (forecast.Forecast, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.at = at
	answer := f.forecast
	answer.Series = series
	if f.forecastErr != nil {
		return answer, f.forecastErr
	}
	return answer, f.fail()
}

func (f *fakeService) Record(_ context.Context, series market.Series, r market.TimeRange) (forecast.Record, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.window = r
	answer := f.record
	answer.Series, answer.Range = series, r
	return answer, f.fail()
}

func (f *fakeService) ForecastsBehind(_ context.Context, _ market.Series, behind *forecast.RecordPlace, limit int) ([]forecast.RecordRow, error) {
	found := f.recent
	for behind != nil && len(found) > 0 && !found[0].AsOf.Before(behind.AsOf) {
		found = found[1:]
	}
	return found[:min(limit, len(found))], f.fail()
}

func (f *fakeService) Models(context.Context, market.Series) ([]forecast.Model, error) {
	return f.models, f.fail()
}

func (f *fakeService) Model(_ context.Context, id int64) (forecast.Model, error) {
	if err := f.fail(); err != nil {
		return forecast.Model{}, err
	}
	for _, m := range f.models {
		if m.ID == id {
			return m, nil
		}
	}
	return forecast.Model{}, market.Errorf(market.NotFound, "there is no model %d", id)
}

func (f *fakeService) Promote(ctx context.Context, id int64, reason string) (forecast.Model, error) {
	f.mutex.Lock()
	f.reason = reason
	f.mutex.Unlock()
	m, err := f.Model(ctx, id)
	if err == nil && m.Bytes == 0 {
		return forecast.Model{}, market.Errorf(market.Conflict, "the file of model %d was pruned", id)
	}
	return m, err
}

func (f *fakeService) Ping(context.Context) error { return f.fail() }

var (
	btc15m = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	btc1h  = market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	day1   = time.Date(2024, time.March, 1, 0, 0, 0, 0, time.UTC)
)

// candleAt is a candle with every field, none of them round.
func candleAt(open time.Time, k int) market.Candle {
	cents := 6123456 + 7*k
	price := func(cents int) float64 { return float64(cents) / 100 }
	return market.Candle{
		OpenTime: open, Open: price(cents), High: price(cents + 1234), Low: price(cents - 987), Close: price(cents + 101),
		Volume: float64(12345678+k) / 1e5, QuoteVolume: market.Some(7561234.1234567 + float64(k)),
		Trades: market.Some(int64(4321 + k)), TakerBuyVolume: market.Some(61.00001),
		TakerBuyQuoteVolume: market.Some(3735308.22), Source: market.Minute15, Parts: 1,
	}
}

// newService stores n candles of BTCUSDT 15m from day1 on, and one of ETHUSDT 1d.
func newService(n int) *fakeService {
	f := &fakeService{candles: map[market.Series][]market.Candle{}}
	for k := range n {
		f.candles[btc15m] = append(f.candles[btc15m], candleAt(day1.Add(time.Duration(k)*15*time.Minute), k))
	}
	eth := market.Series{Symbol: "ETHUSDT", Interval: market.Day1}
	f.stored = history.Catalogue{
		{Series: eth, First: day1, Last: day1},
		{Series: btc15m, First: day1, Last: day1.Add(time.Duration(n-1) * 15 * time.Minute)},
	}
	f.models = []forecast.Model{someModel(day1)}
	return f
}

// service is the whole thing as it is served, its log included.
type service struct {
	http.Handler
	log *bytes.Buffer
}

func serveFake(t testing.TB, f *fakeService) service {
	t.Helper()
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{
		History: f, Coins: f, Forecaster: f, Records: f, Models: f, Database: f, Live: f.live,
		Accounts: fakePeople{f}, Settings: fakeSettings{f}, Current: f.current, Jobs: fakeJobs{f}, Schedule: fakeJobs{f}, Runs: fakeJobs{f},
		Now: time.Now, Stopping: f.stopping,
	}); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	return service{Wrap(mux, fakePeople{f}, f.current, slog.New(slog.NewJSONHandler(log, nil))), log}
}

var documentValidator = sync.OnceValues(func() (validator.Validator, error) {
	document, err := Document()
	if err != nil {
		return nil, err
	}
	parsed, err := libopenapi.NewDocument(document)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return v, nil
})

// answer is a whole answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks for a path and holds what comes back against the OpenAPI document.
func (s service) get(t *testing.T, target string, header ...string) answer {
	t.Helper()
	return s.ask(t, http.MethodGet, target, "", header...)
}

// post sends a body as the admin, and otherwise does as get.
func (s service) post(t *testing.T, target, body string, header ...string) answer {
	t.Helper()
	return s.ask(t, http.MethodPost, target, body, append([]string{"Authorization", basic(adminName, adminPassword)}, header...)...)
}

// basic is what HTTP Basic authentication makes of a name and a password.
func basic(name, password string) string {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.SetBasicAuth(name, password)
	return request.Header.Get("Authorization")
}

func (s service) ask(t *testing.T, method, target, body string, header ...string) answer {
	t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", jsonType)
		if strings.HasPrefix(body, "username,") {
			request.Header.Set("Content-Type", csvType)
		}
	}
	for k := 0; k+1 < len(header); k += 2 {
		request.Header.Set(header[k], header[k+1])
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	answered := answer{recorder.Code, recorder.Header(), recorder.Body.String()}

	if recorder.Code >= 400 {
		if got := recorder.Header().Get("Content-Type"); got != "application/problem+json" && !strings.HasPrefix(got, "text/html") {
			t.Errorf("%s %s: status %d came as %s, want a problem", method, target, recorder.Code, got)
		}
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	first, _, _ = strings.Cut(first, "?")
	if first != "v1" && !slices.Contains(olderPaths, "/"+first) {
		return answered
	}
	v, err := documentValidator()
	if err != nil {
		t.Fatal(err)
	}
	valid, errs := v.ValidateHttpResponse(request, recorder.Result())
	if !valid {
		t.Errorf("%s %s: status %d is not as documented: %v\n%.500s", method, target, recorder.Code, errs, answered.body)
	}
	request.Body = io.NopCloser(strings.NewReader(body))
	if valid, errs := v.ValidateHttpRequest(request); !valid && recorder.Code < 300 {
		t.Errorf("%s %s was answered, and the document does not allow it: %v", method, target, errs)
	}
	return answered
}

// decode reads a JSON answer of a status.
func decode[T any](t *testing.T, a answer, status int) T {
	t.Helper()
	if a.status != status {
		t.Fatalf("status is %d, want %d: %s", a.status, status, a.body)
	}
	var body T
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return body
}

func TestDocumentIsValidAndUpToDate(t *testing.T) {
	document, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	v, err := documentValidator()
	if err != nil {
		t.Fatal(err)
	}
	if valid, errs := v.ValidateDocument(); !valid {
		t.Errorf("the document is not valid OpenAPI: %v", errs)
	}
	committed, err := os.ReadFile("../../openapi/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(document, committed) {
		t.Error("openapi/openapi.yaml is not what the code says: run `make generate`")
	}
}

// What the tests rely on to notice undocumented answers.
func TestValidatorNoticesUndocumentedAnswers(t *testing.T) {
	v, err := documentValidator()
	if err != nil {
		t.Fatal(err)
	}
	for name, response := range map[string]*http.Response{
		"status":        {StatusCode: 418, Header: http.Header{"Content-Type": {"application/problem+json"}}, Body: io.NopCloser(strings.NewReader(`{"title":"t","status":418,"detail":"d"}`))},
		"field":         {StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"status":"ok","database":"reachable","more":1}`))},
		"missing field": {StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"status":"ok"}`))},
		"media type":    {StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(`ok`))},
	} {
		request := httptest.NewRequest(http.MethodGet, "/healthcheck", nil)
		if valid, _ := v.ValidateHttpResponse(request, response); valid {
			t.Errorf("an undocumented %s passes", name)
		}
	}
}

// everyOperation calls f for each documented operation.
func everyOperation(f func(path string, operation *huma.Operation)) int {
	count := 0
	for path, item := range registerOperations(http.NewServeMux(), Dependencies{}).Paths {
		for _, operation := range []*huma.Operation{
			item.Get, item.Put, item.Post, item.Delete, item.Options, item.Head, item.Patch, item.Trace,
		} {
			if operation != nil {
				count++
				f(path, operation)
			}
		}
	}
	return count
}

func TestEveryOperationIsWhollyDocumented(t *testing.T) {
	count := everyOperation(func(path string, operation *huma.Operation) {
		if operation.Security == nil {
			t.Errorf("%s does not say who may call it: state Security, open or a scheme", path)
		}
		if operation.OperationID == "" || operation.Summary == "" || operation.Description == "" || len(operation.Tags) != 1 {
			t.Errorf("%s lacks an id, a summary, a description or its one tag", path)
		}
		want := []string{"422", "500", "503"}
		if !isOpen(operation) {
			want = append(want, "401", "403", "429")
		}
		if strings.Contains(path, "{") {
			want = append(want, "404")
		}
		for _, status := range want {
			response := operation.Responses[status]
			if response == nil || response.Content["application/problem+json"] == nil {
				t.Errorf("%s does not document %s as a problem", path, status)
			}
		}
		for _, p := range operation.Parameters {
			if p.Description == "" {
				t.Errorf("%s does not describe its parameter %s", path, p.Name)
			}
		}
	})
	if count != 51 {
		t.Errorf("walked %d operations, want 51", count)
	}
}

// requestOf returns a target and a body that an operation takes.
func requestOf(path string, operation *huma.Operation) (target, body string) {
	id := "bitcoin"
	if !strings.HasPrefix(path, "/v1/coins") {
		id = "7"
	}
	target = strings.NewReplacer("{symbol}", "BTCUSDT", "{id}", id, "{name}", "ingest", "{username}", "ada").Replace(path)
	for _, p := range operation.Parameters {
		if p.In == "query" && p.Required {
			target += "?" + p.Name + "=BTCUSDT"
		}
	}
	return target, map[string]string{
		"train-model": `{"symbol":"BTCUSDT"}`, "promote-model": `{"reason":"it was better"}`, "run-job": `{"symbol":"BTCUSDT"}`,
		"change-settings": `{"symbols":"BTCUSDT"}`, "change-my-password": `{"current":"x","password":"y"}`, "create-token": `{"name":"robot"}`,
		"create-user": `{"username":"ada","password":"x"}`, "older-add-user": `{"username":"ada","password":"x"}`, "set-role": `{"role":"viewer"}`,
		"set-password": `{"password":"x"}`, "older-authenticate": `{"username":"trouble","password":"x"}`,
		"import-users": "username,password\n", "older-import-users": "username,password\n",
	}[operation.OperationID]
}

// Each operation, called every way it can end.
func TestEveryOperationEndsInDocumentedProblems(t *testing.T) {
	secret := "pq: password authentication failed for user postgres at 10.1.2.3"
	everyOperation(func(path string, operation *huma.Operation) {
		if operation.OperationID == "get-me" {
			return // it asks nobody
		}
		target, body := requestOf(path, operation)
		for _, test := range []struct {
			name   string
			change func(*fakeService)
			status int
		}{
			{"internal error", func(f *fakeService) { f.err = errors.New(secret) }, 500},
			{"unavailable", func(f *fakeService) { f.err = market.Errorf(market.Unavailable, "no model yet") }, 503},
			{"cancelled inside", func(f *fakeService) { f.err = context.Canceled }, 500},
			{"panic", func(f *fakeService) { f.panics = secret }, 500},
		} {
			f := newService(3)
			test.change(f)
			s := serveFake(t, f)
			want := test.status
			if path == "/healthcheck" && test.name != "panic" {
				want = 503 // whatever the database's trouble is
			}
			got := decode[problem](t, s.ask(t, operation.Method, target, body, "Authorization", basic(adminName, adminPassword)), want)
			if strings.Contains(got.Detail, "pq:") || got.RequestID == "" {
				t.Errorf("%s, %s: %+v leaks or lacks a request id", path, test.name, got)
			}
			lines := slices.DeleteFunc(strings.Split(s.log.String(), "\n"), func(line string) bool {
				return line == "" || strings.Contains(line, `"msg":"request"`)
			})
			if len(lines) != 1 || !strings.Contains(lines[0], got.RequestID) {
				t.Errorf("%s, %s: want one line that has the request id beside the access log, got %q", path, test.name, lines)
			}
			if test.name == "panic" && !strings.Contains(lines[0], "fakeService") {
				t.Errorf("%s: the log lacks the panic's stack: %s", path, lines[0])
			}
		}
	})
}
