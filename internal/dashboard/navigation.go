package dashboard

import (
	"slices"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// layout is what the frame around every page shows.
type layout struct {
	Title     string
	Simulated bool // the prices are made up
	Symbols   []link
	Intervals []link
}

type link struct {
	Name, Path string
	Current    bool
}

// newLayout links to what is stored; current is zero off the market pages.
func newLayout(title string, h holdings, current market.Series) layout {
	l := layout{Title: title, Simulated: h.origin == history.Simulated}
	stored := h.stored
	for _, symbol := range stored.Symbols() {
		target := home(stored)
		if current.Interval != "" {
			target = current
		}
		target.Symbol = symbol
		l.Symbols = append(l.Symbols, link{string(symbol), pagePath(nearest(stored, target)), symbol == current.Symbol})
	}
	for _, interval := range stored.Intervals(current.Symbol) {
		target := market.Series{Symbol: current.Symbol, Interval: interval}
		l.Intervals = append(l.Intervals, link{string(interval), pagePath(target), interval == current.Interval})
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
