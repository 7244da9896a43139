package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/jobs"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// stormRequests are sent to the whole service on a real database, or some of them where
// all is many times slower.
const stormRequests = 20_000

// marker is in every password that a storm sends: it must come back nowhere.
const marker = "s3cr3t-Marker"

// A storm of requests, valid and not, made from the OpenAPI document, as nobody, viewer
// and admin: every answer is as documented, none is a fault of ours, and no secret is
// in any answer or in the log.
func TestAStormOfRequests(t *testing.T) {
	s := newStorm(t)
	requests := stormRequests
	if raceEnabled {
		requests /= 50
	}
	const seed = 20240601
	var sent atomic.Int64
	var working sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			for {
				number := sent.Add(1)
				if number > int64(requests) || t.Failed() {
					return
				}
				s.send(rand.New(rand.NewPCG(seed, uint64(number))), number)
			}
		})
	}
	working.Wait()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	t.Logf("%d requests; answers by status: %v", requests, s.byStatus)
	if !raceEnabled { // so few say nothing of how wide the storm is
		s.checkWidth()
	}
	for _, secret := range s.secrets {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if strings.Contains(s.log.String(), "panicked") {
		t.Error("a request panicked")
	}
}

// checkWidth sees to it that the storm reaches everywhere.
func (s *storm) checkWidth() {
	for _, status := range []int{200, 201, 202, 204, 400, 401, 403, 404, 409, 415, 422} {
		if s.byStatus[status] == 0 {
			s.t.Errorf("no request got status %d: the storm is too narrow", status)
		}
	}
	for id := range s.asked {
		if !s.succeeded[id] && id != "get-forecast" && id != "get-model" && id != "promote-model" && id != "change-my-password" &&
			id != "older-authenticate" && !strings.HasPrefix(id, "older-predict") && id != "get-coin" && id != "get-coin-history" &&
			id != "retry-run" && id != "get-stream-status" {
			s.t.Errorf("no request for %s succeeded: the storm is too narrow", id)
		}
	}
}

type storm struct {
	t          *testing.T
	handler    http.Handler
	operations []stormOperation
	schemas    huma.Registry
	log        *lockedBuffer
	secrets    []string
	byRole     map[string][]string // ways to say who one is

	mutex     sync.Mutex
	byStatus  map[int]int
	asked     map[string]bool
	succeeded map[string]bool
}

type stormOperation struct {
	path string
	*huma.Operation
}

