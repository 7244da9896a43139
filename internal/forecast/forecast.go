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
	// ProbabilityAboveOpen is that of a close above Open, in [0, 1]. It equals
	// ProbabilityUp where Last is Open.
	ProbabilityAboveOpen float64
	// ProbabilityAnalytic is the same probability by the normal distribution over
	// the width of what is left of the candle, which ProbabilityAboveOpen starts
	// from and has to beat.
	ProbabilityAnalytic float64
	Decision            Decision
	Baselines           []Baseline
	Model               Model
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
	Rows      int              // samples learnt from: of each candle its open, and one instant within it where that is known
	Skipped   int              // candles of the window that could not be learnt from
	DataHash  string           // SHA-256 of those rows and of how they are learnt from, hexadecimal
	Features  []string
	Settings  string  // what else decided how it was learnt, as JSON
	Metrics   Metrics // on the newest month, by a model that had not seen it
	// Importance is that of every feature, the most important first; empty where no
	// month could be measured.
	Importance []Importance
	Verdict    Verdict
	// InUseSince is when it was put to use last; absent where another one makes the
	// forecasts now.
	InUseSince market.Optional[time.Time]
	// InUseReason is why it was put to use then, in the words of who did or of the
	// verdict; empty where another one makes the forecasts now.
	InUseReason string
	Bytes       int64 // of its file; 0 where that was pruned, and only the record kept
}

// Metrics measures forecasts against what happened.
type Metrics struct {
	Fold     market.TimeRange `json:"fold"` // open times of the candles forecast
	Scores                    // of the forecasts at the open, one a candle
	Quarters []Scores         `json:"quarters"` // of those within it, by the quarter of its time that had begun; without rows where nothing finer is stored
	Trading  Trading          `json:"trading"`  // by the forecasts at the open
}

// Trading is what decisions would have earned after costs, a candle at a time, and
// what holding the coin would have earned. Earnings and drawdowns are shares of what
// one began with; a drawdown is the largest fall from a peak before, in [0, 1], as seen
// at closes. To
// sell is to owe the coin until the close.
type Trading struct {
	Buys             int     `json:"buys"`
	Sells            int     `json:"sells"`
	Holds            int     `json:"holds"`
	Earned           float64 `json:"earned"`
	Drawdown         float64 `json:"drawdown"`
	EarnedByHolding  float64 `json:"earned_by_holding"`
	HoldingsDrawdown float64 `json:"holdings_drawdown"`
	// Costs are those after which it would have been so; nil where nothing was decided,
	// and in records of before they were kept.
	Costs *Costs `json:"costs,omitempty"`
}

// Scores measures forecasts of candles against what happened.
type Scores struct {
	Rows       int     `json:"rows"`        // forecasts measured
	PointSkill float64 `json:"point_skill"` // 1 − MSE/MSE₀ of log returns against "price stays"; above 0 is better, 0 where no price moved
	// PointSkillLow and PointSkillHigh hold the skill with a confidence of 95 %: a
	// bootstrap over blocks of a day (Carlstein 1986). Only where both lie on the same
	// side of 0 is there anything to say of it. Of fewer than FewestDaysOfInterval days
	// nothing is known: they are −1, or the skill where that is less, and 1.
	PointSkillLow  float64 `json:"point_skill_low"`
	PointSkillHigh float64 `json:"point_skill_high"`
	HitRate        float64 `json:"hit_rate"`       // share of closes on the more probable side of the open, no move counting as below, in [0, 1]
	Brier          float64 `json:"brier"`          // of ProbabilityAboveOpen; 0.25 is a coin
	BrierAnalytic  float64 `json:"brier_analytic"` // of ProbabilityAnalytic
	WidthMetrics
	Baselines []BaselineMetrics `json:"baselines"`
}

// BaselineMetrics measures a baseline's widths on the same candles.
type BaselineMetrics struct {
	Name string `json:"name"`
	WidthMetrics
}

// WidthMetrics measures predicted distributions. Losses and widths are means,
// in basis points of the price; a coverage is the share of closes within the band
// of that level.
type WidthMetrics struct {
	PinballLoss float64 `json:"pinball_loss"` // mean over the quantiles 2.5, 5, 10, 25, 50, 75, 90, 95 and 97.5 %
	Coverage50  float64 `json:"coverage_50"`
	Coverage80  float64 `json:"coverage_80"`
	Coverage90  float64 `json:"coverage_90"`
	Coverage95  float64 `json:"coverage_95"`
	Width80     float64 `json:"width_80"`
	Width90     float64 `json:"width_90"`
}
