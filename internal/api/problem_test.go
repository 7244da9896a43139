package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOperationsAreBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newService(3)
		f.waits = true
		s := serveFake(t, f)
		began := time.Now()
		got := decode[problem](t, s.get(t, "/v1/symbols/BTCUSDT/candles"), http.StatusServiceUnavailable)
		if time.Since(began) != operationTimeout || !strings.Contains(got.Detail, "10s") {
			t.Errorf("after %s: %s", time.Since(began), got.Detail)
		}
		if !strings.Contains(s.log.String(), "took too long") {
			t.Errorf("the log is silent: %s", s.log)
		}
	})
}

// Nobody is at fault when a client goes away.
func TestClientThatGoesAwayIsNoFault(t *testing.T) {
	f := newService(3)
	f.waits = true
	s := serveFake(t, f)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/symbols/BTCUSDT/candles", nil).WithContext(ctx))
	if strings.Contains(s.log.String(), "ERROR") || strings.Contains(s.log.String(), "WARN") {
		t.Errorf("the log blames somebody: %s", s.log)
	}
}

func TestProblemHoldsWhatRFC9457AsksFor(t *testing.T) {
	s := serveFake(t, newService(3))
	a := s.get(t, "/v1/symbols/BTCUSDT/candles?limit=0")
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"title", "status", "detail", "errors", "request_id"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is missing: %s", name, a.body)
		}
	}
	if fields["request_id"] != a.header.Get("X-Request-Id") {
		t.Errorf("the body has another request id than the header: %s", a.body)
	}
}

func TestStatusesCoverEveryCode(t *testing.T) {
	var seen []int
	for _, status := range statuses {
		seen = append(seen, status)
	}
	slices.Sort(seen)
	if want := []int{401, 403, 404, 409, 422, 429, 500, 503}; !slices.Equal(seen, want) {
		t.Errorf("statuses are %v, want %v", seen, want)
	}
}
