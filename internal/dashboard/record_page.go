package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/charts"
	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	usualRecordDays = 30
	recentForecasts = 100
)

// recordDays are how many days a record page can be asked for.
var recordDays = []int{7, usualRecordDays, 90}

// recordPage is what the page of the stored forecasts of a series shows.
type recordPage struct {
	layout
	Series       market.Series
	ChartLibrary bool
	Ranges       []link
	Range        string // the days asked for
	Empty        string // why there is no record; empty where there is one
	Stale        string // why the record may mislead; empty where it is fresh
	TooFew       string // why it says too little; empty where it does not

	Facts         []fact
	Losses        []fact // pinball losses, the forest's first
	Days          recordTable
	Stages        recordTable
	Models        recordTable
	DaysChart     template.JS // JSON, as the others
	Reliability   template.JS
	PlacesChart   template.JS
	Bins          []binRow
	Places        []placeRow
	Recent        []recentRow
	RecentFailure string // why Recent could not be read
}

type recordRow struct {
	Name, Forecasts, Skill, SkillRange, HitRate, Brier, Coverage80, Coverage90, Width80, Width90, PinballLoss string
	Baselines                                                                                                 []string // in the order of baselineColumns
}

// recordTable is of the forecasts that have something in common.
type recordTable struct {
	ID, Caption string
	Columns     []string // names of the baselines
	Rows        []recordRow
}

func (t *recordTable) add(name string, s forecast.RecordScores) {
	t.Rows = append(t.Rows, newRecordRow(name, s))
}

var baselineColumns = []string{"HAR", "EWMA", "price stays"}

type binRow struct{ Bin, Forecasts, Promised, Observed string }

type placeRow struct{ Place, Promised, Observed string }

type recentRow struct {
	OpenTime, AsOf, Elapsed, Point, Band, AboveOpen, Decision, Close, Outcome string
	Pending                                                                   bool
}

// recordPath returns the address of a series' record.
func recordPath(series market.Series) string { return "/record" + pagePath(series) }

func (d *dashboard) recordPage(r *http.Request, requestID string, h holdings, series market.Series) (*recordPage, error) {
	if _, err := h.stored.Extent(series); err != nil {
		return nil, err
	}
	days, err := recordDaysOf(r)
	if err != nil {
		return nil, err
	}
	now := d.Now().UTC()
	tomorrow := now.Truncate(24*time.Hour).AddDate(0, 0, 1)
	window := market.TimeRange{Start: tomorrow.AddDate(0, 0, -days), End: tomorrow}
	page := &recordPage{
		layout: newLayout(series.String()+" record", h, recordSection, series), Series: series,
		ChartLibrary: d.chartLibrary, Range: formatRange(window),
	}
	for _, n := range recordDays {
		page.Ranges = append(page.Ranges, link{plural(n, "day"), recordPath(series) + "?days=" + strconv.Itoa(n), n == days})
	}
	if d.Record == nil {
		page.Empty = "This service keeps no record of its forecasts."
		return page, nil
	}
	record, err := d.Record.Record(r.Context(), series, window)
	if err != nil {
		return nil, fmt.Errorf("reading the record of %s: %w", series, err)
	}
	recent, err := d.Record.RecentForecasts(r.Context(), series, recentForecasts)
	if err != nil {
		// A record without its newest rows is better than no page.
		page.RecentFailure = "They could not be read. " + d.logError(r, requestID, "recent forecasts not read", err)
	}
	for _, row := range recent {
		page.Recent = append(page.Recent, newRecentRow(row))
	}
	if len(recent) > 0 && now.Sub(recent[0].AsOf) > 2*series.Interval.Length() {
		page.Stale = "Stale: the newest forecast was made " + formatAge(recent[0].AsOf, now)
	}
	switch {
	case record.Overall.Rows > 0:
		return page, page.describe(record)
	case record.Pending > 0:
		page.Empty = fmt.Sprintf("%s of these days: none has been measured yet, which is done when the candle has closed and is stored.",
			plural(record.Pending, "forecast"))
	default:
		page.Empty = fmt.Sprintf("No forecast of %s was stored in these days. They are stored while the service runs, follows the market at this interval and has a model.", series)
	}
	return page, nil
}

