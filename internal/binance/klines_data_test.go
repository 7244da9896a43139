package binance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// TestRealCandlesAsKlines puts real rows into the form of an answer and wants of
// them what the archive's reader makes of them: seven years with every outage.
func TestRealCandlesAsKlines(t *testing.T) {
	compared := 0
	for _, file := range realArchives(t) {
		if interval := file.Series.Interval; interval != market.Hour1 && interval != market.Day1 {
			continue
		}
		want, _, err := readFile(t, file.Name)
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for texts := zipLines(t, file.Name); texts.Scan(); {
			f := strings.Split(texts.Text(), ",")
			rows = append(rows, fmt.Sprintf(`[%.13s,"%s","%s","%s","%s","%s",%.13s,"%s",%s,"%s","%s","%s"]`, // microseconds cut
				f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11]))
		}
		opens := market.TimeRange{Start: want[0].OpenTime, End: want[len(want)-1].OpenTime.Add(1)}
		got, err := decodeKlines("["+strings.Join(rows, ",")+"]", klinesRequest{file.Series, opens, len(rows)})
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d candles of %d, %v", file.Name, len(got), len(want), err)
		}
		for k := range got {
			if got[k] != want[k] {
				t.Fatalf("%s: %+v, want %+v", file.Name, got[k], want[k])
			}
		}
		compared += len(got)
	}
	if want := 2 * (65_590 + 2_875); compared != want {
		t.Errorf("%d candles were compared, want %d", compared, want)
	}
}
