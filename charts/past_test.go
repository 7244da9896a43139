package charts

import (
	"encoding/json"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestPastForecasts(t *testing.T) {
	row := forecast.RecordRow{OpenTime: noon, Prediction: forecast.Prediction{Point: 5, Bands: []forecast.Band{{Level: 0.8, Low: 3, High: 6}, {Level: 0.9, Low: 1, High: 9}}}}
	scored, sold := row, row
	scored.Outcome = market.Some(forecast.Outcome{Open: 4, Close: 5.5, InBand80: true})
	scored.Decision = market.Some(forecast.Decision{Action: forecast.Hold})
	sold.Decision = market.Some(forecast.Decision{Action: forecast.Sell})
	encoded, err := json.Marshal(PastForecasts([]forecast.RecordRow{row, scored, sold}))
	if err != nil {
		t.Fatal(err)
	}
	const first = `{"open_time":"2025-06-30T12:00Z","point":5,"low":3,"high":6,`
	if want := "[" + first + `"inside":false},` + first + `"close":5.5,"inside":true},` + first + `"decision":"sell","inside":false}]`; string(encoded) != want {
		t.Errorf("got  %s\nwant %s", encoded, want)
	}
	if none, err := json.Marshal(PastForecasts(nil)); err != nil || string(none) != "[]" {
		t.Errorf("none: %s, %v", none, err)
	}
}
