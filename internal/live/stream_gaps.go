package live

import (
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// storeGrowth is by how much a gap has grown when it is stored again.
const storeGrowth = time.Minute

// mostGaps bounds how many gaps of a symbol wait to be stored. There are more
// only while the database is away for long; neighbours are made one then.
const mostGaps = 1000

// account says of one symbol's places of the grid which have no tick, as far as
// that is not stored yet. A tickBuffer guards it.
type account struct {
	symbol   market.Symbol
	preceded bool  // what lies before is accounted for
	gaps     []gap // by start; no two overlap
	growing  bool  // the last gap may go on

	samples, held, refused int64
	missing                map[GapReason]int64 // without those of before this process
}

// gap is a StreamGap and how much of it is stored.
type gap struct {
	StreamGap
	stored int // of Missing
}

// miss adds places after all others.
func (a *account) miss(missed StreamGap) {
	a.missing[missed.Reason] += int64(missed.Missing)
	if n := len(a.gaps); a.growing && a.gaps[n-1].Reason == missed.Reason && a.gaps[n-1].End.Equal(missed.Start) {
		a.gaps[n-1].End = missed.End
		a.gaps[n-1].Missing += missed.Missing
		return
	}
	a.growing = true
	a.insert(len(a.gaps), missed)
}

// drop takes note that a held tick, of the one place in the range, will never be
// stored.
func (a *account) drop(place market.TimeRange) {
	a.held--
	a.missing[DatabaseAway]++
	after, _ := slices.BinarySearchFunc(a.gaps, place.Start, func(g gap, start time.Time) int { return g.Start.Compare(start) })
	if after > 0 && a.gaps[after-1].Reason == DatabaseAway && a.gaps[after-1].End.Equal(place.Start) {
		a.gaps[after-1].End = place.End
		a.gaps[after-1].Missing++
		return
	}
	a.insert(after, StreamGap{Symbol: a.symbol, TimeRange: place, Missing: 1, Reason: DatabaseAway})
}

func (a *account) insert(at int, added StreamGap) {
	a.gaps = slices.Insert(a.gaps, at, gap{StreamGap: added})
	if len(a.gaps) > mostGaps {
		a.merge()
	}
}

// merge makes one of the oldest two gaps that nothing lies between. Those that
// the database may have already are left alone.
func (a *account) merge() {
	for k := 1; k+2 < len(a.gaps); k++ {
		if a.gaps[k].End.Equal(a.gaps[k+1].Start) && a.gaps[k+1].stored == 0 {
			a.gaps[k].End = a.gaps[k+1].End
			a.gaps[k].Missing += a.gaps[k+1].Missing
			a.gaps[k].Reason = DatabaseAway // it outlasted all others
			a.gaps = slices.Delete(a.gaps, k+1, k+2)
			return
		}
	}
}

// due returns the first gap that is to be stored: one that has ended, or has
// grown by so many places since it was stored.
func (a *account) due(growth int) *StreamGap {
	for k := range a.gaps {
		grows := a.growing && k == len(a.gaps)-1
		unstored := a.gaps[k].Missing - a.gaps[k].stored
		if !grows || unstored >= growth {
			return &a.gaps[k].StreamGap
		}
	}
	return nil
}

// wrote takes note that a gap is stored, and forgets it if it has ended.
func (a *account) wrote(stored StreamGap) {
	for k := range a.gaps {
		if !a.gaps[k].Start.Equal(stored.Start) {
			continue
		}
		a.gaps[k].stored = stored.Missing
		grows := a.growing && k == len(a.gaps)-1
		if !grows && stored.Missing == a.gaps[k].Missing {
			a.gaps = slices.Delete(a.gaps, k, k+1)
		}
		return
	}
}
