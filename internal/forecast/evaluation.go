package forecast

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Evaluation is what walking forward over a range of candles came to.
type Evaluation struct {
	// Forecast reaches from the open of the first candle that was forecast to the
	// close of the last.
	Forecast         market.TimeRange `json:"forecast"`
	Companion        market.Symbol    `json:"companion"`         // the other pair, whose newest candles are features
	WithoutCompanion int              `json:"without_companion"` // candles forecast although those were missing
	Months           []Metrics        `json:"months"`            // in their order; without rows where no candle could be forecast
	Whole            Metrics          `json:"whole"`
	Calm             MonthGroup       `json:"calm"` // the third of the months with the smallest moves
	Wild             MonthGroup       `json:"wild"` // the third with the largest ones
}

// MonthGroup measures some months together; there is none where three months could
// not be forecast.
type MonthGroup struct {
	Months   []time.Time `json:"months"` // their first instants, ascending
	Scores               // of the forecasts at the open, one a candle
	Quarters []Scores    `json:"quarters"` // of those within it, as in Metrics
}

// measuredMonth is a month of a walk forward.
type measuredMonth struct {
	fold   market.TimeRange
	scores *tally
	trades *trading
}

// unrest is the mean squared error of "the price stays" at the open.
func (m *measuredMonth) unrest() float64 {
	squares := 0.0
	for _, day := range m.scores[0].days {
		squares += day.squaresStays
	}
	return squares / float64(m.scores[0].rows)
}

// WalkForward forecasts every candle of the series that opens in the range, at its
// open and within it, a calendar month at a time: each month by a model that was
// trained on nothing but candles closed before it, back to history. month is called
// with the metrics of each; it may be nil. It returns an Unavailable error where a
// month has too few candles before it, or no candle of the range can be forecast.
func (f *Forecaster) WalkForward(
	ctx context.Context, series market.Series, history time.Time, r market.TimeRange, month func(Metrics),
) (Evaluation, error) {
	s, err := f.samples(ctx, series, market.TimeRange{Start: history, End: r.End})
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluate %s: %w", series, err)
	}
	var months []measuredMonth
	evaluation := Evaluation{Companion: companion(series.Symbol)}
	for start := r.Start; start.Before(r.End); {
		end := market.Month1.Next(market.Month1.Floor(start))
		if end.After(r.End) {
			end = r.End
		}
		measured, err := measureMonth(ctx, s, market.TimeRange{Start: start, End: end}, f.costsNow())
		if err != nil {
			return Evaluation{}, fmt.Errorf("evaluate %s: the month from %s: %w", series, start.Format(time.DateOnly), err)
		}
		months = append(months, measured)
		evaluation.Months = append(evaluation.Months, measured.scores.metrics(measured.fold, measured.trades))
		if month != nil {
			month(evaluation.Months[len(evaluation.Months)-1])
		}
		start = end
	}
	forecast := s.since(r.Start).before(r.End)
	if forecast.len() == 0 {
		return Evaluation{}, fmt.Errorf("evaluate %s: %w", series, market.Errorf(market.Unavailable,
			"no candle between %s and %s can be forecast", r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339)))
	}
	evaluation.Forecast = market.TimeRange{
		Start: forecast.open(0), End: series.Interval.Next(forecast.open(forecast.len() - 1)),
	}
	for k := range forecast.rows {
		row := &forecast.rows[k]
		if row.atOpen() && math.IsNaN(s.candles.columns[companionVolatility4][row.candle]) {
			evaluation.WithoutCompanion++
		}
	}
	var whole tally
	var trades trading
	for _, m := range months {
		whole.add(m.scores)
		trades.add(m.trades)
	}
	evaluation.Whole = whole.metrics(r, &trades)
	evaluation.Calm, evaluation.Wild = calmAndWild(months)
	return evaluation, nil
}

// measureMonth forecasts a month by a model of what came before it.
func measureMonth(ctx context.Context, s *samples, month market.TimeRange, costs Costs) (measuredMonth, error) {
	measured := measuredMonth{fold: month, scores: new(tally), trades: new(trading)}
	fold := s.since(month.Start).before(month.End)
	if fold.len() == 0 {
		return measured, nil
	}
	m, err := fit(ctx, s.before(month.Start), nil)
	if err != nil {
		return measured, err
	}
	measured.scores, measured.trades, err = m.measure(ctx, fold, costs)
	return measured, err
}

// calmAndWild groups the months of the smallest and of the largest moves, a third
// of them each.
func calmAndWild(months []measuredMonth) (calm, wild MonthGroup) {
	months = slices.DeleteFunc(slices.Clone(months), func(m measuredMonth) bool { return m.scores[0].rows == 0 })
	slices.SortStableFunc(months, func(a, b measuredMonth) int { return cmp.Compare(a.unrest(), b.unrest()) })
	third := len(months) / 3
	return together(months[:third]), together(months[len(months)-third:])
}

// together measures months as one.
func together(months []measuredMonth) MonthGroup {
	var g MonthGroup
	var scores tally
	for _, m := range months {
		g.Months = append(g.Months, m.fold.Start)
		scores.add(m.scores)
	}
	slices.SortFunc(g.Months, time.Time.Compare)
	whole := scores.metrics(market.TimeRange{}, new(trading))
	g.Scores, g.Quarters = whole.Scores, whole.Quarters
	return g
}
