package history

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestPlanPages(t *testing.T) {
	always := time.Date(2999, time.January, 1, 0, 0, 0, 0, time.UTC)
	pending := func(from, to int) Gap { return Gap{TimeRange: bitcoinPlaces(from, to), Cause: Pending} }
	holes := func(count, apart int) []Gap {
		var gaps []Gap
		for k := range count {
			gaps = append(gaps, pending(k*apart, k*apart+1))
		}
		return gaps
	}
	for _, test := range []struct {
		name    string
		gaps    []Gap
		wanted  market.TimeRange
		now     time.Time
		recheck bool
		want    []market.TimeRange
	}{
		{
			name: "a long gap is cut", gaps: []Gap{pending(0, 2500)},
			want: []market.TimeRange{bitcoinPlaces(0, 1000), bitcoinPlaces(1000, 2000), bitcoinPlaces(2000, 2500)},
		},
		{
			name: "thirty holes are one page", gaps: holes(30, 33),
			want: []market.TimeRange{bitcoinPlaces(0, 29*33+1)},
		},
		{
			name: "holes too far apart are not", gaps: holes(2, PageLimit),
			want: []market.TimeRange{bitcoinPlaces(0, 1), bitcoinPlaces(1000, 1001)},
		},
		{
			name: "a gap that a page cannot hold whole is shared", gaps: []Gap{pending(0, 1), pending(900, 1100)},
			want: []market.TimeRange{bitcoinPlaces(0, 1000), bitcoinPlaces(1000, 1100)},
		},
		{
			name: "only what may be mended",
			gaps: []Gap{
				{TimeRange: bitcoinPlaces(0, 3), Cause: NotListed},
				{TimeRange: bitcoinPlaces(5, 6), Cause: ConfirmedEmpty},
				pending(7, 8),
				{TimeRange: bitcoinPlaces(9, 10), Cause: OffGrid},
			},
			want: []market.TimeRange{bitcoinPlaces(7, 8)},
		},
		{
			name: "what is confirmed, when asked to", recheck: true,
			gaps: []Gap{{TimeRange: bitcoinPlaces(5, 6), Cause: ConfirmedEmpty}, pending(7, 8)},
			want: []market.TimeRange{bitcoinPlaces(5, 8)},
		},
		{
			name: "never the open candle", gaps: []Gap{pending(0, 10)}, now: bitcoinPlace(4).Add(14 * time.Minute),
			want: []market.TimeRange{bitcoinPlaces(0, 4)},
		},
		{
			name: "a candle that has just closed", gaps: []Gap{pending(0, 10)}, now: bitcoinPlace(5),
			want: []market.TimeRange{bitcoinPlaces(0, 5)},
		},
		{
			name: "what opens in the wanted range", gaps: []Gap{pending(0, 10)},
			wanted: market.TimeRange{Start: bitcoinPlace(1).Add(time.Second), End: bitcoinPlace(4).Add(time.Second)},
			want:   []market.TimeRange{bitcoinPlaces(2, 5)},
		},
		{name: "nothing"},
	} {
		if test.now.IsZero() {
			test.now = always
		}
		if test.wanted.Empty() {
			test.wanted = market.TimeRange{Start: FirstListing, End: always}
		}
		got := PlanPages(bitcoin.Interval, test.wanted, test.gaps, test.now, test.recheck)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestPlanPagesKnowsTheCalendar(t *testing.T) {
	date := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	for _, test := range []struct {
		interval   market.Interval
		start, end time.Time
		want       market.TimeRange // the first page
	}{
		{market.Month1, date(2018, time.January, 1), date(2200, time.January, 1),
			market.TimeRange{Start: date(2018, time.January, 1), End: date(2101, time.May, 1)}},
		{market.Week1, date(2018, time.January, 1), date(2200, time.January, 6),
			market.TimeRange{Start: date(2018, time.January, 1), End: date(2037, time.March, 2)}},
	} {
		all := market.TimeRange{Start: test.start, End: test.end}
		pages := PlanPages(test.interval, all, []Gap{{TimeRange: all, Cause: Pending}}, all.End, false)
		if len(pages) == 0 || pages[0] != test.want {
			t.Errorf("%s: %v, want to begin with %v", test.interval, pages, test.want)
		}
	}
}

// TestPlanPagesIsMinimal finds the reason why no plan has fewer pages in each
// plan: that its pages begin at missing places, PageLimit or more apart.
func TestPlanPagesIsMinimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.SampledFrom(market.Intervals()).Draw(t, "interval")
		origin := interval.Floor(FirstListing)
		place := func(k int) time.Time { return placeAfter(interval, origin, k) }
		within := func(k int) time.Time {
			return place(k).Add(rapid.SampledFrom([]time.Duration{0, 1, time.Second}).Draw(t, "past it"))
		}
		causes := []GapCause{"", NotListed, ConfirmedEmpty, OffGrid, Pending, Pending}
		runs := drawRuns(t, "gaps", 4000, len(causes))
		var gaps []Gap
		for k, cause := range runs {
			switch n := len(gaps); {
			case causes[cause] == "":
			case n > 0 && gaps[n-1].Cause == causes[cause] && gaps[n-1].End.Equal(place(k)):
				gaps[n-1].End = place(k + 1)
			default:
				gaps = append(gaps, Gap{TimeRange: market.TimeRange{Start: place(k), End: place(k + 1)}, Cause: causes[cause]})
			}
		}
		wanted := market.TimeRange{
			Start: within(rapid.IntRange(0, 4000).Draw(t, "wanted from")),
			End:   within(rapid.IntRange(0, 4000).Draw(t, "wanted to")),
		}
		now := within(rapid.IntRange(0, 4000).Draw(t, "now"))
		recheck := rapid.Bool().Draw(t, "recheck")

		missing := map[time.Time]bool{}
		for k, cause := range runs {
			asks := causes[cause] == Pending || recheck && causes[cause] == ConfirmedEmpty
			if asks && wanted.Contains(place(k)) && !place(k+1).After(now) {
				missing[place(k)] = true
			}
		}
		pages := PlanPages(interval, wanted, gaps, now, recheck)
		var begun, ended time.Time
		for _, page := range pages {
			if !missing[page.Start] {
				t.Errorf("a page begins at %s, where nothing is to be asked for", page.Start)
			}
			if !begun.IsZero() && page.Start.Before(placeAfter(interval, begun, PageLimit)) {
				t.Errorf("a page begins at %s, within reach of the one that begins at %s", page.Start, begun)
			}
			if page.Start.Before(ended) {
				t.Errorf("the page from %s overlaps the one before it", page.Start)
			}
			var last time.Time
			size := 0
			for open := page.Start; open.Before(page.End); open = interval.Next(open) {
				last = open
				size++
			}
			if !missing[last] || !interval.Next(last).Equal(page.End) || size > PageLimit {
				t.Errorf("the page from %s to %s ends at the wrong place", page.Start, page.End)
			}
			for open := range missing {
				if page.Contains(open) {
					delete(missing, open)
				}
			}
			begun, ended = page.Start, page.End
		}
		if len(missing) > 0 {
			t.Errorf("%d places are in no page", len(missing))
		}
	})
}

// drawRuns draws a kind, from 0 to kinds-1, for each of up to count places, in
// runs. Small numbers come up more often in rapid, so that the lengths that make
// several pages are named.
func drawRuns(t *rapid.T, label string, count, kinds int) []int {
	var runs []int
	for _, run := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]int {
		length := rapid.SampledFrom([]int{400, 1, 999, 37, 2, 1500}).Draw(t, "length")
		return [2]int{length, rapid.IntRange(0, kinds-1).Draw(t, "kind")}
	}), 0, 12).Draw(t, label) {
		for range run[0] {
			runs = append(runs, run[1])
		}
	}
	return runs[:min(len(runs), count)]
}
