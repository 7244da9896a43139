package forecast

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Six months of which the moves of two are made small and those of two large.
func TestWalkForwardMeasuresMonthsApartAndTogether(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: 24 forests take minutes under the race detector; the run without it grows them")
	}
	r := market.TimeRange{Start: start.AddDate(0, 5, 0), End: start.AddDate(0, 11, 0)}
	calm := []time.Time{r.Start.AddDate(0, 1, 0), r.Start.AddDate(0, 4, 0)}
	wild := []time.Time{r.Start, r.Start.AddDate(0, 3, 0)}
	stores := newMemory(int(r.End.Sub(start) / btc.Interval.Length()))
	price := stores.candles[btc][0].Open
	for k := range stores.candles[btc] {
		c := &stores.candles[btc][k]
		scale := 1.0
		switch month := market.Month1.Floor(c.OpenTime); {
		case slices.Contains(calm, month):
			scale = 0.4
		case slices.Contains(wild, month):
			scale = 2.5
		}
		body := math.Log(c.Close/c.Open) * scale
		above, below := math.Log(c.High/max(c.Open, c.Close))*scale, math.Log(min(c.Open, c.Close)/c.Low)*scale
		c.Open, c.Close = price, price*math.Exp(body)
		c.High, c.Low = max(c.Open, c.Close)*math.Exp(above), min(c.Open, c.Close)*math.Exp(-below)
		price = c.Close
	}
	eth := market.Series{Symbol: "ETHUSDT", Interval: btc.Interval}
	last := market.Month1.Floor(r.End.Add(-1))
	stores.candles[eth] = slices.DeleteFunc(stores.candles[eth], func(c market.Candle) bool { return !c.OpenTime.Before(last) })

	f := NewForecaster(stores, stores)
	var heard []Metrics
	evaluation, err := f.WalkForward(t.Context(), btc, start, r, func(m Metrics) { heard = append(heard, m) })
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(evaluation.Months, heard) || len(heard) != 6 {
		t.Errorf("%d months were heard of, %d returned", len(heard), len(evaluation.Months))
	}
	if !slices.EqualFunc(evaluation.Calm.Months, calm, time.Time.Equal) || !slices.EqualFunc(evaluation.Wild.Months, wild, time.Time.Equal) {
		t.Errorf("calm are %v, wild %v", evaluation.Calm.Months, evaluation.Wild.Months)
	}
	if evaluation.Forecast != r || evaluation.Companion != "ETHUSDT" {
		t.Errorf("forecast were %v beside %s", evaluation.Forecast, evaluation.Companion)
	}
	// The first candle of the last month opens when the companion's last one closes.
	if want := int(r.End.Sub(last)/btc.Interval.Length()) - 1; evaluation.WithoutCompanion != want {
		t.Errorf("%d candles were forecast without the companion, wanted %d", evaluation.WithoutCompanion, want)
	}

	together := func(months ...time.Time) (rows int, loss, brier float64) {
		for _, m := range evaluation.Months {
			if slices.Contains(months, m.Fold.Start) {
				rows += m.Rows
				loss += m.PinballLoss * float64(m.Rows)
				brier += m.Brier * float64(m.Rows)
			}
		}
		return rows, loss / float64(rows), brier / float64(rows)
	}
	var all []time.Time
	for _, m := range evaluation.Months {
		all = append(all, m.Fold.Start)
	}
	for name, test := range map[string]struct {
		months []time.Time
		got    Scores
	}{
		"whole": {all, evaluation.Whole.Scores}, "calm": {calm, evaluation.Calm.Scores}, "wild": {wild, evaluation.Wild.Scores},
	} {
		rows, loss, brier := together(test.months...)
		if test.got.Rows != rows || math.Abs(test.got.PinballLoss-loss) > 1e-9 || math.Abs(test.got.Brier-brier) > 1e-9 {
			t.Errorf("%s: %d rows, pinball loss %v, Brier %v; its months have %d, %v, %v",
				name, test.got.Rows, test.got.PinballLoss, test.got.Brier, rows, loss, brier)
		}
	}
	if trades := evaluation.Whole.Trading; trades.Buys+trades.Sells+trades.Holds != evaluation.Whole.Rows {
		t.Errorf("%d candles were decided on as %+v", evaluation.Whole.Rows, trades)
	}
}

func TestWalkForwardOverARangeWithoutCandles(t *testing.T) {
	stores := newMemory(14000)
	elsewhere := market.TimeRange{Start: start.AddDate(1, 0, 0), End: start.AddDate(2, 0, 0)}
	months := 0
	_, err := NewForecaster(stores, stores).WalkForward(t.Context(), btc, start, elsewhere, func(m Metrics) {
		if months++; m.Rows != 0 {
			t.Errorf("%d candles of %v were forecast", m.Rows, m.Fold)
		}
	})
	if market.ErrorCode(err) != market.Unavailable || months != 12 {
		t.Errorf("after %d months: %v", months, err)
	}
}
