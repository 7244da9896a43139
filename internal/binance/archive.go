// Package binance adapts Binance to the service: candles over REST within the
// exchange's limits, its clock, its live streams, and the archive files
// that it publishes for download.
package binance

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// checksumSuffix is what Binance appends to a file's name for the name of the
// file that holds its sha256.
const checksumSuffix = ".CHECKSUM"

// FindArchives returns the candle files among paths, in the order of paths. A
// folder is walked to its leaves and gives the zips and CSVs that are named like
// Binance's klines (SYMBOL-INTERVAL-YYYY-MM, or with a day -DD), in lexical
// order, but those of a month before those of a day: where they differ, it is
// the monthly file that was not replaced when the exchange corrected itself.
// What else the folder holds is returned as ignored. A file named outright must
// be a zip or a CSV, of any name where series says what it holds. The zero
// series takes the series from the names alone.
//
// It returns an Invalid error for a file of which the series is unknown or
// contradicts the one given, and when there is no candle file at all.
func FindArchives(paths []string, series market.Series) (files []history.CandleFile, ignored []string, err error) {
	find := finder{series: series, seen: map[string]bool{}}
	for _, path := range paths {
		path = filepath.Clean(path)
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("finding candle files: %w", err)
		case info.IsDir():
			err = find.walk(path)
		default:
			err = find.add(path, info)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if len(find.files) == 0 {
		return nil, nil, market.Errorf(market.Invalid,
			"no candle file in %s, only %d others: expected spot candles under names such as BTCUSDT-15m-2024-01.zip or .csv",
			strings.Join(paths, ", "), len(find.ignored))
	}
	return find.files, find.ignored, nil
}

type finder struct {
	series  market.Series
	files   []history.CandleFile
	ignored []string
	seen    map[string]bool // a file that two paths lead to is taken once
}

// inOtherMarket reports whether a path lies in the archive's folders of futures,
// wherever a walk began: their files bear the same names as spot klines and hold
// other prices.
func inOtherMarket(path string) bool {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	inside := filepath.ToSlash(absolute) + "/"
	return strings.Contains(inside, "/futures/um/") || strings.Contains(inside, "/futures/cm/")
}

func (f *finder) walk(folder string) error {
	// A trailing separator makes a link to a folder count as the folder.
	begin := len(f.files)
	// The name of a day's file has a dash more than that of a month's.
	defer func() {
		slices.SortStableFunc(f.files[begin:], func(a, b history.CandleFile) int {
			return strings.Count(filepath.Base(a.Name), "-") - strings.Count(filepath.Base(b.Name), "-")
		})
	}()
	err := filepath.WalkDir(folder+string(filepath.Separator), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path = filepath.Clean(path)
		if entry.IsDir() {
			if inOtherMarket(path) {
				f.ignored = append(f.ignored, path)
				return fs.SkipDir
			}
			return nil
		}
		if _, isKlines := parseArchiveName(path); isKlines {
			// Stat follows a link, which entry.Info does not.
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return f.add(path, info)
			}
		}
		// A checksum is used, not ignored; it sorts right after its file.
		if !f.seen[strings.TrimSuffix(path, checksumSuffix)] {
			f.ignored = append(f.ignored, path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("finding candle files in %s: %w", folder, err)
	}
	return nil
}

func (f *finder) add(path string, info fs.FileInfo) error {
	if f.seen[path] {
		return nil
	}
	f.seen[path] = true
	name, isKlines := parseArchiveName(path)
	switch {
	case inOtherMarket(path):
		return market.Errorf(market.Invalid, "%s holds futures by its folder: only spot candles are stored", path)
	case !info.Mode().IsRegular():
		return market.Errorf(market.Invalid, "%s is no regular file", path)
	case !isZip(path) && !isCSV(path):
		return market.Errorf(market.Invalid, "%s is neither a .zip nor a .csv", path)
	case !isKlines && f.series == market.Series{}:
		return market.Errorf(market.Invalid,
			"%s does not say what it holds: name it like BTCUSDT-15m-2024-01.csv, or give its symbol and interval", path)
	case !isKlines:
		name.series = f.series
	case f.series != market.Series{} && f.series != name.series:
		return market.Errorf(market.Invalid, "%s holds %s by its name, not %s as given", path, name.series, f.series)
	}
	f.files = append(f.files, history.CandleFile{
		Name:   path,
		Bytes:  info.Size(),
		Series: name.series,
		Open: func(ctx context.Context) (history.CandleReader, error) {
			return openArchive(ctx, path, name)
		},
	})
	return nil
}
