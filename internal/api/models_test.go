package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestModels(t *testing.T) {
	f := newService(3)
	old := forecast.Model{ID: 3, Series: btc15m, TrainedAt: day1.AddDate(0, -2, 0), Verdict: forecast.Verdict{Reason: "HAR was better"}}
	f.models = append(f.models, old)
	s := serveFake(t, f)
	got := decode[modelList](t, s.get(t, "/v1/models?symbol=BTCUSDT"), http.StatusOK)
	if len(got.Models) != 2 || got.Models[0].ID != 7 || got.Models[1].ID != 3 {
		t.Fatalf("the models are %+v", got.Models)
	}
	one := decode[modelRecord](t, s.get(t, "/v1/models/7"), http.StatusOK)
	if one.Symbol != "BTCUSDT" || one.Interval != "15m" || one.DataHash != "00ff" || string(one.Settings) != `{"trees":100}` || one.Bytes != 3_141_592 ||
		!one.InUse || !one.InUseSince.Equal(day1.Add(time.Minute)) || !one.Verdict.Promoted || one.Verdict.Reason == "" ||
		len(one.Importance) != 2 || one.Importance[0] != (importance{"hour", 0.12}) || one.Rows != 87_000 || one.Metrics.Trading.Sells != 4 {
		t.Errorf("the model is %+v", one)
	}
	past := decode[modelRecord](t, s.get(t, "/v1/models/3"), http.StatusOK)
	if past.InUse || past.InUseSince != nil || string(past.Settings) != "null" || past.Importance == nil || past.Metrics.Quarters == nil {
		t.Errorf("the old model is %+v", past)
	}
	for target, status := range map[string]int{
		"/v1/models":                            422, // of which symbol?
		"/v1/models?symbol=BTCUSDT&interval=7m": 422,
		"/v1/models?symbol=XRPUSDT":             404,
		"/v1/models/9":                          404,
		"/v1/models/0":                          422,
		"/v1/models/seven":                      422,
	} {
		if a := s.get(t, target); a.status != status {
			t.Errorf("%s: status %d, want %d: %s", target, a.status, status, a.body)
		}
	}
}

func TestPromoteModel(t *testing.T) {
	f := newService(3)
	f.models = append(f.models, forecast.Model{ID: 3, Series: btc15m}) // its file was pruned
	s := serveFake(t, f)
	const reason = `a "day" of broken <candles>`
	got := decode[modelRecord](t, s.post(t, "/v1/models/7/promote", `{"reason":"a \"day\" of broken <candles>"}`), http.StatusOK)
	if got.ID != 7 || f.reason != reason {
		t.Errorf("model %d was promoted for %q", got.ID, f.reason)
	}
	for _, test := range []struct {
		target, body string
		status       int
	}{
		{"/v1/models/9/promote", `{"reason":"x"}`, 404},
		{"/v1/models/3/promote", `{"reason":"x"}`, 409},
		{"/v1/models/7/promote", `{"reason":""}`, 422},
		{"/v1/models/7/promote", `{"reason":"` + strings.Repeat("x", 501) + `"}`, 422},
		{"/v1/models/7/promote", `{}`, 422},
		{"/v1/models/7/promote", `{"reason":"x","force":true}`, 422},
		{"/v1/models/7/promote?reason=x", `{"reason":"x"}`, 422},
	} {
		if a := s.post(t, test.target, test.body); a.status != test.status {
			t.Errorf("%s %.50s: status %d, want %d: %s", test.target, test.body, a.status, test.status, a.body)
		}
	}
}

