package dashboard

import (
	"fmt"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/charts"
	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// view is what the facts about a chart's candles are drawn from.
type view struct {
	series   market.Series
	extent   history.Extent
	window   market.TimeRange
	candles  []market.Candle // at least one, ascending
	slots    []charts.Slot
	decimals int
	now      time.Time
}

// heading is the line above the chart.
type heading struct {
	Close  string
	Change string // over 24 hours, with its sign; empty where it is not known
	Rising bool
	Stale  string // why the page may mislead; empty where it is fresh
}

func (v view) heading() heading {
	h := heading{Close: v.price(v.newest().Close), Stale: v.stale()}
	if before, ok := v.dayBefore(); ok {
		change := v.newest().Close/before - 1
		h.Change, h.Rising = formatSigned(100*change, 2)+noBreak+"%", change >= 0
	}
	return h
}

func (v view) newest() market.Candle { return v.candles[len(v.candles)-1] }

func (v view) price(value float64) string { return formatNumber(value, v.decimals) }

// stale says so where two intervals have passed since the newest stored candle
// closed: the one after it should long have been here.
func (v view) stale() string {
	if v.now.Sub(v.extent.Known) <= 2*v.extent.Source.Length() {
		return ""
	}
	return "Stale: the newest candle closed " + formatAge(v.extent.Known, v.now)
}

// dayBefore returns the close 24 hours before the newest one, if there was one
// at that very instant.
func (v view) dayBefore() (float64, bool) {
	if v.series.Interval.Length() > 24*time.Hour {
		return 0, false
	}
	want := v.newest().OpenTime.Add(-24 * time.Hour)
	for _, c := range v.candles {
		if c.OpenTime.Equal(want) {
			return c.Close, true
		}
	}
	return 0, false
}

// candleFacts is the read-out of one candle.
type candleFacts struct{ OpenTime, Open, High, Low, Close, Volume, Note string }

func (v view) newestFacts() candleFacts {
	c := v.newest()
	facts := candleFacts{
		OpenTime: formatInstant(c.OpenTime),
		Open:     v.price(c.Open), High: v.price(c.High), Low: v.price(c.Low), Close: v.price(c.Close),
		Volume: formatNumber(c.Volume, 2),
	}
	if !c.Complete(v.series.Interval) {
		facts.Note = "incomplete"
	}
	return facts
}

func (v view) facts() []fact {
	newest := v.newest()
	highest, lowest := newest, newest
	for _, c := range v.candles {
		if c.High > highest.High {
			highest = c
		}
		if c.Low < lowest.Low {
			lowest = c
		}
	}
	opened := newFact("Newest candle opened", formatInstant(newest.OpenTime))
	if parts := v.series.Interval.Parts(newest.Source, newest.OpenTime); newest.Parts < parts {
		opened.Values = append(opened.Values,
			fmt.Sprintf("incomplete: %d of %s", newest.Parts, plural(parts, string(newest.Source)+" candle")))
	}
	facts := []fact{
		newFact("Symbol", string(v.series.Symbol)),
		newFact("Interval", v.interval()),
		opened,
		newFact("Close", v.price(newest.Close)),
		newFact("Stored up to", formatInstant(v.extent.Known), formatAge(v.extent.Known, v.now)),
		newFact("24 h change", v.dayChange()...),
		newFact(v.spanName("High"), v.price(highest.High), formatInstant(highest.OpenTime)),
		newFact(v.spanName("Low"), v.price(lowest.Low), formatInstant(lowest.OpenTime)),
		newFact("Candles shown", formatCount(len(v.candles)), "from "+formatInstant(v.window.Start)),
		newFact("Candles missing", v.missing()...),
	}
	if incomplete := v.incomplete(); incomplete > 0 {
		facts = append(facts, newFact("Candles incomplete", formatCount(incomplete), "marked ▲ in the chart"))
	}
	return facts
}

// incomplete counts the candles made of fewer parts than they should be.
func (v view) incomplete() int {
	n := 0
	for _, c := range v.candles {
		if !c.Complete(v.series.Interval) {
			n++
		}
	}
	return n
}

// opening says what a chart shows before anybody zooms, where that is not all.
func (v view) opening() string {
	if len(v.slots) <= charts.OpeningSlots {
		return ""
	}
	return fmt.Sprintf("At first the newest %s are in view; “All” shows %s.",
		formatHalves(charts.OpeningSlots*v.series.Interval.Length()), formatSpan(v.window.End.Sub(v.window.Start)))
}

func (v view) interval() string {
	if source := v.newest().Source; source != v.series.Interval {
		return fmt.Sprintf("%s, rolled up from %s", v.series.Interval, source)
	}
	return string(v.series.Interval)
}

func (v view) dayChange() []string {
	before, ok := v.dayBefore()
	switch {
	case ok:
		now := v.newest().Close
		return []string{
			formatSigned(100*(now/before-1), 2) + noBreak + "%",
			formatSigned(now-before, v.decimals),
		}
	case v.series.Interval.Length() > 24*time.Hour:
		return []string{"shown at intervals up to 1d"}
	default:
		return []string{"not known: no candle 24 hours earlier"}
	}
}

// spanName names an extreme after the time it was sought in.
func (v view) spanName(extreme string) string {
	if v.window.End.Sub(v.window.Start) == chartSpan {
		return "30-day " + strings.ToLower(extreme)
	}
	return extreme + " since " + formatDay(v.window.Start)
}

// missing counts the empty slots and says where the newest of them are.
func (v view) missing() []string {
	const named = 3
	missing := 0
	var holes []market.TimeRange
	for _, slot := range v.slots {
		if slot.Candle.Valid {
			continue
		}
		missing++
		end := v.series.Interval.Next(slot.OpenTime)
		if last := len(holes) - 1; last >= 0 && holes[last].End.Equal(slot.OpenTime) {
			holes[last].End = end
		} else {
			holes = append(holes, market.TimeRange{Start: slot.OpenTime, End: end})
		}
	}
	if missing == 0 {
		return []string{"none"}
	}
	values := []string{formatCount(missing) + " of " + formatCount(len(v.slots))}
	for _, hole := range holes[max(0, len(holes)-named):] {
		values = append(values, formatInstant(hole.Start), "to "+formatInstant(hole.End))
	}
	if len(holes) > named {
		values = append(values, "and "+plural(len(holes)-named, "hole")+" before")
	}
	return values
}
