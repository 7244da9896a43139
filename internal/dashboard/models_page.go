package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// modelsPage is what the page of the trained models of a series shows.
type modelsPage struct {
	layout
	Series   market.Series
	Empty    string // why there are no models; empty where there are some
	MayTrain bool   // whether training one can work
	Stale    string // why the model in use may mislead; empty where it is fresh
	Models   []modelRow
	InUse    *modelInUse // nil where none is
}

type modelRow struct {
	ID, Trained, Rows, PinballLoss, HAR, EWMA, Coverage80, Coverage90, Skill, SkillRange, Brier, Size string
	Window, Measured                                                                                  []string // each kept whole where lines break
	InUseSince                                                                                        string   // empty where it is not in use
	Promoted                                                                                          bool
	Reason                                                                                            string
}

type modelInUse struct {
	ID         string
	Metrics    metricsFacts
	Importance []importanceRow
	Settings   string
}

// importanceRow is a feature's bar. Bar is its length, in hundredths of the longest.
type importanceRow struct {
	Feature, Loss string
	Bar           int
}

// monthsUntilStale is how old the newest candle may be that the model in use has
// learnt from: with a training a month, one has failed when it is older.
const monthsUntilStale = 2

// modelsPath returns the address of a series' models.
func modelsPath(series market.Series) string { return "/models" + pagePath(series) }

func (d *dashboard) modelsPage(r *http.Request, _ string, h holdings, series market.Series) (*modelsPage, error) {
	extent, err := h.stored.Extent(series)
	if err != nil {
		return nil, err
	}
	page := &modelsPage{layout: newLayout(series.String()+" models", h, modelsSection, series), Series: series}
	if d.Models == nil {
		page.Empty = "This service keeps no record of its models."
		return page, nil
	}
	models, err := d.Models.Models(r.Context(), series)
	if err != nil {
		return nil, fmt.Errorf("reading the models of %s: %w", series, err)
	}
	if len(models) == 0 {
		page.Empty, page.MayTrain = trainingAdvice(series, extent.OpenTimes)
		return page, nil
	}
	for _, m := range models {
		page.Models = append(page.Models, newModelRow(m))
		if m.InUseSince.Valid && page.InUse == nil {
			page.InUse = newModelInUse(m)
			if d.Now().After(m.Window.End.AddDate(0, monthsUntilStale, 0)) {
				page.Stale = fmt.Sprintf("Stale: model %d has learnt from no candle after %s", m.ID, formatDay(m.Window.End.Add(-1)))
			}
		}
	}
	return page, nil
}

func newModelRow(m forecast.Model) modelRow {
	const none = "–"
	row := modelRow{
		ID: strconv.FormatInt(m.ID, 10), Trained: formatDay(m.TrainedAt), Window: daysOf(m.Window), Rows: formatCount(m.Rows),
		Measured: []string{"not measured"}, PinballLoss: none, HAR: none, EWMA: none, Coverage80: none, Coverage90: none,
		Skill: none, Brier: none, Size: formatSize(m.Bytes),
		Promoted: m.Verdict.Promoted, Reason: m.Verdict.Reason,
	}
	if m.InUseSince.Valid {
		row.InUseSince = formatInstant(m.InUseSince.Value)
	}
	if s := m.Metrics; s.Rows > 0 {
		row.Measured = daysOf(s.Fold)
		row.PinballLoss, row.Brier = formatNumber(s.PinballLoss, 3), formatNumber(s.Brier, 4)
		row.Coverage80, row.Coverage90 = formatShare(s.Coverage80, 1), formatShare(s.Coverage90, 1)
		row.Skill, row.SkillRange = formatSkill(s.PointSkill), formatSkillRange(s.PointSkillLow, s.PointSkillHigh)
		for _, b := range s.Baselines {
			switch b.Name {
			case "HAR":
				row.HAR = formatNumber(b.PinballLoss, 3)
			case "EWMA":
				row.EWMA = formatNumber(b.PinballLoss, 3)
			}
		}
	}
	return row
}

// daysOf writes a range of days as formatRange does, in two parts.
func daysOf(r market.TimeRange) []string {
	first, last, _ := strings.Cut(formatRange(r), " ")
	return []string{first, last}
}

func newModelInUse(m forecast.Model) *modelInUse {
	inUse := &modelInUse{ID: strconv.FormatInt(m.ID, 10), Metrics: newMetricsFacts(m.Metrics, m.Interval), Settings: m.Settings}
	longest := 0.0
	for _, i := range m.Importance {
		longest = max(longest, i.PinballLoss)
	}
	for _, i := range m.Importance {
		row := importanceRow{Feature: i.Feature, Loss: formatSigned(i.PinballLoss, 4)}
		if longest > 0 {
			row.Bar = max(0, int(100*i.PinballLoss/longest))
		}
		inUse.Importance = append(inUse.Importance, row)
	}
	return inUse
}

// formatSize writes a number of bytes in megabytes.
func formatSize(bytes int64) string {
	if bytes == 0 {
		return "pruned"
	}
	return formatNumber(float64(bytes)/1e6, 1) + noBreak + "MB"
}
