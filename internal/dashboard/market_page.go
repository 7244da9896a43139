package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/cryptoboat/cryptoboat/charts"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// chartSpan is what a chart shows, unless that were fewer bars than
	// fewestBars or more than mostBars.
	chartSpan  = 30 * 24 * time.Hour
	fewestBars = 120
	mostBars   = 2880
	// candleLimit leaves room above mostBars for candles off the grid.
	candleLimit = 3000
	// staleAfter is the age above which a live price is stale: an exchange tells
	// of a traded pair every second or two.
	staleAfter = 15 * time.Second
	// forecastStaleAfter is the age above which a forecast of the open candle is
	// stale: a new one is made with every sample, which are seconds apart.
	forecastStaleAfter = time.Minute
)

// marketPage is what the page of a series shows.
type marketPage struct {
	layout
	Series       market.Series
	Heading      heading
	ChartLibrary bool
	ChartOptions template.JS // JSON
	Decimals     int         // of prices
	Newest       candleFacts
	Facts        []fact
	Coin         *coinFacts     // nil where nothing is known of the base asset
	Forecast     *forecastFacts // nil where NoForecast says why
	NoForecast   string
	MayTrain     bool   // no model is there, and training one can work
	Incomplete   bool   // the chart marks candles as such
	OpeningView  string // what of the window is in view at first; empty where all of it is
	Chart        chartFrame
	Step         int64  // length of a candle in milliseconds, 0 for a month
	GridOpen     int64  // some open time, in milliseconds since 1970
	Stream       string // address of the symbol's stream; empty where there is none
	MadeAt       string // when the page was made

	// Ages in milliseconds above which what came by the stream is stale.
	StaleAfter, ForecastStaleAfter int64
}

// ForecastOrEmpty returns what the table of the forecast is made of, which the
// script of a page with a stream fills where there is nothing yet.
func (p *marketPage) ForecastOrEmpty() *forecastFacts {
	if p.Forecast == nil {
		return &forecastFacts{}
	}
	return p.Forecast
}

// fact is one line of a table. Its values are kept whole where lines break.
type fact struct {
	Name   string
	Values []string
}

func newFact(name string, values ...string) fact { return fact{name, values} }

// chartWindow returns the range of open times that a chart shows of a series.
func chartWindow(interval market.Interval, openTimes market.TimeRange) market.TimeRange {
	end := openTimes.End
	bars := min(max(int(chartSpan/interval.Length()), fewestBars), mostBars)
	start := end.Add(-time.Duration(bars) * interval.Length())
	if interval == market.Month1 {
		start = end.AddDate(0, -bars, 0)
	}
	if start.Before(openTimes.Start) {
		start = openTimes.Start
	}
	return market.TimeRange{Start: start, End: end}
}