func TestTrainModel(t *testing.T) {
	f := newService(3)
	s := serveFake(t, f)
	before := time.Now()
	got := decode[trained](t, s.post(t, "/v1/models/train", `{"symbol":"btcusdt"}`), http.StatusOK)
	if got.Model.ID != 7 || got.Known || !got.Model.Verdict.Promoted {
		t.Errorf("got %+v", got)
	}
	if !f.window.Start.Equal(history.FirstListing) || f.window.End.Before(before) || f.window.End.Location() != time.UTC {
		t.Errorf("it was trained on %v", f.window)
	}
	f.known = true
	if got := decode[trained](t, s.post(t, "/v1/models/train", `{"symbol":"BTCUSDT","interval":"1h"}`), http.StatusOK); !got.Known {
		t.Error("it is not said that nothing was trained")
	}
	if a := s.post(t, "/v1/models/train", `{"symbol":"BTCUSDT"}`, "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form gets status %d: %s", a.status, a.body)
	}
	for body, status := range map[string]int{
		"": 400,
		`{"symbol":"BTCUSDT"` + strings.Repeat(" ", maxBodyBytes) + "}": 413,
		`{"symbol":"XRPUSDT"}`:                   404,
		`{"symbol":"BTCUSDT","interval":"7m"}`:   422,
		`{"symbol":"BTCUSDT","from":"2020"}`:     422,
		`{}`:                                     422,
		`{"symbol":"BTCUSDT","interval":"1h"} x`: 400,
	} {
		if a := s.post(t, "/v1/models/train", body); a.status != status {
			t.Errorf("%s: status %d, want %d: %s", body, a.status, status, a.body)
		}
	}
}

func TestOneTrainingOfASeriesRunsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newService(3)
		f.training = make(chan struct{})
		s := serveFake(t, f)
		first := make(chan answer, 2)
		train := func(body string) { first <- s.post(t, "/v1/models/train", body) }
		go train(`{"symbol":"BTCUSDT"}`)
		synctest.Wait()
		for range 2 {
			if got := decode[problem](t, s.post(t, "/v1/models/train", `{"symbol":"BTCUSDT"}`), http.StatusConflict); !strings.Contains(got.Detail, "is running") {
				t.Errorf("the second is told %q", got.Detail)
			}
		}
		go train(`{"symbol":"ETHUSDT","interval":"1d"}`)
		synctest.Wait()
		close(f.training)
		for range 2 {
			if a := <-first; a.status != http.StatusOK {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		}
		if a := s.post(t, "/v1/models/train", `{"symbol":"BTCUSDT"}`); a.status != http.StatusOK {
			t.Errorf("after its end: status %d: %s", a.status, a.body)
		}

		f.training = make(chan struct{}) // this one does not end
		got := decode[problem](t, s.post(t, "/v1/models/train", `{"symbol":"BTCUSDT"}`), http.StatusServiceUnavailable)
		if !strings.Contains(got.Detail, trainTimeout.String()) {
			t.Errorf("a training that takes too long ends with %q", got.Detail)
		}
	})
}

// A server cuts other answers off long before a training ends.
func TestATrainingOutlivesTheServersDeadlines(t *testing.T) {
	f := newService(3)
	f.training = make(chan struct{})
	server := httptest.NewUnstartedServer(serveFake(t, f))
	server.Config.ReadTimeout, server.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	server.Start()
	defer server.Close()
	ask := func(ctx context.Context) (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/models/train", strings.NewReader(`{"symbol":"BTCUSDT"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.SetBasicAuth(adminName, adminPassword)
		return server.Client().Do(request)
	}
	time.AfterFunc(200*time.Millisecond, func() { close(f.training) })
	response, err := ask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("status %d, %v: %s", response.StatusCode, err, body)
	}

	// Whoever leaves ends the training, and another can begin.
	f.training = make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the client that leaves gets %v", err)
	}
	close(f.training)
	for {
		response, err := ask(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
		if response.StatusCode != http.StatusConflict {
			t.Fatalf("status %d", response.StatusCode)
		}
	}
}

func TestATrainingThatCannotBegin(t *testing.T) {
	f := newService(3)
	f.err = market.Errorf(market.Unavailable, "12 usable candles are too few to train on")
	got := decode[problem](t, serveFake(t, f).post(t, "/v1/models/train", `{"symbol":"BTCUSDT"}`), http.StatusServiceUnavailable)
	if got.Detail != "12 usable candles are too few to train on" {
		t.Errorf("got %q", got.Detail)
	}
}
