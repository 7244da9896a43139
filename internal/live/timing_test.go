package live

import (
	"testing"
	"time"
)

// Who failed together must not try again together: waits are spread over all of
// a bound that doubles.
func TestBackoffsAreSpreadOverABoundThatDoubles(t *testing.T) {
	timing := Timing{FirstBackoff: time.Second, LongestBackoff: 10 * time.Second}
	const draws = 1000
	bounds := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second}
	below := make([][4]int, len(bounds)) // by the quarter of the bound that a wait is in
	for range draws {
		backoff := timing.backoff()
		for range 3 { // the bound begins anew
			backoff.next()
		}
		backoff.reset()
		for k, bound := range bounds {
			wait := backoff.next()
			if wait < 0 || wait > bound {
				t.Fatalf("wait %d is %s, above %s", k, wait, bound)
			}
			below[k][min(4*wait/bound, 3)]++
		}
	}
	for k, quarters := range below {
		for quarter, count := range quarters {
			// 250 are expected with a standard deviation of 14.
			if count < draws/8 {
				t.Errorf("of the waits %d, %d of %d are in quarter %d of %s", k, count, draws, quarter+1, bounds[k])
			}
		}
	}
}

// Nor must connections that were opened together be replaced together.
func TestRotationsAreSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		d := jittered(20 * time.Hour)
		if d < 19*time.Hour || d > 20*time.Hour {
			t.Fatalf("jittered to %s", d)
		}
		seen[d.Truncate(6*time.Minute)] = true
	}
	if len(seen) < 5 {
		t.Errorf("100 rotations fall into %d tenths of an hour", len(seen))
	}
}
