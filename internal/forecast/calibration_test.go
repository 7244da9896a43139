package forecast

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// evenly returns values whose quantiles at quantileLevels are scale × (level + shift).
func evenly(count int, scale, shift float64) []float64 {
	values := make([]float64, count)
	for k, place := range rand.New(rand.NewPCG(1, 1)).Perm(count) {
		values[k] = scale * (float64(place)/float64(count-1) + shift)
	}
	return values
}

func closeTo(a, b []float64, tolerance float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) <= tolerance })
}

func levelsTimes(scale, shift float64) []float64 {
	values := slices.Clone(quantileLevels)
	for k := range values {
		values[k] = scale * (values[k] + shift)
	}
	return values
}

func TestStagesOfWhichLittleIsKnown(t *testing.T) {
	fallback := levelsTimes(1, 7)
	enough, few := func(scale float64) []float64 { return evenly(fewestOfStage, scale, 0) }, evenly(fewestOfStage-1, 100, 0)
	for _, test := range []struct {
		name   string
		values [stages][]float64
		scales [stages]float64 // of the levels; 0 for the fallback
	}{
		{"all known", [stages][]float64{enough(5), enough(4), enough(3), enough(2), enough(1)}, [stages]float64{5, 4, 3, 2, 1}},
		{"nothing known", [stages][]float64{}, [stages]float64{}},
		{"too little known", [stages][]float64{nil, few, few, few, few}, [stages]float64{}},
		{"only the open", [stages][]float64{enough(5), nil, few, nil, nil}, [stages]float64{5, 5, 5, 5, 5}},
		// As with 5m candles within one of 15m.
		{"two quarters", [stages][]float64{enough(8), nil, enough(5), enough(1), nil}, [stages]float64{8, 7, 5, 1, 1}},
		{"only the last", [stages][]float64{nil, nil, nil, nil, enough(2)}, [stages]float64{2, 2, 2, 2, 2}},
		{"none between", [stages][]float64{enough(7), nil, nil, nil, enough(14)}, [stages]float64{7, 8, 10, 12, 14}},
	} {
		table := newStageTable(test.values, fallback)
		for stage, scale := range test.scales {
			want := levelsTimes(scale, 0)
			if scale == 0 {
				want = fallback
			}
			if !closeTo(table[stage], want, 1e-12) {
				t.Errorf("%s: stage %d has %v, want %v", test.name, stage, table[stage], want)
			}
		}
		if !table.valid(-100, 100) {
			t.Errorf("%s: %v is not valid", test.name, table)
		}
	}
	// At the open a few values are better than those of another model.
	if table := newStageTable([stages][]float64{evenly(20, 3, 0)}, fallback); !closeTo(table[0], levelsTimes(3, 0), 1e-12) {
		t.Errorf("of twenty values at the open came %v", table[0])
	}
}

func TestStagesAreMetAtTheirMiddleAndDoNotJump(t *testing.T) {
	var values [stages][]float64
	scales := []float64{5, 1, 8, 2, 3}
	for stage, scale := range scales {
		values[stage] = evenly(fewestOfStage, scale, float64(stage))
	}
	table := newStageTable(values, nil)
	got := make([]float64, len(quantileLevels))
	for stage, elapsed := range []float64{0, 1. / 8, 3. / 8, 5. / 8, 7. / 8} {
		table.at(got, elapsed)
		if !closeTo(got, table[stage], 1e-12) {
			t.Errorf("after %v of a candle: %v, want those of stage %d, %v", elapsed, got, stage, table[stage])
		}
		if elapsed > 0 && (progress{elapsed: elapsed}).stage() != stage {
			t.Errorf("stage %d is after %v of a candle", (progress{elapsed: elapsed}).stage(), elapsed)
		}
	}
	table.at(got, math.Nextafter(1, 0))
	if !closeTo(got, table[stages-1], 1e-12) {
		t.Errorf("at the close: %v, want %v", got, table[stages-1])
	}
	rapid.Check(t, func(t *rapid.T) {
		// The quarters' bounds, where a stage ends, and any other instant.
		elapsed := rapid.OneOf(rapid.SampledFrom([]float64{1e-9, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875}),
			rapid.Float64Range(1e-9, 1-1e-9)).Draw(t, "elapsed")
		before, after := make([]float64, len(quantileLevels)), make([]float64, len(quantileLevels))
		table.at(before, elapsed-1e-9)
		table.at(after, elapsed+1e-9)
		if !closeTo(before, after, 1e-6) || !slices.IsSorted(after) {
			t.Fatalf("from %v to %v around %v", before, after, elapsed)
		}
	})
}

func TestTablesThatMakeNoSense(t *testing.T) {
	sound := func() stageTable {
		var values [stages][]float64
		for stage := range values {
			values[stage] = evenly(fewestOfStage, 1, 0)
		}
		return newStageTable(values, nil)
	}
	if !sound().valid(0, 1) {
		t.Fatal("a sound table is not valid")
	}
	for name, spoil := range map[string]func(stageTable) stageTable{
		"a stage too few":   func(s stageTable) stageTable { return s[1:] },
		"a level too few":   func(s stageTable) stageTable { s[2] = s[2][1:]; return s },
		"crossing levels":   func(s stageTable) stageTable { s[3][1], s[3][2] = s[3][2], s[3][1]; return s },
		"beyond its bounds": func(s stageTable) stageTable { s[4][8] = 1.01; return s },
	} {
		if spoil(sound()).valid(0, 1) {
			t.Errorf("%s is valid", name)
		}
	}
}
