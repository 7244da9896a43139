package charts

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// twoDays is a record of three days, of the second of which nothing is scored.
func twoDays() forecast.Record {
	start := time.Date(2025, time.June, 28, 0, 0, 0, 0, time.UTC)
	sums := func(day, tenth, rows int, squares float64) forecast.RecordSums {
		return forecast.RecordSums{
			Day: start.AddDate(0, 0, day), ModelID: 1, Tenth: tenth, Rows: rows, Squares: squares, SquaresStay: 4, Hits: rows / 2,
			Width80: 0.003 * float64(rows), Width90: 0.004 * float64(rows), Places: [5]int{1, 0, rows - 2, 1, 0},
			AboveOpen: 0.1*float64(tenth*rows) + 0.5, Rose: rows / 4,
		}
	}
	return forecast.NewRecord(hourly, market.TimeRange{Start: start, End: start.AddDate(0, 0, 3)},
		[]forecast.RecordSums{sums(0, 4, 8, 3), sums(2, 6, 16, 5)})
}

func TestRecordGolden(t *testing.T) {
	record := twoDays()
	for name, options := range map[string]map[string]any{
		"record_by_day": RecordByDay(record), "reliability": Reliability(record.Reliability),
		"places": Places(record.Places), "places_of_none": Places([5]int{}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(options, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", name+".json"), append(got, '\n'))
		})
	}
}

func TestDayWithoutForecastsIsEmpty(t *testing.T) {
	skill := decodeSeries(t, RecordByDay(twoDays()))["Point skill"].Data
	for k, want := range []string{"25", `"-"`, "-25"} {
		if got := string(skill[k].Value); got != want {
			t.Errorf("day %d has the skill %s, want %s", k, got, want)
		}
	}
}
