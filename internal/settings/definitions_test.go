package settings

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestDefinitions(t *testing.T) {
	seen := map[Name]bool{}
	for _, d := range Definitions() {
		if seen[d.Name] {
			t.Errorf("%s is there twice", d.Name)
		}
		seen[d.Name] = true
		if kept, err := d.parse(d.Default); err != nil || kept != d.Default {
			t.Errorf("the default of %s, %q, is kept as %q, %v", d.Name, d.Default, kept, err)
		}
	}
}

// TestAcceptsTellsOfEveryInterval compares what people are told with what is taken.
func TestAcceptsTellsOfEveryInterval(t *testing.T) {
	told := strings.FieldsFunc(strings.ReplaceAll(acceptsIntervals, " or ", ","), func(r rune) bool { return r == ',' || r == ' ' })
	var want []string
	for _, interval := range market.Intervals() {
		want = append(want, string(interval))
	}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("people are told of %v, but %v are taken", told, want)
	}
}

func TestValuesAreKeptInOneForm(t *testing.T) {
	many := make([]string, mostSymbols+1)
	for i := range many {
		many[i] = "S" + strings.Repeat("A", i/26/26) + string(rune('A'+i/26%26)) + string(rune('A'+i%26))
	}
	for _, test := range []struct {
		name        Name
		value, kept string
		bad         bool
	}{
		{name: Symbols, value: " btcusdt ,SOLUSDT", kept: "BTCUSDT,SOLUSDT"},
		{name: Symbols, value: strings.Join(many[:mostSymbols], ","), kept: strings.Join(many[:mostSymbols], ",")},
		{name: Symbols, value: strings.Join(many, ","), bad: true},
		{name: CoinIDs, value: " ", kept: ""},
		{name: IngestionStart, value: "2024-02-29", kept: "2024-02-29T00:00:00Z"},
		{name: IngestionStart, value: "2024-03-01T01:30:00+05:30", kept: "2024-02-29T20:00:00Z"},
		{name: IngestionStart, value: "2024-03-01T00:00:00.250Z", kept: "2024-03-01T00:00:00.25Z"},
		{name: IngestionStart, value: "2023-02-29", bad: true},
		{name: IngestionStart, value: "2024-03-01 00:00", bad: true},
		{name: TrainEnd, value: "", kept: ""},
		{name: TrainInterval, value: "1d", kept: "1d"},
		{name: TrainInterval, value: "3d", bad: true},
		{name: SampleSeconds, value: "60", kept: "60"},
		{name: SampleSeconds, value: "61", bad: true},
		{name: Fee, value: "1e-3", kept: "0.001"},
		{name: Fee, value: "-0", kept: "0"},
		{name: Fee, value: "0.1", kept: "0.1"},
		{name: Fee, value: "0.1000001", bad: true},
		{name: Fee, value: "Inf", bad: true},
		{name: ScoreSchedule, value: " 0  0 * * 1 ", kept: "0 0 * * 1"},
		{name: ScoreSchedule, value: "* * * * *", kept: "* * * * *"}, // each minute
		{name: ScoreSchedule, value: "59 * * * * *", kept: "59 * * * * *"},
		{name: ScoreSchedule, value: "0 0 31 12 *", kept: "0 0 31 12 *"}, // each year
		{name: ScoreSchedule, value: "0 0 30 2 *", bad: true},            // never
		{name: ScoreSchedule, value: "0 0 29 2 *", bad: true},            // in leap years
		{name: ScoreSchedule, value: "0,30 0 0 1 1 *", bad: true},        // half a minute apart, once a year
		{name: ScoreSchedule, value: "@daily", bad: true},
		{name: OpenAccess, value: "", kept: ""},
		{name: OpenAccess, value: "health, pages", kept: "health,pages"},
		{name: OpenAccess, value: "health,health", bad: true},
	} {
		d, err := definitionOf(test.name)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := d.parse(test.value)
		if test.bad {
			if market.ErrorCode(err) != market.Invalid || !strings.HasPrefix(err.Error(), string(test.name)+": ") {
				t.Errorf("%s %.40q is kept as %.40q, %v", test.name, test.value, kept, err)
			}
		} else if err != nil || kept != test.kept {
			t.Errorf("%s %.40q is kept as %.40q, %v, want %.40q", test.name, test.value, kept, err, test.kept)
		}
	}
}

// FuzzParse checks that what is kept of a value means what the value means, and is its
// own kept form: it is read again at every start.
func FuzzParse(f *testing.F) {
	for k, d := range definitions {
		f.Add(k, d.Default)
	}
	for k, value := range map[int]string{0: "btcusdt, ıNJ", 1: "a,,b", 2: "2024-01-01T00:00:00.1234567899+00:01", 9: "+5", 10: "0x1p-4", 12: "TZ=0", 13: "1-0 * * * *"} {
		f.Add(k, value)
	}
	f.Fuzz(func(t *testing.T, k int, text string) {
		d := definitions[uint(k)%uint(len(definitions))]
		kept, err := d.parse(text)
		if err != nil {
			if market.ErrorCode(err) != market.Invalid {
				t.Errorf("%s %q: %v", d.Name, text, err)
			}
			return
		}
		again, err := d.parse(kept)
		if err != nil || again != kept {
			t.Errorf("%s %q is kept as %q, which is kept as %q, %v", d.Name, text, kept, again, err)
		}
		given, read := Defaults(), Defaults()
		if _, err := d.set(&given, text); err != nil {
			t.Fatal(err)
		}
		if _, err := d.set(&read, kept); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(given, read) {
			t.Errorf("%s %q means %+v, but is kept as %q, which means %+v", d.Name, text, given, kept, read)
		}
	})
}

func FuzzParseSchedule(f *testing.F) {
	for _, seed := range []string{"7 */15 * * * *", "TZ=0", "0 0 * * *", "@daily", "", "1-0 * * * *", "0,30 0 0 1 1 *", "0 0 29 2 *"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		schedule, err := ParseSchedule(text)
		if err != nil {
			if schedule != nil || market.ErrorCode(err) != market.Invalid {
				t.Errorf("%q gave %v, %v", text, schedule, err)
			}
			return
		}
		at := schedule.Next(time.Date(2025, time.June, 30, 12, 59, 59, 0, time.UTC))
		for range 100 {
			next := schedule.Next(at)
			if between := next.Sub(at); between < time.Minute || between > 2*366*24*time.Hour {
				t.Fatalf("%q comes true at %v and then at %v", text, at, next)
			}
			at = next
		}
	})
}
