package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
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
		len(one.Importance) != 2 || one.Importance[0] != (importance{"hour", 0.12}) || one.Rows != 87_000 || one.Metrics.Trading.Sells != 4 ||
		one.InUseReason != "the newer one learnt from broken candles" || *one.Metrics.Trading.Fee != 0.002 || *one.Metrics.Trading.Spread != 0.0003 {
		t.Errorf("the model is %+v", one)
	}
	past := decode[modelRecord](t, s.get(t, "/v1/models/3"), http.StatusOK)
	if past.InUse || past.InUseSince != nil || past.InUseReason != "" || past.Metrics.Trading.Fee != nil || past.Metrics.Trading.Spread != nil || string(past.Settings) != "null" || past.Importance == nil || past.Metrics.Quarters == nil {
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

func TestTrainModelQueuesARun(t *testing.T) {
	f := newService(3)
	s := serveFake(t, f)
	got := decode[jobRun](t, s.post(t, "/v1/models/train", `{"symbol":"btcusdt"}`), http.StatusAccepted)
	if got.Job != "train" || got.Symbol != "BTCUSDT" || got.State != "queued" || got.RequestedBy != "admin" {
		t.Errorf("got %+v", got)
	}
	if a := s.post(t, "/v1/models/train", `{"symbol":"BTCUSDT"}`, "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form gets status %d: %s", a.status, a.body)
	}
	for body, status := range map[string]int{
		"": 400,
		`{"symbol":"BTCUSDT"` + strings.Repeat(" ", maxBodyBytes) + "}": 413,
		`{"symbol":"BTC/USDT"}`:              422,
		`{"symbol":"BTCUSDT","from":"2020"}`: 422,
		`{}`:                                 422,
		`{"symbol":"BTCUSDT"} x`:             400,
	} {
		if a := s.post(t, "/v1/models/train", body); a.status != status {
			t.Errorf("%s: status %d, want %d: %s", body, a.status, status, a.body)
		}
	}
	f.err = market.Errorf(market.Conflict, "run 3 of train is active: wait for it, or cancel it")
	if got := decode[problem](t, s.post(t, "/v1/models/train", `{"symbol":"BTCUSDT"}`), http.StatusConflict); !strings.Contains(got.Detail, "run 3") {
		t.Errorf("got %q", got.Detail)
	}
}
