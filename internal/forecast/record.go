package forecast

import (
	"context"
	"fmt"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// RecordStore reads stored forecasts and what became of them.
type RecordStore interface {
	// Record measures the forecasts of the candles of a series that open in the
	// range. A range without any has a record without rows.
	Record(ctx context.Context, series market.Series, r market.TimeRange) (Record, error)
	// ForecastsBehind returns the forecasts of a series that stand behind a place in
	// their list, or from its beginning on where that is nil, at most limit of them. The
	// newest stands first.
	ForecastsBehind(ctx context.Context, series market.Series, behind *RecordPlace, limit int) ([]RecordRow, error)
}

// RecordPlace is where a forecast stands in the list of a series.
type RecordPlace struct {
	OpenTime time.Time // of the forecast candle
	AsOf     time.Time
	ModelID  int64
}

// RecordRow is a stored forecast and what became of it.
type RecordRow struct {
	market.Series
	OpenTime  time.Time // of the forecast candle
	CloseTime time.Time
	AsOf      time.Time // nothing later than this instant was used
	ModelID   int64
	Elapsed   float64 // share of the candle's time that had passed at AsOf, in [0, 1)
	Open      float64 // of the candle, as it was known
	Last      float64 // newest price at AsOf
	Prediction
	ProbabilityAboveOpen float64
	// ProbabilityAnalytic and Decision are absent from forecasts that were stored
	// before the service kept them.
	ProbabilityAnalytic market.Optional[float64]
	Decision            market.Optional[Decision]
	Outcome             market.Optional[Outcome] // absent until the candle has closed
}

// Outcome is what became of a forecast.
type Outcome struct {
	Open, Close float64 // of the closed candle
	// Hit says whether the more probable side of the open came true, no move counting
	// as below.
	Hit                bool
	InBand80, InBand90 bool // whether the close lies in the band, its ends included
}

// Record measures stored forecasts of a series whose candles have closed. Forecasts
// are stored one a minute: AtOpen counts one a candle, every other score each of them,
// so that many share one outcome. What is independent is rather the days.
type Record struct {
	market.Series
	Range   market.TimeRange // open times of the candles
	Pending int              // forecasts of candles that have not been scored yet
	Overall RecordScores
	Days    []RecordGroup[time.Time] // by the day, UTC, that the candle opens on; ascending
	Stages  []RecordGroup[Stage]     // by how far the candle had come; ascending
	Models  []RecordGroup[int64]     // by the model's ID, the newest first
	Calibration
}

// RecordGroup measures the forecasts that have the key in common.
type RecordGroup[K any] struct {
	Key K
	RecordScores
}

// Stage is how far a candle had come when it was forecast: AtOpen or within one of the
// four quarters of its time, 1 to 4.
type Stage int

// AtOpen is the stage of forecasts made in the candle's first minute, before the
// first one of those that are made every minute from then on.
const AtOpen Stage = 0

// String returns "open" or "quarter 1" to "quarter 4".
func (s Stage) String() string {
	if s == AtOpen {
		return "open"
	}
	return fmt.Sprintf("quarter %d", int(s))
}

// RecordScores measures stored forecasts against what happened. All but Rows are 0
// where there are no rows.
type RecordScores struct {
	Rows       int
	PointSkill float64 // 1 − MSE/MSE₀ of log returns against "price stays"; 0 where no price moved
	// PointSkillInterval holds the skill with a confidence of 95 %, as that of Scores;
	// absent where there are fewer than FewestDaysOfInterval days.
	PointSkillInterval market.Optional[SkillInterval]
	HitRate            float64 // share of closes on the more probable side of the open, in [0, 1]
	Brier              float64 // of ProbabilityAboveOpen; 0.25 is a coin
	// BrierAnalytic is of ProbabilityAnalytic, absent where it was not stored with every
	// one of the forecasts.
	BrierAnalytic market.Optional[float64]
	Coverage80    float64 // share of closes within the 80 % band
	Coverage90    float64
	Width80BP     float64 // mean width of the 80 % band, in basis points of the newest price
	Width90BP     float64
	PinballLoss   float64        // mean over the quantiles 5, 10, 90 and 95 %, in basis points of the price
	Baselines     []BaselineLoss // those that were stored with every one of the forecasts
}

// BaselineLoss is the pinball loss of a baseline for the same forecasts, by the same
// measure.
type BaselineLoss struct {
	Name        string // "price stays", "EWMA" or "HAR"
	PinballLoss float64
}

// FewestDaysOfInterval is how many days it takes to say how sure a skill is.
const FewestDaysOfInterval = 20

// SkillInterval holds a skill. Only where both ends lie on the same side of 0 is
// there anything to say of it.
type SkillInterval struct{ Low, High float64 }

// Calibration says whether forecast probabilities came true, over all forecasts of a
// record.
type Calibration struct {
	// Places counts where the closes lie in the predicted distributions: below the
	// quantile of 5 %, from there to 10 %, from 10 to 90 %, up to 95 %, and above.
	// PlaceShares says how many of them there should be.
	Places [5]int
	// Reliability holds ProbabilityAboveOpen against what happened, in ten bins of a
	// tenth each, ascending; those without rows are left out.
	Reliability []ReliabilityBin
}

// PlaceShares are the shares of closes that belong into Calibration's places.
var PlaceShares = [5]float64{0.05, 0.05, 0.8, 0.05, 0.05}

// ReliabilityBin is of the forecasts with a probability in [Low, High), in the last
// bin [Low, High].
type ReliabilityBin struct {
	Low, High float64
	Forecast  float64 // mean probability of a close above the open
	Observed  float64 // share of closes above it
	Rows      int
}
