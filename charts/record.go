package charts

import (
	"time"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
)

// panel is one of the pictures that lie above one another and share the days.
type panel struct {
	name     string
	top      string
	fromZero bool // its axis holds 0
	lines    []dailyLine
}

type dailyLine struct {
	name    string
	promise float64 // drawn as a dashed line where it is not 0
	value   func(forecast.RecordScores) float64
}

// RecordByDay returns the options of a chart of a record's skill, hit rate, coverage
// and width by day, ready for json.Marshal. Every day of the record's range has its
// place; one without scored forecasts is empty.
func RecordByDay(record forecast.Record) map[string]any {
	percent := func(share float64) float64 { return 100 * share }
	panels := []panel{
		{"Point skill, %", "7%", true, []dailyLine{
			{"Point skill", 0, func(s forecast.RecordScores) float64 { return percent(s.PointSkill) }},
		}},
		{"Hit rate, %", "31%", false, []dailyLine{
			{"Hit rate", 50, func(s forecast.RecordScores) float64 { return percent(s.HitRate) }},
		}},
		{"Bands held, %", "55%", false, []dailyLine{
			{"80 % band held", 80, func(s forecast.RecordScores) float64 { return percent(s.Coverage80) }},
			{"90 % band held", 90, func(s forecast.RecordScores) float64 { return percent(s.Coverage90) }},
		}},
		{"Width, bp", "79%", true, []dailyLine{
			{"80 % band’s width", 0, func(s forecast.RecordScores) float64 { return s.Width80BP }},
			{"90 % band’s width", 0, func(s forecast.RecordScores) float64 { return s.Width90BP }},
		}},
	}
	scores := map[time.Time]forecast.RecordScores{}
	for _, day := range record.Days {
		scores[day.Key.UTC()] = day.RecordScores
	}
	var names []string
	var days []time.Time
	for day := record.Range.Start.UTC(); day.Before(record.Range.End); day = day.AddDate(0, 0, 1) {
		days, names = append(days, day), append(names, day.Format(time.DateOnly))
	}

	chart := charts.NewLine()
	grids := make([]opts.Grid, len(panels))
	everyGrid := make([]int, len(panels))
	for k, p := range panels {
		grids[k] = opts.Grid{Left: "48", Right: "16", Top: p.top, Height: "13%"}
		everyGrid[k] = k
	}
	chart.SetGlobalOptions(append(pictureOptions("days", "axis"),
		charts.WithGridOpts(grids...),
		charts.WithAxisPointerOpts(&opts.AxisPointer{Link: []opts.AxisPointerLink{{XAxisIndex: everyGrid}}}),
		charts.WithXAxisOpts(dayAxis(names, 0, len(panels))), charts.WithYAxisOpts(panelAxis(panels[0], 0)))...)
	for k := 1; k < len(panels); k++ {
		chart.ExtendXAxis(dayAxis(names, k, len(panels)))
		chart.ExtendYAxis(panelAxis(panels[k], k))
	}
	chart.SetXAxis(names)
	for k, p := range panels {
		for _, line := range p.lines {
			data := make([]opts.LineData, len(days))
			for i, day := range days {
				data[i].Value = empty
				if s, scored := scores[day]; scored {
					data[i].Value = line.value(s)
				}
			}
			options := []charts.SeriesOpts{
				charts.WithSeriesId(line.name), charts.WithLineChartOpts(opts.LineChart{XAxisIndex: k, YAxisIndex: k}),
			}
			if line.promise != 0 {
				options = append(options,
					charts.WithMarkLineNameYAxisItemOpts(opts.MarkLineNameYAxisItem{YAxis: line.promise}),
					charts.WithMarkLineStyleOpts(opts.MarkLineStyle{Symbol: []string{"none", "none"}, Label: &opts.Label{Show: opts.Bool(false)}}))
			}
			chart.AddSeries(line.name, data, options...)
		}
	}
	chart.Validate()
	return chart.JSON()
}

