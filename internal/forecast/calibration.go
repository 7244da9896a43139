package forecast

import "slices"

// shares says at which shares of a candle's time a stageTable has columns: the
// open, and the middle of each quarter.
var stageShares = []float64{0, 0.125, 0.375, 0.625, 0.875}

// stages is how many parts a candle is measured in: its open, and its quarters.
const stages = 1 + quarters

// stage returns which of the stages an instant belongs to.
func (p progress) stage() int {
	if p.atOpen() {
		return 0
	}
	return 1 + p.quarter()
}

// fewestOfStage is how many values it takes to tell a stage's quantiles.
const fewestOfStage = 500

// stageTable holds a value at each quantile level for each stage. In between it is
// linear, so that nothing jumps as a candle passes.
type stageTable [][]float64

// newStageTable takes the quantiles of values by stage; it sorts them. A stage with
// too few of them has what its neighbours have, and all of them the fallback where
// there is no other.
func newStageTable(values [stages][]float64, fallback []float64) stageTable {
	var known []int
	table := make(stageTable, stages)
	for stage, v := range values {
		if len(v) >= fewestOfStage || stage == 0 && len(v) > 0 {
			table[stage] = quantilesOf(v)
			known = append(known, stage)
		}
	}
	for stage := range table {
		if table[stage] != nil {
			continue
		}
		table[stage] = make([]float64, len(quantileLevels))
		switch after, _ := slices.BinarySearch(known, stage); {
		case len(known) == 0:
			copy(table[stage], fallback)
		case after == 0:
			copy(table[stage], table[known[0]])
		case after == len(known):
			copy(table[stage], table[known[after-1]])
		default:
			below, above := known[after-1], known[after]
			share := (stageShares[stage] - stageShares[below]) / (stageShares[above] - stageShares[below])
			for k := range table[stage] {
				table[stage][k] = between(table[below][k], table[above][k], share)
			}
		}
	}
	return table
}

func between(a, b, share float64) float64 { return a + share*(b-a) }

// at fills dst with the values at a share of the candle's time.
func (t stageTable) at(dst []float64, elapsed float64) {
	above := 1
	for above < stages-1 && stageShares[above] < elapsed {
		above++
	}
	share := min(1, (elapsed-stageShares[above-1])/(stageShares[above]-stageShares[above-1]))
	for k := range dst {
		dst[k] = between(t[above-1][k], t[above][k], share)
	}
}

// valid reports whether a table read from a file makes sense: ascending values
// within the bounds.
func (t stageTable) valid(low, high float64) bool {
	return len(t) == stages && !slices.ContainsFunc(t, func(values []float64) bool {
		return len(values) != len(quantileLevels) || !slices.IsSorted(values) || !within(values, low, high)
	})
}
