package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/charts"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// chartFrame is what stands around the picture of a series.
type chartFrame struct {
	Series  market.Series // whose candles are drawn: coarser or finer than the page's where that fits the range
	Range   string        // the range asked for, empty for the usual one
	Ranges  []link
	ZoomOut string      // address of the next longer range; empty where there is none
	Step    int64       // length of a candle in milliseconds, 0 for a month
	CSV     string      // address of the drawn candles as a file
	Past    template.JS // JSON: the first forecast of each candle, with what became of it

	window market.TimeRange // open times
}

// chartRange is a length of time that a chart can be asked for, back from the newest
// candle; the zero one is all of it.
type chartRange struct {
	name                string
	years, months, days int
}

var chartRanges = []chartRange{
	{"1D", 0, 0, 1}, {"1W", 0, 0, 7}, {"1M", 0, 1, 0}, {"3M", 0, 3, 0}, {"1Y", 1, 0, 0}, {name: "All"},
}

// start returns where the range begins among what is stored.
func (c chartRange) start(stored market.TimeRange) time.Time {
	start := stored.End.AddDate(-c.years, -c.months, -c.days)
	if c.years+c.months+c.days == 0 || start.Before(stored.Start) {
		return stored.Start
	}
	return start
}

// fewestDrawn is below how many candles a range is drawn with finer ones.
const fewestDrawn = 24

// fittingInterval returns the interval, of those that there are, finest first, with
// which a span is drawn: its own, or else the nearest of which it has neither more than
// mostBars nor, if that can be, fewer than fewestDrawn.
func fittingInterval(own market.Interval, all []market.Interval, span time.Duration) market.Interval {
	bars := func(i market.Interval) int { return int(span / i.Length()) }
	switch {
	case bars(own) > mostBars:
		for _, i := range all {
			if bars(i) <= mostBars {
				return i
			}
		}
		return all[len(all)-1]
	case bars(own) < fewestDrawn:
		for _, i := range slices.Backward(all) {
			if i.Length() < own.Length() && bars(i) >= fewestDrawn {
				return i
			}
		}
	}
	return own
}

// newChartFrame returns the frame that a request asks for, or an Invalid error.
func newChartFrame(r *http.Request, stored history.Catalogue, series market.Series) (chartFrame, error) {
	extent, err := stored.Extent(series)
	if err != nil {
		return chartFrame{}, err
	}
	frame := chartFrame{Series: series, Range: r.URL.Query().Get("range"), window: chartWindow(series.Interval, extent.OpenTimes)}
	if frame.Range != "" {
		k := slices.IndexFunc(chartRanges, func(c chartRange) bool { return c.name == frame.Range })
		if k < 0 {
			return chartFrame{}, market.Errorf(market.Invalid, "range is %q: ask for %s", frame.Range, rangeNames())
		}
		span := extent.OpenTimes.End.Sub(chartRanges[k].start(extent.OpenTimes))
		frame.Series.Interval = fittingInterval(series.Interval, stored.Intervals(series.Symbol), span)
		if extent, err = stored.Extent(frame.Series); err != nil {
			return chartFrame{}, err
		}
		start := frame.Series.Interval.Floor(chartRanges[k].start(extent.OpenTimes))
		// The last of a range that does not begin on the grid would be one too many.
		frame.window = market.TimeRange{Start: start, End: extent.OpenTimes.End}
	}
	for _, c := range chartRanges {
		address := chartAddress(r, series, c.name)
		frame.Ranges = append(frame.Ranges, link{c.name, address, c.name == frame.Range})
		if frame.ZoomOut == "" && c.start(extent.OpenTimes).Before(frame.window.Start) {
			frame.ZoomOut = address
		}
	}
	frame.Step = stepOf(frame.Series.Interval)
	frame.CSV = "/v1/symbols/" + string(series.Symbol) + "/candles/export?" + url.Values{
		"interval": {string(frame.Series.Interval)}, "format": {"csv"},
		"start": {frame.window.Start.Format(time.RFC3339)}, "end": {frame.window.End.Format(time.RFC3339)},
	}.Encode()
	return frame, nil
}

// chartAddress returns the address of another range of the same chart.
func chartAddress(r *http.Request, series market.Series, name string) string {
	query := url.Values{"range": {name}}
	for _, kept := range []string{"layers", "time"} {
		if value := r.URL.Query().Get(kept); value != "" {
			query.Set(kept, value)
		}
	}
	return pagePath(series) + "?" + query.Encode()
}

func rangeNames() string {
	names := make([]string, len(chartRanges))
	for k, c := range chartRanges {
		names[k] = c.name
	}
	return strings.Join(names, ", ")
}

// stepOf returns the length of an interval in milliseconds, 0 for a month.
func stepOf(interval market.Interval) int64 {
	if interval == market.Month1 {
		return 0
	}
	return interval.Length().Milliseconds()
}

// pastCandles is of how many of the newest candles a chart shows what was forecast.
const pastCandles = 500

// pastForecasts returns what a chart shows of the record, as JSON.
func (d *dashboard) pastForecasts(r *http.Request, requestID string, frame chartFrame) (template.JS, error) {
	past := []charts.PastForecast{}
	if d.Record != nil {
		window := frame.window
		if newest := window.End.Add(-pastCandles * frame.Series.Interval.Length()); newest.After(window.Start) {
			window.Start = newest
		}
		rows, err := d.Record.FirstForecasts(r.Context(), frame.Series, window)
		if err != nil {
			// Candles without past forecasts are better than no page.
			d.logError(r, requestID, "past forecasts not read", err)
		}
		past = charts.PastForecasts(rows)
	}
	encoded, err := json.Marshal(past) // which writes <, > and & as escapes
	if err != nil {
		return "", fmt.Errorf("encoding past forecasts of %s: %w", frame.Series, err)
	}
	return template.JS(encoded), nil
}
