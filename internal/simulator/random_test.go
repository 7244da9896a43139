package simulator

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestExp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-700, 700).Draw(t, "x")
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 1e-13*want {
			t.Fatalf("exp(%v) is %v, want %v", x, got, want)
		}
	})
	if exp(0) != 1 {
		t.Errorf("exp(0) is %v", exp(0))
	}
}

func TestDistributions(t *testing.T) {
	d := newDistributions()
	for _, test := range []struct {
		name       string
		quantiles  *quantiles
		mean       float64
		least, top float64
	}{
		{"shock", d.shock, 0, -8, 8},
		{"wait", d.wait, 1, 0, 8},
		{"spread", d.spread, 1, 0, 15},
	} {
		q := test.quantiles
		if got := mean(q); math.Abs(got-test.mean) > 1e-6 {
			t.Errorf("%s has a mean of %v, want %v", test.name, got, test.mean)
		}
		for k := range q[1:] {
			if q[k] >= q[k+1] {
				t.Fatalf("%s does not ascend at %d", test.name, k)
			}
		}
		if q[0] < test.least || q[len(q)-1] > test.top {
			t.Errorf("%s reaches from %v to %v, want from %v to %v", test.name, q[0], q[len(q)-1], test.least, test.top)
		}
	}
	if got := deviation(d.shock); math.Abs(got-1) > 1e-6 {
		t.Errorf("a shock has a deviation of %v, want 1", got)
	}
}

func TestNeighbouringStreamsDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for number := range int64(1000) {
		for _, name := range []string{"days", "minutes"} {
			random := stream(seedOf(7, name), number)
			seen[random.Uint64()] = true
		}
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 first numbers differ", len(seen))
	}
}
