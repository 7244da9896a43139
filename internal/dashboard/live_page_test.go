package dashboard

import (
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// The page names the stream only where there is one: a script that asks in vain
// would say so in the console of every visitor.
func TestPageNamesItsStream(t *testing.T) {
	monthly := market.Series{Symbol: "BTCUSDT", Interval: market.Month1}
	for name, test := range map[string]struct {
		series market.Series
		live   bool
		want   []string
	}{
		"live":      {bitcoin, true, []string{`data-stream="/v1/stream?symbols=BTCUSDT" data-stale-after="15000" data-forecast-stale-after="60000"`, `data-step="900000"`, `role="status"`}},
		"not live":  {bitcoin, false, []string{`data-step="900000"`}},
		"by months": {monthly, true, []string{`data-step="0"`}},
	} {
		dependencies := only(test.series, randomWalk(test.series, 50))
		dependencies.Live = test.live
		page := get(newHandler(t, dependencies), pagePath(test.series)).Body.String()
		for _, want := range test.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %s", name, want)
			}
		}
		if strings.Contains(page, "data-stream") != test.live || strings.Contains(page, `data-live="state"`) != test.live {
			t.Errorf("%s: the page names a stream, or does not", name)
		}
	}
}
