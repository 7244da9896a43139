package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"time"

	"github.com/cryptoboat/cryptoboat/charts"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/history"
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
	Forecast     *forecastFacts // nil where NoForecast says why
	NoForecast   string
	NoModel      bool // training one is what helps
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
	ctx context.Context, stored history.Catalogue, series market.Series,
) (*marketPage, error) {
	extent, err := stored.Extent(series)
	if err != nil {
		return nil, err
	}
	window := chartWindow(series.Interval, extent.OpenTimes)
	candles, err := d.History.Candles(ctx, series, window, candleLimit)
	if err != nil {
		return nil, fmt.Errorf("reading candles of %s: %w", series, err)
	}
	if len(candles) == 0 {
		return nil, market.Errorf(market.NotFound, "there are no candles of %s any more", series)
	}
	var next *forecast.Forecast
	var noForecast string
	f, forecastErr := d.Forecaster.Forecast(ctx, series, time.Time{})
	switch market.ErrorCode(forecastErr) {
	case "":
		next = &f
	case market.NotFound:
		noForecast = fmt.Sprintf("No model of %s has been trained. Train one, then load this page again:", series)
	case market.Unavailable:
		noForecast = sentence(market.ErrorMessage(forecastErr))
	default:
		// Candles without a forecast are better than no page.
		d.Log.ErrorContext(ctx, "forecast failed", "series", series.String(), "error", forecastErr)
		noForecast = "The forecast failed. Its cause is in the service's log."
	}

	slots := charts.Slots(series.Interval, window, candles)
	options, err := json.Marshal(charts.Candlestick(series, slots, next))
	if err != nil {
		return nil, fmt.Errorf("encoding the chart of %s: %w", series, err)
	}
	view := view{series: series, extent: extent, window: window, candles: candles, slots: slots,
		decimals: decimals(candles), now: d.Now()}
	page := &marketPage{
		layout:       newLayout(series.String(), stored, series),
		Series:       series,
		Heading:      view.heading(),
		ChartLibrary: d.chartLibrary,
		// json.Marshal writes <, > and & as escapes: no text can end the
		// script element that holds it.
		ChartOptions: template.JS(options),
		Decimals:     view.decimals,
		Newest:       view.newestFacts(),
		Facts:        view.facts(),
		NoForecast:   noForecast,
		NoModel:      market.ErrorCode(forecastErr) == market.NotFound,
	}
	if next != nil {
		page.Forecast = newForecastFacts(*next, view.decimals)
	}
	return page, nil
}
