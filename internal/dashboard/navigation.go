package dashboard

import (
	"slices"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// layout is what the frame around every page shows.
type layout struct {
	Title     string
	Visitor   *visitor // who looks at it; set as the page is rendered
	Simulated bool     // the prices are made up
	Symbols   []link
	Intervals []link
	Sections  []link // what else there is of the series; empty where the page is of none

	RecordPath, ModelsPath string // likewise
}

func (l layout) visitor() *visitor { return l.Visitor }

type link struct {
	Name, Path string
	Current    bool
}

// section is one of the pages that there are of a series.
type section struct {
	name string
	path func(market.Series) string
}

var (
	marketSection = section{"Market", pagePath}
	recordSection = section{"Record", recordPath}
	modelsSection = section{"Models", modelsPath}
)

// newLayout links to what is stored, within the section; current is zero off the
// pages of a series.
func newLayout(title string, h holdings, within section, current market.Series) layout {
	l := layout{Title: title, Visitor: new(visitor), Simulated: h.origin == history.Simulated}
	stored := h.stored
	for _, symbol := range stored.Symbols() {
		target := home(stored)
		if current.Interval != "" {
			target = current
		}
		target.Symbol = symbol
		l.Symbols = append(l.Symbols, link{string(symbol), within.path(nearest(stored, target)), symbol == current.Symbol})
	}
	for _, interval := range stored.Intervals(current.Symbol) {
		target := market.Series{Symbol: current.Symbol, Interval: interval}
		l.Intervals = append(l.Intervals, link{string(interval), within.path(target), interval == current.Interval})
	}
	if current.Interval != "" {
		l.RecordPath, l.ModelsPath = recordPath(current), modelsPath(current)
		for _, s := range []section{marketSection, recordSection, modelsSection} {
			l.Sections = append(l.Sections, link{s.name, s.path(current), s.name == within.name})
		}
	}
	return l
}

// home is the series that the start page leads to.
func home(stored history.Catalogue) market.Series {
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	symbols := stored.Symbols()
	if len(symbols) == 0 {
		return series
	}
	if !slices.Contains(symbols, series.Symbol) {
		series.Symbol = symbols[0]
	}
	return nearest(stored, series)
}

// nearest returns the series itself if it can be shown, else the finest
// interval of its symbol that can.
func nearest(stored history.Catalogue, series market.Series) market.Series {
	intervals := stored.Intervals(series.Symbol)
	if len(intervals) > 0 && !slices.Contains(intervals, series.Interval) {
		series.Interval = intervals[0]
	}
	return series
}
