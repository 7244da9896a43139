package charts

import "github.com/cryptoboat/cryptoboat/internal/forecast"

// PastForecast is what a chart of candles shows of an earlier forecast of one of them.
type PastForecast struct {
	OpenTime string   `json:"open_time"` // of the candle, as on the chart's time axis
	Point    float64  `json:"point"`
	Low      float64  `json:"low"` // of the 80 % band
	High     float64  `json:"high"`
	Decision string   `json:"decision,omitempty"` // buy or sell; to hold is none
	Close    *float64 `json:"close,omitempty"`    // absent until the candle has closed and is scored
	Inside   bool     `json:"inside"`             // whether the close lies in the band
}

// PastForecasts returns what a chart shows of the forecasts, in their order.
func PastForecasts(rows []forecast.RecordRow) []PastForecast {
	past := make([]PastForecast, len(rows))
	for i, row := range rows {
		past[i] = PastForecast{OpenTime: formatOpenTime(row.OpenTime), Point: row.Point, Low: row.Bands[0].Low, High: row.Bands[0].High}
		if action := row.Decision.Value.Action; row.Decision.Valid && (action == forecast.Buy || action == forecast.Sell) {
			past[i].Decision = string(action)
		}
		if row.Outcome.Valid {
			past[i].Close, past[i].Inside = &row.Outcome.Value.Close, row.Outcome.Value.InBand80
		}
	}
	return past
}
