package live

import (
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// One of many that is refused is found in a number of calls that grows with the
// logarithm of how many there are, not with how many there are.
func TestHalvingFindsWhatIsRefusedInFewCalls(t *testing.T) {
	const count = 10_000
	for _, bad := range []int{0, 1, count / 3, count - 1} {
		h := newHalving(count)
		h.begin()
		calls, stored := 0, 0
		for next := 0; next < count; calls++ {
			batch := min(h.size, count-next)
			var err error
			if next <= bad && bad < next+batch {
				err = market.Errorf(market.Invalid, "no such model")
			}
			switch h.after(batch, err) {
			case isStored:
				stored += batch
				next += batch
			case setAside:
				if next != bad {
					t.Fatalf("%d is set aside instead of %d", next, bad)
				}
				next++
			case waits:
				t.Fatalf("%d waits", next)
			}
		}
		if stored != count-1 || calls > 45 {
			t.Errorf("with %d refused, %d are stored in %d calls", bad, stored, calls)
		}
	}
}
