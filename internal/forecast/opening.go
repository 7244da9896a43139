package forecast

import (
	"fmt"
	"math"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forest"
)

// opening is what is predicted of a candle as of its open. It does not change any
// more, and holds no candles.
type opening struct {
	model            Model
	openTime         time.Time
	closeTime        time.Time
	last             float64 // newest price before the open
	outlook          outlook
	distribution     forest.Distribution // behind outlook, in units of width
	width            float64
	baselines        []outlook // in the order of their names
	companionMissing bool
}

// newOpening predicts from a row of features.
func newOpening(record Model, m *model, row []float64, open time.Time, last float64) (*opening, error) {
	interval := record.Interval
	o := &opening{
		model: record, openTime: open, closeTime: interval.Next(open), last: last,
		companionMissing: math.IsNaN(row[companionVolatility4]),
	}
	var err error
	if o.width, err = m.distribution(row, interval, open, &o.distribution); err != nil {
		return nil, fmt.Errorf("forecast %s: %w", record.Series, err)
	}
	o.outlook = m.outlook(o.width, &o.distribution)
	for _, name := range baselineNames {
		o.baselines = append(o.baselines, m.baseline(name, row, interval, open))
	}
	return o, nil
}

// forecast says where the candle will close, given an instant within it, its open
// price and the newest one.
func (o *opening) forecast(at time.Time, open, last float64) Forecast {
	elapsed := float64(at.Sub(o.openTime)) / float64(o.closeTime.Sub(o.openTime))
	rest := remainderAfter(elapsed)
	above := func(price float64) float64 {
		return o.distribution.Above(rest.whole(math.Log(price/last), o.outlook.mean) / o.width)
	}
	outlook := rest.outlook(o.outlook)
	outlook.rises = above(last)
	forecast := Forecast{
		Series: o.model.Series, AsOf: at.UTC(), OpenTime: o.openTime, CloseTime: o.closeTime,
		Last: last, Open: open, Elapsed: elapsed,
		Prediction: outlook.at(last), ProbabilityAboveOpen: above(open),
		Baselines: make([]Baseline, len(o.baselines)),
		Model:     o.model, CompanionMissing: o.companionMissing,
	}
	for k, name := range baselineNames {
		forecast.Baselines[k] = Baseline{Name: name, Prediction: rest.outlook(o.baselines[k]).at(last)}
	}
	return forecast
}
