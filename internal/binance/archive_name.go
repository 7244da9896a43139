package binance

import (
	"cmp"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// archiveName is what a kline file's name says of its content.
type archiveName struct {
	series market.Series
	period market.TimeRange // the month or day of the open times; zero if the name tells none
}

var archiveNamePattern = regexp.MustCompile(`^([A-Za-z0-9]+)-([0-9]+[A-Za-z]+)-([0-9]{4}-[0-9]{2})(-[0-9]{2})?$`)

// parseArchiveName reads the last element of path, such as
// BTCUSDT-15m-2024-01.zip, and reports whether it is a kline file's.
func parseArchiveName(path string) (archiveName, bool) {
	base := filepath.Base(path)
	if !isZip(base) && !isCSV(base) {
		return archiveName{}, false
	}
	match := archiveNamePattern.FindStringSubmatch(strings.TrimSuffix(base, filepath.Ext(base)))
	if match == nil {
		return archiveName{}, false
	}
	symbol, symbolErr := market.ParseSymbol(match[1])
	interval, intervalErr := parseArchiveInterval(match[2])
	start, startErr := time.Parse("2006-01-02", match[3]+cmp.Or(match[4], "-01"))
	if symbolErr != nil || intervalErr != nil || startErr != nil {
		return archiveName{}, false
	}
	end := start.AddDate(0, 1, 0)
	if match[4] != "" {
		end = start.AddDate(0, 0, 1)
	}
	return archiveName{
		series: market.Series{Symbol: symbol, Interval: interval},
		// A week or three days belong to a month that they reach into.
		period: market.TimeRange{Start: interval.Floor(start), End: end},
	}, true
}

// parseArchiveInterval takes 1mo for a month too: the archive says so instead
// of 1M for the sake of file systems that ignore case.
func parseArchiveInterval(name string) (market.Interval, error) {
	if name == "1mo" {
		return market.Month1, nil
	}
	return market.ParseInterval(name)
}

func isZip(path string) bool { return strings.EqualFold(filepath.Ext(path), ".zip") }
func isCSV(path string) bool { return strings.EqualFold(filepath.Ext(path), ".csv") }
