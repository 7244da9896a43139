package charts

import (
	"slices"
	"time"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Series ids, by which the page finds what it colours and reads out.
const (
	idCandles    = "candles"
	idIncomplete = "incomplete"
	idForecast   = "forecast"
	idVolume     = "volume"
)

// OpeningSlots is how many of the newest slots are in view at first: few
// enough that a candle can be told from its neighbour and a forecast's band be
// seen, while the slider below shows the rest.
const OpeningSlots = 240

// empty is what ECharts takes for "no value here".
const empty = "-"

// Candlestick returns the options of a chart of candles with their volume
// below it, ready for json.Marshal. Both share one crosshair and one zoom. A
// forecast, unless nil, is drawn as a box plot in the slot of its candle: the
// box is the narrowest band, the whiskers the widest, the line the point.
// Candles made of fewer parts than they should be are marked at their low.
func Candlestick(series market.Series, slots []Slot, next *forecast.Forecast) map[string]any {
	place := -1
	if next != nil {
		slots, place = withForecast(slots, next.OpenTime)
	}
	openTimes := make([]string, len(slots))
	candles := make([]opts.KlineData, len(slots))
	volumes := make([]opts.BarData, len(slots))
	var incomplete []opts.ScatterData
	for i, slot := range slots {
		openTimes[i] = formatOpenTime(slot.OpenTime)
		if !slot.Candle.Valid {
			candles[i].Value, volumes[i].Value = empty, empty
			continue
		}
		candle := slot.Candle.Value
		// ECharts wants open, close, low, high: not the order of the name.
		candles[i].Value = [4]float64{candle.Open, candle.Close, candle.Low, candle.High}
		volumes[i].Value = candle.Volume
		if !candle.Complete(series.Interval) {
			incomplete = append(incomplete, opts.ScatterData{Value: [2]any{i, candle.Low}})
		}
	}

	chart := charts.NewKLine()
	chart.SetGlobalOptions(layout(openTimes)...)
	chart.ExtendXAxis(timeAxis(openTimes, volumeGrid))
	chart.ExtendYAxis(valueAxis(volumeGrid))
	chart.SetXAxis(openTimes)
	chart.AddSeries(series.String(), candles, charts.WithSeriesId(idCandles))
	if place >= 0 {
		chart.Overlap(forecastBox(place, next.Prediction))
	}
	if len(incomplete) > 0 {
		marks := charts.NewScatter()
		marks.AddSeries("Incomplete", incomplete, charts.WithSeriesId(idIncomplete),
			charts.WithScatterChartOpts(opts.ScatterChart{Symbol: "triangle", SymbolSize: 7}))
		chart.Overlap(marks)
	}
	bars := charts.NewBar()
	bars.AddSeries("Volume", volumes, charts.WithSeriesId(idVolume),
		charts.WithBarChartOpts(opts.BarChart{XAxisIndex: volumeGrid, YAxisIndex: volumeGrid}))
	chart.Overlap(bars)
	chart.Validate()
	return chart.JSON()
}

// withForecast returns the slots with one for the candle that opens at
// openTime, and that slot's index. It leaves the caller's slots as they are.
func withForecast(slots []Slot, openTime time.Time) ([]Slot, int) {
	place := slices.IndexFunc(slots, func(s Slot) bool { return s.OpenTime.Equal(openTime) })
	if place >= 0 {
		return slots, place
	}
	return append(slices.Clip(slots), Slot{OpenTime: openTime}), len(slots)
}

// formatOpenTime shortens RFC 3339 where nothing is lost by it.
func formatOpenTime(t time.Time) string {
	if t.Second() == 0 && t.Nanosecond() == 0 {
		return t.UTC().Format("2006-01-02T15:04Z")
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func forecastBox(place int, p forecast.Prediction) *charts.BoxPlot {
	box, whiskers := p.Bands[0], p.Bands[len(p.Bands)-1]
	data := []opts.BoxPlotData{{Value: [6]any{place,
		whiskers.Low, box.Low, p.Point, box.High, whiskers.High}}}
	chart := charts.NewBoxPlot()
	chart.AddSeries("Forecast", data, charts.WithSeriesId(idForecast), charts.WithSeriesOpts(
		// Naming the columns lets one item say its own place on the axis;
		// without it every slot before would need an empty item.
		func(s *charts.SingleSeries) { s.Encode = &opts.Encode{X: 0, Y: []int{1, 2, 3, 4, 5}} }))
	return chart
}

// Indices of the two grids, and so of their axes.
const (
	priceGrid  = 0
	volumeGrid = 1
)

func layout(openTimes []string) []charts.GlobalOpts {
	grids := []int{priceGrid, volumeGrid}
	zoom := opts.DataZoom{XAxisIndex: grids, Start: openingStart(len(openTimes)), End: 100}
	inside, slider := zoom, zoom
	inside.Type, slider.Type = "inside", "slider"
	return []charts.GlobalOpts{
		// Any theme but go-echarts' default keeps its palette out of the
		// options; the page brings the colours.
		charts.WithInitializationOpts(opts.Initialization{ChartID: "chart", Theme: "page"}),
		charts.WithAnimation(false),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(false)}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(false)}),
		charts.WithAxisPointerOpts(&opts.AxisPointer{Show: opts.Bool(true), Type: "line",
			Link: []opts.AxisPointerLink{{XAxisIndex: grids}}}),
		charts.WithGridOpts(
			opts.Grid{Left: "12", Right: "72", Top: "12", Height: "62%"},
			opts.Grid{Left: "12", Right: "72", Top: "72%", Bottom: "76"}),
		charts.WithXAxisOpts(timeAxis(openTimes, priceGrid)),
		charts.WithYAxisOpts(valueAxis(priceGrid)),
		charts.WithDataZoomOpts(inside, slider),
	}
}

// openingStart is where the view starts at first, in percent of the slots.
func openingStart(slots int) float32 {
	return max(0, 100*(1-float32(OpeningSlots)/float32(slots)))
}

// timeAxis is a category axis: on a time axis ECharts derives the width of a
// candle from how many there are, so that a gap would make all of them wider.
func timeAxis(openTimes []string, grid int) opts.XAxis {
	// The crosshair's line runs through both grids; only the lower one has
	// room for labels.
	labels := opts.Bool(grid == volumeGrid)
	return opts.XAxis{Type: "category", GridIndex: grid, Data: openTimes,
		AxisLabel:   &opts.AxisLabel{Show: labels},
		AxisTick:    &opts.AxisTick{Show: labels},
		AxisPointer: &opts.AxisPointer{Label: &opts.Label{Show: labels}}}
}

func valueAxis(grid int) opts.YAxis {
	// Volume is a quantity and starts at zero; prices use the height they have.
	return opts.YAxis{Type: "value", GridIndex: grid, Position: "right",
		Scale: opts.Bool(grid == priceGrid), SplitNumber: []int{5, 2}[grid]}
}
