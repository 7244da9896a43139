package simulator

import "testing"

func TestRecentForgetsWhatWasNotUsed(t *testing.T) {
	r := newRecent[int, string](2)
	r.put(1, "one")
	r.put(2, "two")
	if value, ok := r.get(1); !ok || value != "one" {
		t.Errorf("got %q, %t", value, ok)
	}
	r.put(1, "another one")
	r.put(3, "three")
	for key, want := range map[int]string{1: "one", 2: "", 3: "three"} {
		if value, ok := r.get(key); value != want || ok != (want != "") {
			t.Errorf("%d is %q, %t; want %q", key, value, ok, want)
		}
	}
}