func dayAxis(days []string, grid, grids int) opts.XAxis {
	labels := opts.Bool(grid == grids-1)
	return opts.XAxis{Type: "category", GridIndex: grid, Data: days, AxisLabel: &opts.AxisLabel{Show: labels}, AxisTick: &opts.AxisTick{Show: labels}}
}

func panelAxis(p panel, grid int) opts.YAxis {
	return opts.YAxis{Type: "value", GridIndex: grid, Name: p.name, Scale: opts.Bool(!p.fromZero), SplitNumber: 3}
}

// Reliability returns the options of a chart of how often what was forecast with a
// probability happened, in percent, against the diagonal on which it would lie if
// the probabilities came true.
func Reliability(bins []forecast.ReliabilityBin) map[string]any {
	chart := charts.NewLine()
	chart.SetGlobalOptions(append(pictureOptions("reliability", "item"),
		charts.WithGridOpts(opts.Grid{Left: "48", Right: "16", Top: "32", Bottom: "44"}),
		charts.WithXAxisOpts(opts.XAxis{Type: "value", Name: "Forecast, %", NameLocation: "middle", NameGap: 26, Min: 0, Max: 100}),
		charts.WithYAxisOpts(opts.YAxis{Type: "value", Name: "Happened, %", Min: 0, Max: 100}))...)
	observed := make([]opts.LineData, len(bins))
	for k, bin := range bins {
		observed[k].Value = [2]float64{100 * bin.Forecast, 100 * bin.Observed}
	}
	chart.AddSeries("Happened", observed, charts.WithSeriesId("reliability"))
	chart.AddSeries("As promised", []opts.LineData{{Value: [2]float64{0, 0}}, {Value: [2]float64{100, 100}}},
		charts.WithSeriesId("promise"), charts.WithLineChartOpts(opts.LineChart{Symbol: "none"}),
		charts.WithLineStyleOpts(opts.LineStyle{Type: "dashed"}))
	chart.Validate()
	return chart.JSON()
}

// PlaceNames name where a close lies in the predicted distribution, in the order of
// forecast.Calibration's places.
var PlaceNames = [5]string{"below 90 %", "below 80 %", "in 80 %", "above 80 %", "above 90 %"}

// Places returns the options of a chart of the shares of closes in each place, in
// percent, beside those that the bands promise.
func Places(places [5]int) map[string]any {
	total := 0
	for _, n := range places {
		total += n
	}
	happened, promised := make([]opts.BarData, len(places)), make([]opts.BarData, len(places))
	for k, n := range places {
		happened[k].Value = empty
		if total > 0 {
			happened[k].Value = 100 * float64(n) / float64(total)
		}
		promised[k].Value = 100 * forecast.PlaceShares[k]
	}
	chart := charts.NewBar()
	chart.SetGlobalOptions(append(pictureOptions("places", "axis"),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(true), Top: "0"}),
		charts.WithGridOpts(opts.Grid{Left: "48", Right: "16", Top: "48", Bottom: "28"}),
		charts.WithXAxisOpts(opts.XAxis{Type: "category"}),
		charts.WithYAxisOpts(opts.YAxis{Type: "value", Name: "Closes, %"}))...)
	chart.SetXAxis(PlaceNames[:])
	chart.AddSeries("Happened", happened, charts.WithSeriesId("happened"))
	chart.AddSeries("Promised", promised, charts.WithSeriesId("promised"))
	chart.Validate()
	return chart.JSON()
}

// pictureOptions are those of a chart that is looked at and not moved about in.
func pictureOptions(id, tooltip string) []charts.GlobalOpts {
	return []charts.GlobalOpts{
		charts.WithInitializationOpts(opts.Initialization{ChartID: id, Theme: "page"}),
		charts.WithAnimation(false),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(false)}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: tooltip}),
	}
}
