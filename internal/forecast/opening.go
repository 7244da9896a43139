package forecast

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// opening is what is known of a candle as of its open, and the model to forecast it
// by. It does not change any more, and holds no candles.
type opening struct {
	record           Model
	model            *model
	look             look
	closeTime        time.Time
	last             float64 // newest price before the open
	companionMissing bool
	costs            Costs
}

// visions is scratch space for predictions.
var visions = sync.Pool{New: func() any { return new(vision) }}

// newOpening looks at the candles before an open; ready says that they suffice.
func newOpening(record Model, m *model, own *track, known int, companion *track, open time.Time, costs Costs) *opening {
	features := make([]float64, len(openingNames))
	openingFeatures(features, own, known, companion, open)
	return &opening{
		record: record, model: m, closeTime: record.Interval.Next(open), last: own.close[known-1], costs: costs,
		look:             look{opening: features, interval: record.Interval, open: open, usual: own.usualVolume(known)},
		companionMissing: math.IsNaN(features[companionVolatility4]),
	}
}

// forecast says where the candle will close, given how far it has come at an
// instant.
func (o *opening) forecast(at time.Time, p progress) (Forecast, error) {
	v := visions.Get().(*vision)
	defer visions.Put(v)
	outlook, err := o.model.predict(v, o.look, p)
	if err != nil {
		return Forecast{}, fmt.Errorf("forecast %s: %w", o.record.Series, err)
	}
	forecast := Forecast{
		Series: o.record.Series, AsOf: at.UTC(), OpenTime: o.look.open, CloseTime: o.closeTime,
		Last: p.last, Open: p.open, Elapsed: p.elapsed,
		Prediction: outlook.at(p.last), ProbabilityAboveOpen: outlook.aboveOpen, ProbabilityAnalytic: outlook.analytic,
		Decision:  o.costs.decide(math.Expm1(outlook.point)),
		Baselines: make([]Baseline, len(baselineNames)),
		Model:     o.record, CompanionMissing: o.companionMissing,
	}
	for k, name := range baselineNames {
		forecast.Baselines[k] = Baseline{Name: name, Prediction: o.model.baseline(name, o.look, p).at(p.last)}
	}
	return forecast, nil
}