type lockedBuffer struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) linesWith(text string) string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	var lines []string
	for line := range strings.SplitSeq(b.String(), "\n") {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func newStorm(t *testing.T) *storm {
	database := timescaletest.Open(t)
	ctx := t.Context()
	log := new(lockedBuffer)
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	storeStormCandles(t, database)
	people, err := accounts.NewService(database, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	root := accounts.Caller{Username: "root", Role: accounts.Admin}
	s := &storm{
		t: t, log: log, byStatus: map[int]int{}, asked: map[string]bool{}, succeeded: map[string]bool{}, byRole: map[string][]string{},
		secrets: []string{marker, "$argon2id$"},
	}
	for _, role := range []accounts.Role{accounts.Admin, accounts.Viewer} {
		name, password := "storm-"+string(role), marker+" of "+string(role)
		if _, err := people.Create(ctx, root, accounts.NewUser{Username: name, Password: password, Role: role}); err != nil {
			t.Fatal(err)
		}
		token, _, err := people.CreateToken(ctx, accounts.Caller{Username: name, Role: role}, "storm", role, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		session, _, err := people.LogIn(ctx, "10.0.0.1", name, password)
		if err != nil {
			t.Fatal(err)
		}
		s.secrets = append(s.secrets, token, session)
		s.byRole[string(role)] = []string{"Authorization: Bearer " + token, "Cookie: " + SessionCookie + "=" + session, "Authorization: " + basic(name, password)}
	}
	s.byRole["nobody"] = []string{"X-Nobody: 1", "X-Nobody: 2", "X-Nobody: 3", "X-Nobody: 4", "Cookie: " + SessionCookie + "=gone", "Authorization: Bearer cbt_wrong"}
	known := settings.NewService(database, logger)
	control, err := jobs.NewControl(database.JobDriver(), database, time.Now, logger)
	if err != nil {
		t.Fatal(err)
	}
	forecaster := forecast.NewForecaster(database, database)
	mux := http.NewServeMux()
	dependencies := Dependencies{
		History: database, Coins: database, Forecaster: forecaster, Records: database, Models: forecaster, Database: database,
		Accounts: people, Settings: known, Jobs: control, Schedule: fakeJobs{}, Runs: database, Now: time.Now, Stopping: ctx.Done(),
	}
	if err := Register(mux, dependencies); err != nil {
		t.Fatal(err)
	}
	s.handler = Wrap(mux, people, nil, logger)
	everyOperation(func(path string, operation *huma.Operation) {
		if operation.OperationID != "stream" { // it does not end
			s.operations = append(s.operations, stormOperation{path, operation})
		}
	})
	s.schemas = registerOperations(http.NewServeMux(), Dependencies{}).Components.Schemas
	return s
}

// storeStormCandles stores a day of candles, so that there is something to answer with.
func storeStormCandles(t *testing.T, database interface {
	ClaimOrigin(ctx context.Context, origin history.Origin) error
	StoreClosed(ctx context.Context, series market.Series, candle market.Candle) error
	WriteCoins(ctx context.Context, coins []market.Coin) (int64, error)
}) {
	t.Helper()
	if err := database.ClaimOrigin(t.Context(), history.Simulated); err != nil {
		t.Fatal(err)
	}
	for k := range 96 {
		if err := database.StoreClosed(t.Context(), btc15m, candleAt(day1.Add(time.Duration(k)*15*time.Minute), k)); err != nil {
			t.Fatal(err)
		}
	}
	coin := market.Coin{ID: "bitcoin", Ticker: "BTC", Name: "Bitcoin", AsOf: day1}
	if _, err := database.WriteCoins(t.Context(), []market.Coin{coin}); err != nil {
		t.Fatal(err)
	}
}

// oddTexts are what programs stumble over.
var oddTexts = []string{
	"", " ", "0", "-1", "1e309", "NaN", "null", "true", "BTCUSDT", "'; DROP TABLE users; --", "<script>alert(1)</script>", "\x00", "\xff\xfe", "%", "%00",
	"..", "../../etc/passwd", "日本語", "\u202e", "9223372036854775808", "-9223372036854775808", "2024-01-01T00:00:00Z", "1709251200000",
	"9999999999999999", "{}", "[]", "=1+1", strings.Repeat("a", 300), strings.Repeat("9", 400), "a,b", "15m", "1M", "\r\nX-Injected: 1",
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (s *storm) send(r *rand.Rand, number int64) {
	operation := pick(r, s.operations)
	role := pick(r, []string{"nobody", "viewer", "admin", "admin"})
	odd := r.IntN(3) == 0 // something about it is not as documented, most likely
	target := s.targetOf(r, operation, odd)
	var body string
	contentType := ""
	if operation.RequestBody != nil {
		contentType, body = s.bodyOf(r, operation, odd)
	}
	request, err := http.NewRequest(operation.Method, "http://cryptoboat.test"+target, strings.NewReader(body))
	if err != nil {
		return // no client could send it
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	name, value, _ := strings.Cut(pick(r, s.byRole[role]), ": ")
	request.Header.Set(name, value)
	if odd && r.IntN(4) == 0 {
		request.Header.Set(pick(r, []string{"Accept", "X-Request-Id", "Origin", "If-None-Match", "Range"}), pick(r, oddTexts[:20]))
	}
	request.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", r.IntN(256), r.IntN(256), r.IntN(256))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, request.Clone(ctx))
	s.check(operation, role, number, request, body, recorder)
}

func (s *storm) check(operation stormOperation, role string, number int64, request *http.Request, body string, recorder *httptest.ResponseRecorder) {
	answered := recorder.Body.String()
	told := fmt.Sprintf("request %d, %s %.200s as %s with %.200q: status %d: %.500s", number, request.Method, request.URL, role, body, recorder.Code, answered)
	if recorder.Code >= 500 {
		s.t.Errorf("a fault of ours: %s\nlog: %s", told, s.log.linesWith(recorder.Header().Get("X-Request-Id")))
	}
	for _, secret := range s.secrets {
		if strings.Contains(answered, secret) {
			s.t.Errorf("the answer holds a secret: %s", told)
		}
	}
	s.mutex.Lock()
	s.byStatus[recorder.Code]++
	s.asked[operation.OperationID] = true
	if recorder.Code < 300 {
		s.succeeded[operation.OperationID] = true
	}
	s.mutex.Unlock()
	// An odd path may be that of nothing, or of a page.
	if request.Pattern == "" && recorder.Code == http.StatusNotFound || recorder.Code == http.StatusTemporaryRedirect ||
		recorder.Code == http.StatusMovedPermanently || recorder.Code == http.StatusMethodNotAllowed {
		return
	}
	if operation.Responses[itoa(recorder.Code)] == nil {
		s.t.Errorf("an undocumented status: %s", told)
		return
	}
	v, err := documentValidator()
	if err != nil {
		s.t.Error(err)
		return
	}
	if valid, errs := v.ValidateHttpResponse(request, recorder.Result()); !valid {
		text := fmt.Sprint(errs)
		if strings.Contains(text, "Path '") || strings.Contains(text, "not found") {
			return // the validator does not find odd paths
		}
		s.t.Errorf("not as documented: %s\n%.600s", told, text)
	}
}

// targetOf returns a path and a query.
func (s *storm) targetOf(r *rand.Rand, operation stormOperation, odd bool) string {
	target := operation.path
	query := url.Values{}
	for _, p := range operation.Parameters {
		value := fmt.Sprint(s.valueOf(r, p.Name, p.Schema, 0))
		if odd && r.IntN(3) == 0 {
			value = pick(r, oddTexts)
		}
		switch p.In {
		case "path":
			target = strings.Replace(target, "{"+p.Name+"}", url.PathEscape(value), 1)
		case "query":
			if p.Required || r.IntN(2) == 0 {
				query.Set(p.Name, value)
			}
		}
	}
	if odd && r.IntN(8) == 0 {
		query.Set("unknown", pick(r, oddTexts))
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target
}

// bodyOf returns a body and its content type.
func (s *storm) bodyOf(r *rand.Rand, operation stormOperation, odd bool) (contentType, body string) {
	content := operation.RequestBody.Content
	if content[csvType] != nil {
		contentType = csvType
		body = fmt.Sprintf("username,email,password,role\nuser%d,,%s %d,viewer\n", r.IntN(1000), marker, r.Uint64())
	} else {
		contentType = jsonType
		encoded, err := json.Marshal(s.valueOf(r, "", content[jsonType].Schema, 0))
		if err != nil {
			s.t.Error(err)
		}
		body = string(encoded)
	}
	if !odd {
		return contentType, body
	}
	switch r.IntN(8) {
	case 0:
		body = ""
	case 1:
		body = pick(r, oddTexts)
	case 2:
		body = body[:r.IntN(len(body)+1)]
	case 3:
		body = strings.Replace(body, ":", ":[", 1)
	case 4:
		contentType = pick(r, []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"})
	case 5:
		body = strings.Repeat("[", 5000)
	case 6:
		body = strings.Replace(body, "{", `{"unknown":`+fmt.Sprintf("%q", pick(r, oddTexts))+",", 1)
	case 7:
		body += strings.Repeat(" ", 1<<21)
	}
	return contentType, body
}

// valueOf returns a value that a schema allows, most of the time one that leads somewhere.
func (s *storm) valueOf(r *rand.Rand, name string, schema *huma.Schema, depth int) any {
	if schema.Ref != "" {
		schema = s.schemas.SchemaFromRef(schema.Ref)
	}
	switch name {
	case "symbol":
		return pick(r, []string{"BTCUSDT", "btcusdt", "ETHUSDT", "NOUSDT"})
	case "username", "after":
		return pick(r, []string{"ada", "bob", "user1", "user2", fmt.Sprint("user", r.IntN(1000))})
	case "password", "current":
		return fmt.Sprint(marker, " ", r.Uint64())
	case "email":
		return pick(r, []string{"", "ada@example.org"})
	case "cursor":
		return pick(r, []string{cursorText(candleKey{microsecondsOf(day1)}), cursorText(runKey{microsecondsOf(day1), 3}), cursorText(userKey{"bob"}), "x"})
	case "id":
		return pick(r, []any{1, 2, 3, 99, "bitcoin"})
	case "start", "end", "at":
		return day1.Add(time.Duration(r.IntN(48)) * time.Hour).Format(time.RFC3339)
	}
	switch {
	case len(schema.Enum) > 0:
		return pick(r, schema.Enum)
	case len(schema.Examples) > 0 && r.IntN(2) == 0:
		return pick(r, schema.Examples)
	case schema.Type == huma.TypeObject && schema.AdditionalProperties != nil && len(schema.Properties) == 0:
		values := map[string]any{}
		for _, d := range settings.Definitions() {
			if r.IntN(8) == 0 {
				values[string(d.Name)] = pick(r, []any{nil, d.Default, pick(r, oddTexts)})
			}
		}
		return values
	case schema.Type == huma.TypeObject:
		values := map[string]any{}
		for property, of := range schema.Properties {
			if slices.Contains(schema.Required, property) || r.IntN(2) == 0 {
				values[property] = s.valueOf(r, property, of, depth+1)
			}
		}
		return values
	case schema.Type == huma.TypeInteger:
		low, high := 0.0, 1000.0
		if schema.Minimum != nil {
			low = *schema.Minimum
		}
		if schema.Maximum != nil {
			high = *schema.Maximum
		}
		return int64(low) + r.Int64N(int64(high-low)+1)
	case schema.Type == huma.TypeNumber:
		return r.Float64()
	case schema.Type == huma.TypeBoolean:
		return r.IntN(2) == 0
	}
	return pick(r, []string{"x", "a reason", fmt.Sprint("robot ", r.IntN(1000))})
}