// recordDaysOf returns for how many days a request asks.
func recordDaysOf(r *http.Request) (int, error) {
	asked := r.URL.Query().Get("days")
	if asked == "" {
		return usualRecordDays, nil
	}
	days, err := strconv.Atoi(asked)
	if err != nil || !slices.Contains(recordDays, days) {
		return 0, market.Errorf(market.Invalid, "days is %q: ask for 7, 30 or 90", asked)
	}
	return days, nil
}

// describe fills the page with what a record of at least one scored forecast tells.
func (p *recordPage) describe(record forecast.Record) error {
	p.Days = recordTable{ID: "days", Caption: "By the day that the candle opens on, newest first", Columns: baselineColumns}
	p.Stages = recordTable{ID: "stages", Caption: "At the open counts one forecast a candle, the quarters one a minute", Columns: baselineColumns}
	p.Models = recordTable{ID: "models", Caption: "Newest first", Columns: baselineColumns}
	opens := 0 // candles that were forecast at their open
	for _, stage := range record.Stages {
		if stage.Key == forecast.AtOpen {
			opens = stage.Rows
		}
		p.Stages.add(stageName(stage.Key), stage.RecordScores)
	}
	if time.Duration(opens)*record.Interval.Length() < 24*time.Hour {
		p.TooFew = fmt.Sprintf("Fewer than a day of candles (%s) was forecast from the open: too few to tell skill from chance.", formatCount(opens))
	}
	p.Facts = recordFacts(record)
	p.Losses = recordLosses(record.Overall)
	for _, day := range slices.Backward(record.Days) {
		p.Days.add(formatDay(day.Key), day.RecordScores)
	}
	for _, model := range record.Models {
		p.Models.add("Model "+strconv.FormatInt(model.Key, 10), model.RecordScores)
	}
	for _, bin := range record.Reliability {
		p.Bins = append(p.Bins, binRow{
			Bin:       formatNumber(100*bin.Low, 0) + " to " + formatShare(bin.High, 0),
			Forecasts: formatCount(bin.Rows), Promised: formatShare(bin.Forecast, 1), Observed: formatShare(bin.Observed, 1),
		})
	}
	for k, name := range charts.PlaceNames {
		p.Places = append(p.Places, placeRow{
			Place: name, Promised: formatShare(forecast.PlaceShares[k], 0),
			Observed: formatShare(float64(record.Places[k])/float64(record.Overall.Rows), 1),
		})
	}
	for _, chart := range []struct {
		options map[string]any
		to      *template.JS
	}{
		{charts.RecordByDay(record), &p.DaysChart},
		{charts.Reliability(record.Reliability), &p.Reliability},
		{charts.Places(record.Places), &p.PlacesChart},
	} {
		encoded, err := json.Marshal(chart.options)
		if err != nil {
			return fmt.Errorf("encoding a chart of the record of %s: %w", record.Series, err)
		}
		*chart.to = template.JS(encoded) // json.Marshal writes <, > and & as escapes
	}
	return nil
}

func recordFacts(record forecast.Record) []fact {
	all := record.Overall
	brier := newFact("Brier score (a coin: 0.25)", formatNumber(all.Brier, 4))
	if all.BrierAnalytic.Valid {
		brier.Values = append(brier.Values, "the normal distribution alone: "+formatNumber(all.BrierAnalytic.Value, 4))
	}
	return []fact{
		newFact("Forecasts measured", formatCount(all.Rows)),
		newFact("Waiting for their candle", formatCount(record.Pending)),
		newFact("Point skill against “price stays”", formatSkill(all.PointSkill), formatRecordSkill(all)),
		newFact("Hit rate of the direction", formatShare(all.HitRate, 1)),
		brier,
		newFact("80"+noBreak+"% band held", formatShare(all.Coverage80, 1), "width "+formatNumber(all.Width80BP, 1)+noBreak+"bp"),
		newFact("90"+noBreak+"% band held", formatShare(all.Coverage90, 1), "width "+formatNumber(all.Width90BP, 1)+noBreak+"bp"),
	}
}

