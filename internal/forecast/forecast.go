package forecast

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Forecast is what a model says of one candle's close, beside what the
// baselines say of it. It is information, not financial advice.
type Forecast struct {
	market.Series
	AsOf      time.Time // nothing later than this instant was used
	OpenTime  time.Time // of the forecast candle
	CloseTime time.Time
	Last      float64 // newest price at AsOf, in the quote asset
	Open      float64 // of the candle; before it has traded, Last stands in for it
	Elapsed   float64 // share of the candle's time that had passed at AsOf, in [0, 1)
	Prediction
	// ProbabilityAboveOpen is that of a close above Open, in [0, 1], from the same
	// distribution as ProbabilityUp. The two are equal where Last is Open.
	ProbabilityAboveOpen float64
	Baselines            []Baseline
	Model                Model
	// CompanionMissing says that the other pair's newest candles were not there,
	// which makes the widths a little worse.
	CompanionMissing bool
}

// Prediction is a distribution of a closing price, in the quote asset.
type Prediction struct {
	Point         float64
	Bands         []Band  // 80 % and 90 %, narrowest first; never empty
	ProbabilityUp float64 // of a close above the newest price, in [0, 1]
}

// Band is a central interval that holds the close with probability Level.
type Band struct {
	Level     float64 // in (0, 1)
	Low, High float64
}

// Baseline is a prediction that needs no forest. A forecast is worth as much
// as it beats these by. None has a view of the direction: its ProbabilityUp is
// a half.
type Baseline struct {
	Name string // "price stays", "EWMA" or "HAR"
	Prediction
}

// Model is what is on record of a trained model.
type Model struct {
	ID int64
	market.Series
	TrainedAt time.Time
	Window    market.TimeRange // open times of the candles learnt from
	Rows      int              // training rows
	Skipped   int              // candles of the window that could not be learnt from
	DataHash  string           // SHA-256 of those rows and of how they are learnt from, hexadecimal
	Features  []string
	Metrics   Metrics // on the newest month, by a model that had not seen it
}

// Metrics measures forecasts against what happened.
type Metrics struct {
	Fold       market.TimeRange `json:"fold"` // open times of the candles forecast
	Rows       int              `json:"rows"`
	PointSkill float64          `json:"point_skill"` // 1 − MSE/MSE₀ of log returns against "price stays"; above 0 is better, 0 where no price moved
	HitRate    float64          `json:"hit_rate"`    // share of candles whose direction was right, no move counting as down, in [0, 1]
	Brier      float64          `json:"brier"`       // of ProbabilityUp; 0.25 is a coin
	WidthMetrics
	Baselines []BaselineMetrics `json:"baselines"`
}

// BaselineMetrics measures a baseline's widths on the same candles.
type BaselineMetrics struct {
	Name string `json:"name"`
	WidthMetrics
}

// WidthMetrics measures predicted distributions. Losses and widths are means,
// in basis points of the price.
type WidthMetrics struct {
	PinballLoss float64 `json:"pinball_loss"` // mean over the quantiles 5, 10, 25, 50, 75, 90 and 95 %
	Coverage80  float64 `json:"coverage_80"`  // share of closes within the 80 % band
	Coverage90  float64 `json:"coverage_90"`
	Width80     float64 `json:"width_80"`
	Width90     float64 `json:"width_90"`
}