func (d *dashboard) marketPage(
	r *http.Request, requestID string, h holdings, series market.Series,
) (*marketPage, error) {
	ctx := r.Context()
	extent, err := h.stored.Extent(series)
	if err != nil {
		return nil, err
	}
	frame, err := newChartFrame(r, h.stored, series)
	if err != nil {
		return nil, err
	}
	shown, err := d.view(ctx, h, frame.Series, frame.window)
	if err != nil {
		return nil, err
	}
	own := shown // what the heading is of
	if frame.Series != series {
		day := market.TimeRange{Start: extent.OpenTimes.End.Add(-24*time.Hour - series.Interval.Length()), End: extent.OpenTimes.End}
		if own, err = d.view(ctx, h, series, day); err != nil {
			return nil, err
		}
	}
	var next *forecast.Forecast
	var noForecast string
	mayTrain := false
	f, forecastErr := d.Forecaster.Forecast(ctx, series, time.Time{})
	switch market.ErrorCode(forecastErr) {
	case "":
		next = &f
	case market.NotFound:
		noForecast, mayTrain = trainingAdvice(series, extent.OpenTimes)
		if trained, err := d.trained(ctx, series); err != nil {
			noForecast, mayTrain = "The models could not be read. "+d.logError(r, requestID, "models not read", err), false
		} else if trained {
			noForecast, mayTrain = fmt.Sprintf("No model of %s is in use, though some have been trained: the page of the models says why.", series), false
		}
	case market.Unavailable:
		noForecast = sentence(market.ErrorMessage(forecastErr))
	default:
		// Candles without a forecast are better than no page.
		noForecast = "The forecast failed. " + d.logError(r, requestID, "forecast failed", forecastErr)
	}

	drawn := next
	if frame.Series != series {
		drawn = nil // it is of another candle
	}
	options, err := json.Marshal(charts.Candlestick(frame.Series, shown.slots, drawn))
	if err != nil {
		return nil, fmt.Errorf("encoding the chart of %s: %w", frame.Series, err)
	}
	if frame.Past, err = d.pastForecasts(r, requestID, frame); err != nil {
		return nil, err
	}
	page := &marketPage{
		layout:       newLayout(series.String(), h, marketSection, series),
		Series:       series,
		Heading:      own.heading(),
		ChartLibrary: d.chartLibrary,
		// json.Marshal writes <, > and & as escapes: no text can end the
		// script element that holds it.
		ChartOptions: template.JS(options),
		Decimals:     shown.decimals,
		Newest:       shown.newestFacts(),
		Facts:        shown.facts(),
		Coin:         d.coinFacts(r, requestID, series.Symbol),
		NoForecast:   noForecast,
		MayTrain:     mayTrain,
		Incomplete:   shown.incomplete() > 0,
		OpeningView:  shown.opening(),
		Chart:        frame,
		GridOpen:     series.Interval.Floor(own.newest().OpenTime).UnixMilli(),
		MadeAt:       formatInstant(shown.now),

		StaleAfter: staleAfter.Milliseconds(), ForecastStaleAfter: forecastStaleAfter.Milliseconds(),
	}
	if frame.Range != "" {
		page.OpeningView = ""
	}
	page.Step = stepOf(series.Interval)
	if d.Live {
		page.Stream = "/v1/stream?symbols=" + string(series.Symbol)
	}
	if next != nil {
		page.Forecast = newForecastFacts(*next, shown.decimals)
	}
	return page, nil
}

// view reads what a page shows of a series' candles within a window.
func (d *dashboard) view(ctx context.Context, h holdings, series market.Series, window market.TimeRange) (view, error) {
	extent, err := h.stored.Extent(series)
	if err != nil {
		return view{}, err
	}
	candles, err := d.History.Candles(ctx, series, window, candleLimit)
	if err != nil {
		return view{}, fmt.Errorf("reading candles of %s: %w", series, err)
	}
	if len(candles) == 0 {
		return view{}, market.Errorf(market.NotFound, "no candles of %s are stored from %s to %s: ask for a longer range",
			series, formatInstant(window.Start), formatInstant(window.End))
	}
	return view{series: series, extent: extent, window: window, candles: candles,
		slots: charts.Slots(series.Interval, window, candles), decimals: decimals(candles), now: d.Now()}, nil
}

// trained says whether a series has a model, in use or not.
func (d *dashboard) trained(ctx context.Context, series market.Series) (bool, error) {
	if d.Models == nil {
		return false, nil
	}
	models, err := d.Models.Models(ctx, series)
	return len(models) > 0, err
}

// trainingAdvice says what helps where a series has no model, and whether
// training one can work with the candles that lie in openTimes.
func trainingAdvice(series market.Series, openTimes market.TimeRange) (advice string, mayTrain bool) {
	fewest := forecast.FewestCandles(series.Interval)
	candles := 0
	for open := openTimes.Start; open.Before(openTimes.End) && candles < fewest; open = series.Interval.Next(open) {
		candles++
	}
	if candles < fewest {
		return fmt.Sprintf("At this interval no more than %s candles are stored, too few to learn from: a training takes %s.",
			formatCount(candles), formatCount(fewest)), false
	}
	return fmt.Sprintf("No model of %s has been trained. Train one, then load this page again:", series), true
}