// formatRecordSkill says how sure a skill is.
func formatRecordSkill(s forecast.RecordScores) string {
	if !s.PointSkillInterval.Valid {
		return fmt.Sprintf("no interval: it takes %d days", forecast.FewestDaysOfInterval)
	}
	return formatSkillRange(s.PointSkillInterval.Value.Low, s.PointSkillInterval.Value.High)
}

func recordLosses(s forecast.RecordScores) []fact {
	losses := []fact{newFact("Forest", formatNumber(s.PinballLoss, 3)+noBreak+"bp")}
	for _, b := range s.Baselines {
		losses = append(losses, newFact(b.Name, formatNumber(b.PinballLoss, 3)+noBreak+"bp",
			"forest "+formatLead(s.PinballLoss, b.PinballLoss)))
	}
	return losses
}

// formatLead writes by what share of another loss one is smaller, which none is of a
// loss of nothing.
func formatLead(loss, other float64) string {
	switch {
	case loss == other:
		return "as good"
	case other == 0:
		return "worse"
	case loss > other:
		return formatShare(loss/other-1, 2) + " worse"
	default:
		return formatShare(1-loss/other, 2) + " better"
	}
}

func newRecordRow(name string, s forecast.RecordScores) recordRow {
	row := recordRow{
		Name: name, Forecasts: formatCount(s.Rows), Skill: formatSkill(s.PointSkill), SkillRange: "–",
		HitRate: formatShare(s.HitRate, 1), Brier: formatNumber(s.Brier, 4),
		Coverage80: formatShare(s.Coverage80, 1), Coverage90: formatShare(s.Coverage90, 1),
		Width80: formatNumber(s.Width80BP, 1), Width90: formatNumber(s.Width90BP, 1), PinballLoss: formatNumber(s.PinballLoss, 3),
	}
	if s.PointSkillInterval.Valid {
		row.SkillRange = formatSkillRange(s.PointSkillInterval.Value.Low, s.PointSkillInterval.Value.High)
	}
	for _, name := range baselineColumns {
		loss := "–"
		for _, b := range s.Baselines {
			if b.Name == name {
				loss = formatNumber(b.PinballLoss, 3)
			}
		}
		row.Baselines = append(row.Baselines, loss)
	}
	return row
}

const minuteLayout = "2006-01-02 15:04"

// formatClock writes an instant's time of day, and its day where that is not the one
// of another instant.
func formatClock(t, other time.Time) string {
	if formatDay(t) == formatDay(other) {
		return t.UTC().Format(time.TimeOnly)
	}
	return t.UTC().Format(time.DateTime)
}

func newRecentRow(f forecast.RecordRow) recentRow {
	prices := []market.Candle{{Open: f.Open, High: f.Last, Low: f.Last, Close: f.Last}}
	if f.Outcome.Valid {
		prices[0].Close = f.Outcome.Value.Close
	}
	// What was forecast is no price that anybody paid: it needs no more decimals.
	price := func(value float64) string { return formatNumber(value, decimals(prices)) }
	row := recentRow{
		OpenTime: f.OpenTime.UTC().Format(minuteLayout), AsOf: formatClock(f.AsOf, f.OpenTime), Elapsed: formatShare(f.Elapsed, 0),
		Point: price(f.Point), Band: price(f.Bands[0].Low) + " to " + price(f.Bands[0].High),
		AboveOpen: formatShare(f.ProbabilityAboveOpen, 1), Decision: "not stored",
		Close: "open", Outcome: "not known yet", Pending: !f.Outcome.Valid,
	}
	if f.Decision.Valid {
		row.Decision = string(f.Decision.Value.Action)
	}
	if f.Outcome.Valid {
		o := f.Outcome.Value
		row.Close, row.Outcome = price(o.Close), "wrong side"
		if o.Hit {
			row.Outcome = "right side"
		}
		switch {
		case o.InBand80:
			row.Outcome += ", in both bands"
		case o.InBand90:
			row.Outcome += ", outside 80" + noBreak + "%, in 90" + noBreak + "%"
		default:
			row.Outcome += ", outside both bands"
		}
	}
	return row
}
